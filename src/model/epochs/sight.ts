/** What the machine of a node is given, and what it answers. */
import type { Advertisement } from './advertisement.ts';
import { type Epoch, protocolOf } from './epoch.ts';
import type { Plane, PlaneChange } from './plane.ts';

/** What a node sees. Its advertisement and those of the peers have to be of one view: a prefix of the API's writings. */
export interface Sight {
  /** This run of this node. With a new one all of IPsec begins anew in the data plane, and the other way round. */
  readonly incarnation: string;
  /** What Secret and configuration ask for. */
  readonly target: Epoch;
  /** What this node has keys for: the target, what else it has read since it started, and `wireguard` if it can. */
  readonly able: readonly Epoch[];
  /** What this node last wrote, in this run or in an earlier one, as far as the view goes. */
  readonly advertised: Advertisement | undefined;
  /** The other nodes that have written something. */
  readonly peers: readonly Peer[];
  readonly plane: Plane;
}

export interface Peer {
  readonly name: string;
  readonly advertised: Advertisement;
}

/** All in milliseconds. */
export interface Timing {
  /** How long a packet can be on its way. */
  readonly drain: number;
  /** How long those that can move wait for those that cannot. */
  readonly patience?: number;
  /** After so long an old epoch is refused, whoever seals with it. */
  readonly bound?: number;
}

/** What the machine keeps between two decisions; empty at the start of the agent. */
export interface Memory {
  /** The last writing that was decided; it may have arrived or not. */
  readonly written?: Advertisement;
  /** Since when the goal has been advertised. */
  readonly moving?: { readonly epoch: Epoch; readonly since: number };
  /** Since when an epoch is no goal any more, by epoch. */
  readonly left: Readonly<Record<string, number>>;
  /** Since when an epoch is withdrawn and sealed with by nobody, by epoch. */
  readonly quiet: Readonly<Record<string, number>>;
  /** The run of a peer that was last seen, by name of the peer; and since when, if it has replaced another one. */
  readonly met: Readonly<Record<string, { readonly incarnation: string; readonly since?: number }>>;
}

export const NO_MEMORY: Memory = { left: {}, quiet: {}, met: {} };

export interface Decision extends PlaneChange {
  /** What the node moves to: the target, unless another key under its id has to go first. */
  readonly goal: Epoch;
  readonly blockedBy?: Epoch;
  /** To be written in place of `Sight.advertised`, and of nothing else (the API's resourceVersion). */
  readonly advertise?: Advertisement;
  /** Peers that still seal with an epoch which is refused. */
  readonly overdue: readonly { readonly peer: string; readonly epoch: Epoch }[];
  /** When to decide again though nothing has changed. */
  readonly wakeAt?: number;
  readonly memory: Memory;
}

/** What to take for the target while the Secret is gone or unreadable: the newest key that the node has advertised. */
export function targetWithoutKey(advertised: Advertisement | undefined): Epoch | undefined {
  return advertised?.opens.findLast(epoch => protocolOf(epoch) === 'ipsec');
}
