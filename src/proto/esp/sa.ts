/**
 * Security associations in tunnel mode: the counter of the one that seals, the window of the one that opens. Key and
 * counter never come twice: an SA that goes on under the same keys after a restart is given where its forerunner stopped.
 */
import { readHeader } from '../ip/header.ts';
import { type EspContext, openEsp, sealEsp } from './crypto.ts';
import type { InboundDrop, OutboundDrop } from './drops.ts';
import {
  BLOCK_BYTES,
  LEAST_REPLAY_WINDOW,
  REPLAY_WINDOW,
  type SealingLimits,
  sealingLimits,
} from './limits.ts';
import {
  ESP_HEADER_LENGTH,
  NEXT_HEADER,
  type NextHeader,
  nextHeaderOf,
  paddingOf,
  readEspHeader,
  TRAILER_LENGTH,
} from './packet.ts';
import type { SaKeys, Suite } from './suite.ts';
import { recoverSequence, SequenceWindow } from './window.ts';

interface SaOptions {
  spi: number;
  suite: Suite;
  keys: SaKeys;
  /** Extended sequence numbers; on by default. */
  esn?: boolean;
}

export interface OutboundOptions extends SaOptions {
  /** Where an SA with the same keys stopped: the last number it can have used, and the blocks it sealed. */
  after?: { sequence: bigint; blocks: bigint };
  limits?: SealingLimits;
}

export interface InboundOptions extends SaOptions {
  /** In packets, at least 1024. */
  window?: number;
  /** The highest number that an SA with the same keys has taken. */
  after?: bigint;
}

export type Sealed = { packet: Uint8Array; sequence: bigint } | { drop: OutboundDrop };

/** `inner` is absent for a dummy packet (next header 59), which proves the SA and carries nothing. */
export type Opened = { nextHeader: NextHeader; inner?: Uint8Array; sequence: bigint } | { drop: InboundDrop };

export class OutboundSa {
  readonly spi: number;
  readonly limits: SealingLimits;
  readonly #context: Omit<EspContext, 'sequence'>;
  #sequence: bigint;
  #blocks: bigint;

  constructor(options: OutboundOptions) {
    const { spi, suite, keys, esn = true } = options;
    this.spi = spi;
    this.limits = options.limits ?? sealingLimits(suite, esn);
    this.#context = { spi, suite, keys: checked(suite, keys), esn };
    this.#sequence = options.after?.sequence ?? 0n;
    this.#blocks = options.after?.blocks ?? 0n;
  }

  /** The last number used (0: none) and the blocks sealed. */
  get used(): { sequence: bigint; blocks: bigint } {
    return { sequence: this.#sequence, blocks: this.#blocks };
  }

  /** The counter nears its limit: a new key should take over. */
  get isDue(): boolean {
    const { packets, blocks } = this.limits;
    return this.#sequence >= packets.due || this.#blocks >= blocks.due;
  }

  /** An IPv4 or IPv6 packet; without one a dummy packet. */
  seal(inner?: Uint8Array): Sealed {
    const nextHeader = inner === undefined ? NEXT_HEADER.none : nextHeaderOf(inner);
    if (nextHeader === undefined) return { drop: 'state_mode' };
    const payload = inner ?? new Uint8Array();
    const blocks = this.#blocks + this.#blocksOf(payload.length);
    if (this.#sequence >= this.limits.packets.last) return { drop: 'state_sequence' };
    if (blocks > this.limits.blocks.last) return { drop: 'state_expired' };
    const sequence = ++this.#sequence;
    this.#blocks = blocks;
    return { packet: sealEsp({ ...this.#context, sequence }, payload, nextHeader), sequence };
  }

  #blocksOf(length: number): bigint {
    const sealed = length + paddingOf(this.#context.suite, length) + TRAILER_LENGTH;
    return BigInt(Math.ceil(sealed / BLOCK_BYTES));
  }
}

export class InboundSa {
  readonly spi: number;
  readonly #context: Omit<EspContext, 'sequence'>;
  readonly #window: SequenceWindow;

  constructor(options: InboundOptions) {
    const { spi, suite, keys, esn = true, window = REPLAY_WINDOW } = options;
    if (window < LEAST_REPLAY_WINDOW) throw new RangeError(`a window of ${window} packets is too small`);
    this.spi = spi;
    this.#context = { spi, suite, keys: checked(suite, keys), esn };
    this.#window = new SequenceWindow(window, options.after);
  }

  /** The highest number taken, 0 for none. */
  get top(): bigint {
    return this.#window.top;
  }

  /** Opens a whole ESP packet, without its outer IP header. The tag is checked before the window moves. */
  open(packet: Uint8Array): Opened {
    const { suite, esn } = this.#context;
    const header = readEspHeader(packet);
    const least = ESP_HEADER_LENGTH + suite.ivLength + suite.alignment + suite.icvLength;
    if (!header || packet.length < least) return { drop: 'header' };
    if (header.spi !== this.spi) return { drop: 'no_state' };
    const { sequenceLow } = header;
    const sequence = esn
      ? recoverSequence(sequenceLow, this.#window.top, this.#window.size)
      : BigInt(sequenceLow);
    if (sequence === undefined) return { drop: 'state_sequence' };
    const opened = openEsp({ ...this.#context, sequence }, packet);
    if (!opened) return { drop: 'state_protocol' };
    if (!this.#window.accept(sequence)) return { drop: 'state_sequence' };
    return innerOf(opened.payload, opened.nextHeader, sequence);
  }
}

/** What follows the inner packet is padding against traffic analysis (RFC 4303, section 2.7). */
function innerOf(payload: Uint8Array, nextHeader: number, sequence: bigint): Opened {
  if (nextHeader === NEXT_HEADER.none) return { nextHeader, sequence };
  const header = readHeader(payload);
  const family = header && nextHeaderOf(payload);
  if (!header || family === undefined || family !== nextHeader) return { drop: 'state_mode' };
  return { nextHeader: family, inner: payload.subarray(0, header.length), sequence };
}

function checked(suite: Suite, keys: SaKeys): SaKeys {
  const integrity = keys.integrity?.length ?? 0;
  if (keys.cipher.length !== suite.keyLength + suite.saltLength || integrity !== suite.integrityKeyLength) {
    throw new RangeError(`the keys have not the lengths of ${suite.cipher}`);
  }
  return keys;
}
