import type { Activity, DeviceEvent, Peer, Transmit } from './api.ts';
import type { KeyPair } from './crypto.ts';

/** What the peers of a device need of it: one object for all of them. */
export interface PeerHost {
  readonly identity: KeyPair | undefined;
  readonly isUp: boolean;
  /** Random milliseconds, for retries. */
  jitter(): number;
  /** A key pair of a fresh private key. */
  ephemeral(): KeyPair;
  /** One of a private key that was carried over; it is copied. */
  keyPair(privateKey: Uint8Array): KeyPair;
  wallClock(): { seconds: number; nanos: number };
  nextTimestamp(): Uint8Array;
  activity(peer: Peer): Activity;
  /** The session began anew: the device's own record of the peer's activity, if it keeps one, does too. */
  sessionBegan(peer: Peer): void;
  /** A setter moved the peer's next timeout. */
  timersChanged(peer: Peer): void;
  /** An index that from now on leads to the peer. */
  allocateIndex(peer: Peer): number;
  releaseIndex(index: number): void;
  emit(event: DeviceEvent): void;
  transmit(transmit: Transmit): void;
}
