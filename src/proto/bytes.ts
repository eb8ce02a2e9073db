/** Byte strings and their texts. */

export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/** Not for secrets: ends at the first difference. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** Negative, 0 or positive, as `memcmp`; a prefix comes before what it begins. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}

/** Looks at every byte whatever they are. */
export function isZero(bytes: Uint8Array): boolean {
  let sum = 0;
  for (const byte of bytes) sum |= byte;
  return sum === 0;
}

const SECRETS_BYTES = 4096;
let secrets = new ArrayBuffer(SECRETS_BYTES);
let secretsUsed = 0;

/**
 * Zeros, for a secret. V8 keeps small arrays on its own heap, moves them, and copies them out for native
 * code, and what was there before stays: these are outside, so that who wipes them wipes them whole.
 */
export function secretBytes(length: number): Uint8Array {
  if (length > SECRETS_BYTES) return new Uint8Array(new ArrayBuffer(length));
  if (secretsUsed + length > SECRETS_BYTES) {
    secrets = new ArrayBuffer(SECRETS_BYTES);
    secretsUsed = 0;
  }
  const bytes = new Uint8Array(secrets, secretsUsed, length);
  secretsUsed += length;
  return bytes;
}

export function secretCopy(bytes: Uint8Array): Uint8Array {
  const copy = secretBytes(bytes.length);
  copy.set(bytes);
  return copy;
}

/** Overwrites secrets that are no longer needed. */
export function wipe(...secrets: readonly Uint8Array[]): void {
  for (const secret of secrets) secret.fill(0);
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}

/** Undefined unless `text` is whole bytes of hex in either case. */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) return undefined;
  return moved(Buffer.from(text, 'hex'));
}

export function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
}

/** Undefined unless `text` is the canonical, padded base64 of some bytes (RFC 4648, section 4). */
export function fromBase64(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, 'base64');
  const isCanonical = bytes.toString('base64') === text;
  const own = moved(bytes);
  return isCanonical ? own : undefined;
}

/** Out of the memory that small Buffers share, where a secret would stay. */
function moved(bytes: Buffer): Uint8Array {
  const own = new Uint8Array(bytes);
  wipe(bytes);
  return own;
}

/** A key of 32 bytes in the 44 characters that `wg` prints; undefined for anything else. */
export function fromKeyText(text: string): Uint8Array | undefined {
  const key = text.length === 44 ? fromBase64(text) : undefined;
  return key?.length === 32 ? key : undefined;
}
