/** A key as the Secret has it. It never seals itself: the keys of each direction are derived from it. */
import { equalBytes, toHex } from '../bytes.ts';
import { type SaKeys, type Suite, suiteName } from '../esp/suite.ts';
import { type Direction, deriveKey } from './derive.ts';
import { fingerprintOf } from './fingerprint.ts';
import type { KeyId } from './keyid.ts';

export interface MasterOptions {
  id: KeyId;
  /** Written with `+` after the id. */
  marked: boolean;
  suite: Suite;
  /** Cipher key with its salt. */
  cipher: Uint8Array;
  integrity?: Uint8Array;
}

/** Its material is in private fields: printing, inspecting or serialising one shows none of it. */
export class MasterKey {
  readonly id: KeyId;
  readonly marked: boolean;
  readonly suite: Suite;
  /** Of algorithms, lengths and material, not of the id. */
  readonly fingerprint: string;
  readonly #keys: SaKeys;

  constructor(options: MasterOptions) {
    const { id, marked, suite, cipher, integrity } = options;
    this.id = id;
    this.marked = marked;
    this.suite = suite;
    this.#keys = integrity === undefined ? { cipher } : { cipher, integrity };
    const algorithms = `${suiteName(suite)} ${8 * suite.icvLength}`;
    this.fingerprint = fingerprintOf(algorithms, cipher, ...(integrity === undefined ? [] : [integrity]));
  }

  /** The keys with which `source` seals and `destination` opens. */
  derive(direction: Direction): SaKeys {
    const cipher = deriveKey(this.#keys.cipher, direction);
    const { integrity } = this.#keys;
    return integrity === undefined ? { cipher } : { cipher, integrity: deriveKey(integrity, direction) };
  }

  /** Integrity and cipher were given the same bytes. */
  get hasOneKeyForBoth(): boolean {
    const { cipher, integrity } = this.#keys;
    return integrity !== undefined && equalBytes(cipher, integrity);
  }

  /** Whether both would derive the same cipher keys, and so use counters of each other. */
  sharesMaterial(other: MasterKey): boolean {
    return equalBytes(this.#keys.cipher, other.#keys.cipher);
  }

  /** The line of the Secret, key material and all: for the Secret itself and for who asks to be shown the key. */
  secretLine(): string {
    const { suite } = this;
    const { cipher, integrity } = this.#keys;
    const id = `${this.id}${this.marked ? '+' : ''}`;
    return integrity === undefined
      ? `${id} ${suite.cipher} ${toHex(cipher)} ${8 * suite.icvLength}`
      : `${id} ${suite.integrity} ${toHex(integrity)} ${suite.cipher} ${toHex(cipher)}`;
  }
}
