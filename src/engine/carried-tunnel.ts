import type { CarriedDevice } from '../proto/wireguard/carried.ts';
import type { Place, SavedLoop } from './native.ts';

/** A handshake message that came, and was not yet looked at. */
export interface HeldHandshake {
  readonly bytes: Uint8Array;
  readonly from: Place;
}

/** A tunnel on its way to another process. The byte strings are those that are in use, secrets too: not to be kept. */
export interface CarriedTunnel {
  readonly loop: SavedLoop;
  readonly device: CarriedDevice;
  readonly listenPort: number;
  readonly mark: number;
  readonly isBound: boolean;
  readonly slots: readonly {
    readonly id: string;
    readonly number: number;
    readonly endpoint?: Place | undefined;
    readonly isWaiting: boolean;
  }[];
  readonly handshakes: readonly HeldHandshake[];
}
