/** What makes a plan real. One interface, several implementations, one contract suite (contract.ts). */
import type { Epoch } from '../model/epochs/epoch.ts';
import type { IpsecPlan, IpsecPlanPeer, WireGuardPlan } from '../model/plan.ts';
import type { SealingLimits } from '../proto/esp/limits.ts';
import type { SaKeys, Suite } from '../proto/esp/suite.ts';

export interface Driver<Desired, Observed> {
  readonly name: string;
  /**
   * Makes the whole desired state so with the smallest change, as often as one likes. Answers what it changed, as short
   * phrases for the log; an empty list when all was right already. What is right is not touched.
   */
  apply(desired: Desired): Promise<string[]>;
  observe(): Promise<Observed>;
  /** Takes everything away that `apply` ever made, also by a process before this one. */
  cleanUp(): Promise<void>;
}

/** The WireGuard device of this node, whoever seals: the kernel or an engine. */
export type WireGuardDriver = Driver<WireGuardDesired, WireGuardObserved>;

export interface WireGuardDesired extends WireGuardPlan {
  /** 32 bytes. */
  privateKey: Uint8Array;
}

export interface WireGuardObserved {
  /** base64; absent when no private key is set. */
  publicKey?: string;
  listenPort: number;
  mark: number;
  peers: ObservedPeer[];
}

export interface ObservedPeer {
  /** base64. */
  publicKey: string;
  endpoint?: { address: string; port: number };
  allowedIPs: string[];
  /** Seconds, 0 is off. */
  persistentKeepalive: number;
  /** Unix time in milliseconds; absent: never. */
  lastHandshake?: number;
  receivedBytes: number;
  sentBytes: number;
}

/** The SAs of this node and what is sealed by which, whoever seals: the kernel or an engine. */
export interface IpsecDriver extends Driver<IpsecDesired, IpsecObserved> {
  /**
   * Sends one packet without content (RFC 4303, section 2.6) that the peer hears of. Rejects when the epoch is not open
   * for this run of the peer.
   */
  probe(peer: string, epoch: Epoch, incarnation: string): Promise<void>;
}

/** All SAs that are to be there: others are deleted, those of peers that are gone among them. */
export interface IpsecDesired extends Omit<IpsecPlan, 'peers'> {
  /** The run of the data plane for which all keys were derived. `apply` rejects when another one is there by now. */
  run: string;
  peers: IpsecDesiredPeer[];
}

export interface IpsecDesiredPeer extends Omit<IpsecPlanPeer, 'openings'> {
  openings: IpsecOpening[];
}

/** Both directions between this node and one run of the peer, under one key. */
export interface IpsecOpening {
  incarnation: string;
  epoch: Epoch;
  /** Absent: they are not known (any more), and the SAs are kept as they are if they are there. */
  keys?: OpeningKeys;
}

export interface OpeningKeys {
  suite: Suite;
  out: SaKeys;
  in: SaKeys;
  /** Of `out`. */
  limits: SealingLimits;
}

export interface IpsecObserved {
  /** UUID of this run of the data plane; its counters are as old. */
  run: string;
  openings: ObservedOpening[];
  /** Whose traffic is sealed by what; a peer without is sent nothing. */
  seals: { peer: string; incarnation: string; epoch: Epoch }[];
  states: ObservedState[];
  /** Packets dropped since the run began, by the kernel's names of the reasons (src/proto/esp/drops.ts). */
  drops: Record<string, number>;
}

/** Both directions are there; one alone is no opening. */
export interface ObservedOpening {
  peer: string;
  incarnation: string;
  epoch: Epoch;
  /** Unix time in milliseconds when something of the peer was last opened; absent: never. */
  heardAt?: number;
  in: SaCounters;
  out: SaCounters & {
    /** A new key should come: a limit is near. */
    due: boolean;
    /** It has sealed as much as it may, and stopped. */
    expired: boolean;
  };
}

export interface SaCounters {
  /** The last sequence number sent, or the highest one received. */
  sequence: bigint;
  packets: bigint;
  bytes: bigint;
}

/** One SA in one direction. */
export interface ObservedState {
  direction: 'in' | 'out';
  source: string;
  destination: string;
  spi: number;
  /** As `ip xfrm` has it, such as `rfc4106(gcm(aes))`; empty when not told. */
  algorithm: string;
  /** Absent: not of this agent's making. */
  owner?: { peer: string; incarnation: string; epoch: Epoch };
  counters: SaCounters;
  /** Unix time in milliseconds; absent: never. */
  lastUsed?: number;
  due: boolean;
  expired: boolean;
  /** Inner sources that may come out (direction `in`). */
  selectors: string[];
}

/** The device cannot be driven now (no engine, no answer, its port taken). It is worth trying again. */
export class DriverUnavailable extends Error {
  override readonly name = 'DriverUnavailable';
  /** Of an Event. */
  readonly reason: 'EngineUnavailable' | 'PortTaken';

  constructor(message: string, reason: DriverUnavailable['reason'] = 'EngineUnavailable') {
    super(message);
    this.reason = reason;
  }
}
