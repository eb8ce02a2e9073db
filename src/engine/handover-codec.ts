/**
 * Plain data as bytes and back: undefined, null, booleans, numbers, bigints below 2^64, strings, byte strings, lists and
 * objects. Everything goes into one piece of memory, and byte strings come out as views of it: to wipe the one piece wipes
 * every secret in it.
 */

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

const text = new TextEncoder();

/** Throws a TypeError for anything else. Fields that are undefined are left out. */
export function encodeState(value: unknown): Buffer {
  const counting = new Writer(undefined);
  counting.value(value);
  const bytes = Buffer.alloc(counting.size);
  new Writer(bytes).value(value);
  return bytes;
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
  if (value instanceof Uint8Array) return Uint8Array.from(value) as T;
  if (Array.isArray(value)) return value.map(detached) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, detached(field)])) as T;
}

class Writer {
  /** Without it, only the size is found. */
  readonly #out: Buffer | undefined;
  size = 0;

  constructor(out: Buffer | undefined) {
    this.#out = out;
  }

  value(value: unknown): void {
    if (value === undefined) this.#byte(TAG.undefined);
    else if (value === null) this.#byte(TAG.null);
    else if (typeof value === 'boolean') this.#byte(value ? TAG.true : TAG.false);
    else if (typeof value === 'number') this.#number(value);
    else if (typeof value === 'bigint') this.#bigint(value);
    else if (typeof value === 'string') this.#bytes(TAG.string, text.encode(value));
    else if (value instanceof Uint8Array) this.#bytes(TAG.bytes, value);
    else if (Array.isArray(value)) this.#list(value);
    else if (typeof value === 'object') this.#object(value);
    else throw new TypeError(`a ${typeof value} cannot be encoded`);
  }

  #byte(value: number): void {
    this.#out?.writeUInt8(value, this.size);
    this.size += 1;
  }

  #count(value: number): void {
    this.#out?.writeUInt32LE(value, this.size);
    this.size += 4;
  }

  #number(value: number): void {
    this.#byte(TAG.number);
    this.#out?.writeDoubleLE(value, this.size);
    this.size += 8;
  }

  #bigint(value: bigint): void {
    this.#byte(TAG.bigint);
    this.#out?.writeBigUInt64LE(value, this.size);
    this.size += 8;
  }

  #bytes(tag: number, bytes: Uint8Array): void {
    this.#byte(tag);
    this.#count(bytes.length);
    this.#out?.set(bytes, this.size);
    this.size += bytes.length;
  }

  #list(values: readonly unknown[]): void {
    this.#byte(TAG.list);
    this.#count(values.length);
    for (const value of values) this.value(value);
  }

  #object(object: object): void {
    const fields = Object.entries(object).filter(([, value]) => value !== undefined);
    this.#byte(TAG.object);
    this.#count(fields.length);
    for (const [name, value] of fields) {
      this.value(name);
      this.value(value);
    }
  }
}

class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  value(): unknown {
    const tag = this.#take(1)[0];
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
        return this.#take(8).readDoubleLE();
      case TAG.bigint:
        return this.#take(8).readBigUInt64LE();
      case TAG.string:
        return this.#take(this.#count()).toString('utf8');
      case TAG.bytes:
        return this.#take(this.#count());
      case TAG.list:
        return Array.from({ length: this.#count() }, () => this.value());
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
      Object.defineProperty(object, name, {
        value: this.value(),
        enumerable: true,
        writable: true,
        configurable: true,
      });
    }
    return object;
  }

  /** Of parts, each of which takes a byte at least. */
  #count(): number {
    const count = this.#take(4).readUInt32LE();
    if (count > this.#bytes.length - this.#at) throw new RangeError('the bytes end too soon');
    return count;
  }

  #take(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new RangeError('the bytes end too soon');
    const part = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return part;
  }
}
