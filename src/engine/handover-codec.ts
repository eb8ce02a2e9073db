/**
 * Plain data as bytes and back: undefined, null, booleans, numbers, bigints below 2^64, strings, byte strings, lists and
 * objects. Everything goes into one piece of memory, and byte strings come out as views of it: to wipe the one piece wipes
 * every secret in it.
 */
import { secretCopy } from '../proto/bytes.ts';

const TAG = {
  undefined: 0,
  null: 1,
  false: 2,
  true: 3,
  number: 4,
  bigint: 5,
  string: 6,
  bytes: 7,
  list: 8,
  object: 9,
} as const;

const FIRST_BYTES = 1 << 16;
const MOST_NAMES = 1000;

/** Throws a TypeError for anything else. Fields that are undefined are left out. */
export function encodeState(value: unknown): Buffer {
  const writer = new Writer();
  writer.value(value);
  return writer.bytes;
}

/** Throws a RangeError for bytes that `encodeState` did not make. */
export function decodeState(bytes: Buffer): unknown {
  const reader = new Reader(bytes);
  const value = reader.value();
  reader.end();
  return value;
}

/** The same, with byte strings of its own. */
export function detached<T>(value: T): T {
  if (value instanceof Uint8Array) return secretCopy(value) as typeof value;
  if (Array.isArray(value)) return value.map(detached) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, detached(field)])) as T;
}

class Writer {
  #buffer = Buffer.alloc(FIRST_BYTES);
  #size = 0;
  /** Names of fields come again and again. */
  readonly #names = new Map<string, Buffer>();

  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#size);
  }

  value(value: unknown): void {
    if (value === undefined) this.#byte(TAG.undefined);
    else if (value === null) this.#byte(TAG.null);
    else if (typeof value === 'boolean') this.#byte(value ? TAG.true : TAG.false);
    else if (typeof value === 'number') this.#number(value);
    else if (typeof value === 'bigint') this.#bigint(value);
    else if (typeof value === 'string') this.#string(value);
    else if (value instanceof Uint8Array) this.#bytes(TAG.bytes, value);
    else if (Array.isArray(value)) this.#list(value);
    else if (typeof value === 'object') this.#object(value);
    else throw new TypeError(`a ${typeof value} cannot be encoded`);
  }

  /** Where so many bytes may be written. */
  #room(bytes: number): number {
    const at = this.#size;
    this.#size += bytes;
    if (this.#size > this.#buffer.length) {
      const before = this.#buffer;
      this.#buffer = Buffer.alloc(2 * this.#size);
      before.copy(this.#buffer);
      before.fill(0);
    }
    return at;
  }

  #byte(value: number): void {
    const at = this.#room(1);
    this.#buffer[at] = value;
  }

  #tagAndCount(tag: number, count: number): void {
    const at = this.#room(5);
    this.#buffer[at] = tag;
    this.#buffer.writeUInt32LE(count, at + 1);
  }

  #number(value: number): void {
    const at = this.#room(9);
    this.#buffer[at] = TAG.number;
    this.#buffer.writeDoubleLE(value, at + 1);
  }

  #bigint(value: bigint): void {
    const at = this.#room(9);
    this.#buffer[at] = TAG.bigint;
    this.#buffer.writeBigUInt64LE(value, at + 1);
  }

  #string(value: string): void {
    const length = Buffer.byteLength(value);
    this.#tagAndCount(TAG.string, length);
    const at = this.#room(length);
    this.#buffer.write(value, at, 'utf8');
  }

  #bytes(tag: number, bytes: Uint8Array): void {
    this.#tagAndCount(tag, bytes.length);
    const at = this.#room(bytes.length);
    this.#buffer.set(bytes, at);
  }

  #list(values: readonly unknown[]): void {
    this.#tagAndCount(TAG.list, values.length);
    for (const value of values) this.value(value);
  }

  #object(object: object): void {
    const count = this.#size + 1;
    this.#tagAndCount(TAG.object, 0);
    let fields = 0;
    for (const [name, value] of Object.entries(object)) {
      if (value === undefined) continue;
      fields++;
      this.#bytes(TAG.string, this.#name(name));
      this.value(value);
    }
    this.#buffer.writeUInt32LE(fields, count);
  }

  #name(name: string): Buffer {
    let known = this.#names.get(name);
    if (!known) {
      known = Buffer.from(name);
      if (this.#names.size < MOST_NAMES) this.#names.set(name, known);
    }
    return known;
  }
}

class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  value(): unknown {
    const tag = this.#bytes[this.#skip(1)];
    switch (tag) {
      case TAG.undefined:
        return undefined;
      case TAG.null:
        return null;
      case TAG.false:
        return false;
      case TAG.true:
        return true;
      case TAG.number:
        return this.#bytes.readDoubleLE(this.#skip(8));
      case TAG.bigint:
        return this.#bytes.readBigUInt64LE(this.#skip(8));
      case TAG.string: {
        const start = this.#skip(this.#count());
        return this.#bytes.toString('utf8', start, this.#at);
      }
      case TAG.bytes: {
        const start = this.#skip(this.#count());
        return this.#bytes.subarray(start, this.#at);
      }
      case TAG.list:
        return this.#list();
      case TAG.object:
        return this.#object();
      default:
        throw new RangeError(`there is no value of kind ${tag}`);
    }
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw new RangeError('there are bytes behind the value');
  }

  #object(): Record<string, unknown> {
    const object: Record<string, unknown> = {};
    for (let left = this.#count(); left > 0; left--) {
      const name = this.value();
      if (typeof name !== 'string') throw new RangeError('the name of a field is no string');
      if (name === '__proto__') throw new RangeError('a field cannot have that name');
      object[name] = this.value();
    }
    return object;
  }

  /** Of parts, each of which takes a byte at least. */
  #count(): number {
    const count = this.#bytes.readUInt32LE(this.#skip(4));
    if (count > this.#bytes.length - this.#at) throw new RangeError('the bytes end too soon');
    return count;
  }

  #list(): unknown[] {
    const values: unknown[] = [];
    for (let left = this.#count(); left > 0; left--) values.push(this.value());
    return values;
  }

  /** Where the part that is passed over begins. */
  #skip(length: number): number {
    const start = this.#at;
    if (length > this.#bytes.length - start) throw new RangeError('the bytes end too soon');
    this.#at = start + length;
    return start;
  }
}
