/** What makes a plan real. One interface, several implementations, one contract suite (contract.ts). */
import type { WireGuardPlan } from '../model/plan.ts';

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
