/** Netlink's type-length-value attributes (linux/netlink.h, struct nlattr), in a machine's own little-endian order. */

const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;
const HEADER = 4;

/** Builds a message body: a fixed header, then attributes. */
export class Writer {
  #buffer = Buffer.alloc(256);
  #length = 0;

  u8(value: number): this {
    this.#buffer.writeUInt8(value, this.#grow(1));
    return this;
  }

  u16(value: number): this {
    this.#buffer.writeUInt16LE(value, this.#grow(2));
    return this;
  }

  u32(value: number): this {
    this.#buffer.writeUInt32LE(value >>> 0, this.#grow(4));
    return this;
  }

  i32(value: number): this {
    this.#buffer.writeInt32LE(value, this.#grow(4));
    return this;
  }

  bytes(bytes: Uint8Array): this {
    const at = this.#grow(bytes.length);
    this.#buffer.set(bytes, at);
    return this;
  }

  /** One attribute; its value is what `body` writes, padded to 4 bytes after it. */
  attribute(type: number, body: (writer: this) => void): this {
    const start = this.#grow(HEADER);
    body(this);
    const length = this.#length - start;
    if (length > 0xffff) throw new RangeError(`netlink attribute ${type} is too long: ${length} bytes`);
    this.#buffer.writeUInt16LE(length, start);
    this.#buffer.writeUInt16LE(type, start + 2);
    this.#grow(align(length) - length);
    return this;
  }

  nested(type: number, body: (writer: this) => void): this {
    return this.attribute(type | NLA_F_NESTED, body);
  }

  attributeBytes(type: number, value: Uint8Array): this {
    return this.attribute(type, writer => writer.bytes(value));
  }

  attributeU8(type: number, value: number): this {
    return this.attribute(type, writer => writer.u8(value));
  }

  attributeU16(type: number, value: number): this {
    return this.attribute(type, writer => writer.u16(value));
  }

  /** Network order: UDP ports. */
  attributeBe16(type: number, value: number): this {
    return this.attributeBytes(type, Uint8Array.of(value >> 8, value & 0xff));
  }

  attributeU32(type: number, value: number): this {
    return this.attribute(type, writer => writer.u32(value));
  }

  attributeString(type: number, value: string): this {
    if (value.includes('\0')) throw new TypeError('a netlink string has no NUL in it');
    return this.attributeBytes(type, Buffer.from(`${value}\0`));
  }

  finish(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  #grow(size: number): number {
    const at = this.#length;
    if (at + size > this.#buffer.length) {
      const larger = Buffer.alloc(Math.max(this.#buffer.length * 2, at + size));
      larger.set(this.#buffer);
      this.#buffer = larger;
    }
    this.#length += size;
    return at;
  }
}

/** The attributes of a message by type. A value that is too short for what is asked counts as absent. */
export class Attributes {
  readonly #values: Map<number, Uint8Array>;

  constructor(bytes: Uint8Array) {
    this.#values = new Map(listAttributes(bytes));
  }

  bytes(type: number): Uint8Array | undefined {
    return this.#values.get(type);
  }

  u8(type: number): number | undefined {
    return this.#view(type, 1)?.getUint8(0);
  }

  u16(type: number): number | undefined {
    return this.#view(type, 2)?.getUint16(0, true);
  }

  be16(type: number): number | undefined {
    return this.#view(type, 2)?.getUint16(0);
  }

  u32(type: number): number | undefined {
    return this.#view(type, 4)?.getUint32(0, true);
  }

  i32(type: number): number | undefined {
    return this.#view(type, 4)?.getInt32(0, true);
  }

  /** Up to the first NUL. */
  string(type: number): string | undefined {
    const value = this.#values.get(type);
    if (!value) return undefined;
    const end = value.indexOf(0);
    return Buffer.from(end < 0 ? value : value.subarray(0, end)).toString();
  }

  nested(type: number): Attributes | undefined {
    const value = this.#values.get(type);
    return value && new Attributes(value);
  }

  #view(type: number, size: number): DataView | undefined {
    const value = this.#values.get(type);
    return value && value.length >= size
      ? new DataView(value.buffer, value.byteOffset, value.length)
      : undefined;
  }
}

/** In order, duplicates included; stops at the first one that is malformed. */
export function listAttributes(bytes: Uint8Array): [type: number, value: Uint8Array][] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const found: [number, Uint8Array][] = [];
  let at = 0;
  while (bytes.length - at >= HEADER) {
    const length = view.getUint16(at, true);
    if (length < HEADER || length > bytes.length - at) break;
    found.push([view.getUint16(at + 2, true) & NLA_TYPE_MASK, bytes.subarray(at + HEADER, at + length)]);
    at += align(length);
  }
  return found;
}

/** Netlink aligns messages and attributes to 4 bytes. */
export function align(length: number): number {
  return (length + 3) & ~3;
}
