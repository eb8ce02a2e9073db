/**
 * TAI64N labels: 8 bytes of seconds since 1970 TAI plus 2^62, 4 bytes of nanoseconds, big-endian, so that labels sort as
 * bytes. An initiation carries one, and its receiver takes only a greater one than the last.
 */
import { compareBytes } from '../bytes.ts';
import { INITIATIONS_PER_SECOND } from './limits.ts';

export const TIMESTAMP_BYTES = 12;

/** 2^62 plus the ten seconds between TAI and UTC of 1970; leap seconds are left out, as everybody does. */
const EPOCH = 0x400000000000000an;
/** Nanoseconds are cut to this power of two, so that the label tells an observer of the clock no more than it must. */
const STEP = 2 ** Math.floor(Math.log2(1e9 / INITIATIONS_PER_SECOND));
const STEPS_PER_SECOND = Math.floor(1e9 / STEP);

export function encodeTimestamp(seconds: number, nanos: number): Uint8Array {
  const label = new Uint8Array(TIMESTAMP_BYTES);
  const view = new DataView(label.buffer);
  view.setBigUint64(0, EPOCH + BigInt(Math.floor(seconds)));
  view.setUint32(8, nanos - (nanos % STEP));
  return label;
}

/** Gives labels that only ever grow, also when the wall clock is set back. */
export class TimestampSource {
  #last: Uint8Array;
  readonly #wallClock: () => { seconds: number; nanos: number };

  constructor(wallClock: () => { seconds: number; nanos: number }, floor?: Uint8Array) {
    this.#wallClock = wallClock;
    this.#last = floor?.length === TIMESTAMP_BYTES ? Uint8Array.from(floor) : new Uint8Array(TIMESTAMP_BYTES);
  }

  get last(): Uint8Array {
    return Uint8Array.from(this.#last);
  }

  next(): Uint8Array {
    const { seconds, nanos } = this.#wallClock();
    const label = encodeTimestamp(seconds, nanos);
    this.#last = compareBytes(label, this.#last) > 0 ? label : successor(this.#last);
    return Uint8Array.from(this.#last);
  }
}

/** The next label on the grid. */
function successor(label: Uint8Array): Uint8Array {
  const next = Uint8Array.from(label);
  const view = new DataView(next.buffer);
  const step = Math.floor(view.getUint32(8) / STEP) + 1;
  const carry = step > STEPS_PER_SECOND;
  view.setUint32(8, carry ? 0 : step * STEP);
  if (carry) view.setBigUint64(0, view.getBigUint64(0) + 1n);
  return next;
}
