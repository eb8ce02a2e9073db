/**
 * What a device knows, as plain data: for a process that takes over from another one on the same machine, at the same clock.
 * The byte strings are those that are in use, secrets too: whoever asks for it copies them at once, and keeps none.
 */
import type { DropReason } from './drops.ts';

export interface CarriedDevice {
  readonly privateKey?: Uint8Array | undefined;
  /** Label of the last initiation. */
  readonly timestamp: Uint8Array;
  readonly isUp: boolean;
  readonly drops: Readonly<Record<DropReason, number>>;
  readonly peers: readonly CarriedPeer[];
}

/** Times are milliseconds of the device's clock. */
export interface CarriedPeer {
  /** Hex of the public key. */
  readonly id: string;
  readonly presharedKey?: Uint8Array | undefined;
  readonly endpoint?: CarriedEndpoint | undefined;
  readonly persistentKeepalive: number;
  readonly lastHandshake?: { readonly seconds: number; readonly nanos: number } | undefined;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly timers?: CarriedTimers | undefined;
  readonly signer?: CarriedSigner | undefined;
  readonly guard?: CarriedGuard | undefined;
  readonly pending?: CarriedInitiation | undefined;
  readonly reserved?: CarriedAnswer | undefined;
  /** Local indexes. */
  readonly keypairs: readonly number[];
  readonly sessionAt?: number | undefined;
  readonly initiatedAt?: number | undefined;
  readonly unconfirmedAt?: number | undefined;
}

export interface CarriedEndpoint {
  readonly configured?: CarriedPlace | undefined;
  readonly heard?: CarriedPlace | undefined;
  readonly tries: number;
}

/** With whatever else the packet loop has put into it. */
interface CarriedPlace {
  readonly address: string;
  readonly port: number;
}

export interface CarriedTimers {
  readonly armed: readonly { readonly name: string; readonly since: number; readonly at: number }[];
  readonly attemptingSince: number;
  readonly persistentInterval: number;
  readonly handshakeTrafficAt: number;
}

export interface CarriedSigner {
  readonly cookie?: { readonly value: Uint8Array; readonly at: number } | undefined;
  readonly awaited?: Uint8Array | undefined;
}

export interface CarriedGuard {
  readonly greatest?: Uint8Array | undefined;
  readonly takenAt?: number | undefined;
}

export interface CarriedInitiation {
  readonly chainingKey: Uint8Array;
  readonly hash: Uint8Array;
  /** The private half, which is a copy: to be wiped. */
  readonly ephemeral: Uint8Array;
  readonly localIndex: number;
  readonly sentAt: number;
}

export interface CarriedAnswer {
  readonly initiatorToResponder: Uint8Array;
  readonly responderToInitiator: Uint8Array;
  readonly transcript: Uint8Array;
  readonly remoteIndex: number;
}
