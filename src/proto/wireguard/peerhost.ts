import type { Activity, DeviceEvent, Transmit } from './api.ts';
import type { PrivateKey } from './crypto.ts';

/** What one peer needs of its device. */
export interface PeerHost {
  readonly identity: PrivateKey | undefined;
  readonly isUp: boolean;
  random(bytes: number): Uint8Array;
  wallClock(): { seconds: number; nanos: number };
  nextTimestamp(): Uint8Array;
  activity(): Activity;
  /** The session began anew: the device's own record of the peer's activity, if it keeps one, does too. */
  sessionBegan(): void;
  /** A setter moved the peer's next timeout. */
  timersChanged(): void;
  allocateIndex(): number;
  releaseIndex(index: number): void;
  emit(event: DeviceEvent): void;
  transmit(transmit: Transmit): void;
}
