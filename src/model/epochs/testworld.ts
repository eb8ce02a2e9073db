/** A small cluster as a value: the API, the nodes with what each of them sees, remembers, opens and seals. */
import type { Advertisement } from './advertisement.ts';
import type { Epoch } from './epoch.ts';
import { EMPTY_PLANE, type Opening, type Sealing } from './plane.ts';
import { type Memory, NO_MEMORY } from './sight.ts';

export interface World {
  readonly target: Epoch;
  /** What the target will be later. */
  readonly later: readonly Epoch[];
  /** What every node is able to open whatever the target is. */
  readonly always: readonly Epoch[];
  readonly api: readonly (Advertisement | undefined)[];
  readonly nodes: readonly Node[];
  /** What may still happen, and how often. */
  readonly fate: Fate;
}

export interface Fate {
  /** A node comes back with an empty data plane, as another run. */
  readonly reboots?: number;
  /** A node's IPsec comes back empty, as another run of the node, and nothing else does. */
  readonly renewals?: number;
  /** The agent of a node starts again while there is no Secret. */
  readonly losses?: number;
  /** A node leaves the cluster. */
  readonly departures?: number;
  /** A node does nothing any more, and remains in the API. */
  readonly deaths?: number;
}

export interface Node {
  readonly runs: number;
  readonly state: 'up' | 'left' | 'dead';
  readonly target: Epoch;
  readonly able: readonly Epoch[];
  readonly view: readonly (Advertisement | undefined)[];
  readonly memory: Memory;
  /** Writings on their way, with the one that each of them is to replace. */
  readonly sent: readonly { readonly over: Advertisement | undefined; readonly said: Advertisement }[];
  readonly clear: boolean;
  readonly opens: readonly Opening[];
  readonly seals: readonly Path[];
  readonly probes: readonly Sealing[];
  /** Traffic that was sealed before the last change and is still on its way. */
  readonly underway: readonly (Path & { readonly ticks: number })[];
}

/** Under an epoch that is not keyed by it too, `incarnation` is the run of the peer that has promised to open. */
export interface Path extends Sealing {
  /** It replaced another epoch, or the peer has been heard under it: what is sent is not held back. */
  readonly proven: boolean;
  /** The peer has refused it. */
  readonly refused?: true;
}

/** A tick of the clock is so long. */
export const TICK = 1000;
/** Ticks for which a packet can be on its way; `Timing.drain` has to be as long. */
export const UNDERWAY_TICKS = 1;
export const NOW = 1_000_000;
export const LONG_AGO = NOW - 100 * TICK;
/** When a run of a peer was last heard that has ended. */
export const BEFORE_THAT = LONG_AGO - TICK;

export const nameOf = (index: number) => 'abcdefgh'[index]!;
export const runOf = (index: number, node: Node) => `${nameOf(index)}${node.runs}`;
export const indexOf = (name: string) => 'abcdefgh'.indexOf(name);

/** A node that has not started yet. */
export function freshNode({ target, always, api }: World): Node {
  return {
    ...EMPTY_PLANE,
    runs: 0,
    state: 'up',
    target,
    able: [...new Set([target, ...always])],
    view: api.map(() => undefined),
    memory: NO_MEMORY,
    sent: [],
    seals: [],
    underway: [],
  };
}

/** A cluster in which nobody has started. */
export function freshWorld(size: number, target: Epoch, always: readonly Epoch[] = []): World {
  const api = new Array(size).fill(undefined);
  const world: World = { target, later: [], always, api, nodes: [], fate: {} };
  return { ...world, nodes: api.map(() => freshNode(world)) };
}

/** One more node, which has not started yet. */
export function joined(before: World): World {
  const world = { ...before, api: [...before.api, undefined] };
  const nodes = before.nodes.map(node => ({ ...node, view: [...node.view, undefined] }));
  return { ...world, nodes: [...nodes, freshNode(world)] };
}

export function change(world: World, index: number, part: Partial<Node>): World {
  return { ...world, nodes: world.nodes.map((node, i) => (i === index ? { ...node, ...part } : node)) };
}

/** The same nodes where nothing changes. */
export function mapPaths(nodes: readonly Node[], map: (path: Path, from: number) => Path): Node[] {
  return nodes.map((node, from) => {
    const seals = node.seals.map(path => map(path, from));
    const underway = node.underway.map(path => ({ ...map(path, from), ticks: path.ticks }));
    const isSame =
      seals.every((path, i) => path === node.seals[i]) &&
      underway.every((path, i) => sameText(path, node.underway[i]));
    return isSame ? node : { ...node, seals, underway };
  });
}

function sameText(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
