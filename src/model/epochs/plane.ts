/** The data plane of a node in terms of epochs: what it opens, and with what it seals. */
import { type Epoch, isKeyedByRun } from './epoch.ts';

export interface Plane {
  /** Whether what comes in the clear is let in, from whomever. */
  readonly clear: boolean;
  /** Without `none`. */
  readonly opens: readonly Opening[];
  /** How the traffic to a peer is sealed: one epoch a peer; a peer without is sent nothing. */
  readonly seals: readonly Sealing[];
  /** How probes to a peer are sealed, which carry no traffic of pods: dummies, heartbeats between the nodes themselves. */
  readonly probes: readonly Sealing[];
}

export interface Sealing {
  readonly peer: string;
  /** The run of the peer, where the epoch is keyed by it (IPsec); what stands here for another epoch does not count. */
  readonly incarnation: string;
  readonly epoch: Epoch;
}

export interface Opening extends Sealing {
  /** When something was last opened, in milliseconds; absent: never. */
  readonly heardAt?: number;
}

/** How the traffic or the probes to a peer are sealed from now on; without an epoch nothing is sent. */
export interface Change {
  readonly peer: string;
  readonly incarnation: string;
  readonly epoch: Epoch | undefined;
}

/** What a decision changes. */
export interface PlaneChange {
  readonly clear: boolean;
  readonly open: readonly Sealing[];
  readonly close: readonly Sealing[];
  readonly seal: readonly Change[];
  readonly probe: readonly Change[];
}

/** Nothing is opened, nothing is sent. */
export const EMPTY_PLANE: Plane = { clear: false, opens: [], seals: [], probes: [] };

/** The plane once all of it is done. */
export function applyTo(plane: Plane, change: PlaneChange): Plane {
  const kept = plane.opens.filter(opening => !change.close.some(way => sameSealing(way, opening)));
  const added = change.open.filter(way => !kept.some(opening => sameSealing(way, opening)));
  return {
    clear: change.clear,
    opens: [...kept, ...added],
    seals: changed(plane.seals, change.seal),
    probes: changed(plane.probes, change.probe),
  };
}

/** Whether it is one peer's and one epoch's, and for IPsec one run's. */
export function sameSealing(a: Change, b: Change): boolean {
  return a.peer === b.peer && a.epoch === b.epoch && isForRun(a, b.incarnation);
}

/** Whether it holds for this run of its peer. */
export function isForRun({ epoch, incarnation }: Change, run: string): boolean {
  return epoch === undefined || !isKeyedByRun(epoch) || incarnation === run;
}

function changed(now: readonly Sealing[], changes: readonly Change[]): Sealing[] {
  const kept = now.filter(({ peer }) => !changes.some(change => change.peer === peer));
  return [...kept, ...changes.filter((change): change is Sealing => change.epoch !== undefined)];
}
