/** IPv4 and IPv6 addresses: text (RFC 4291 in, RFC 5952 out) and bytes. */
import { compareBytes, equalBytes } from '../bytes.ts';

export interface Address {
  readonly family: 4 | 6;
  /** 4 or 16 bytes in network order. */
  readonly bytes: Uint8Array;
}

/** Undefined for what is no address: leading zeros, shortened IPv4, ports, brackets, `%scope` are none. */
export function parseAddress(text: string): Address | undefined {
  const bytes = text.includes(':') ? parseV6(text) : parseV4(text);
  return bytes && addressOf(bytes);
}

/** The canonical text: dotted decimal, or RFC 5952 (lower case, the longest run of zeros as `::`, `::ffff:1.2.3.4`). */
export function formatAddress(address: Address): string {
  const { bytes } = address;
  if (address.family === 4) return bytes.join('.');
  const mapped = bytes.subarray(0, 10).every(byte => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
  if (mapped) return `::ffff:${bytes.subarray(12).join('.')}`;
  const groups = groupsOf(bytes);
  const run = longestZeroRun(groups);
  const hex = groups.map(group => group.toString(16));
  if (run.length < 2) return hex.join(':');
  return `${hex.slice(0, run.start).join(':')}::${hex.slice(run.start + run.length).join(':')}`;
}

/** The same address in its canonical text; undefined for what is no address. */
export function canonicalAddress(text: string): string | undefined {
  const address = parseAddress(text);
  return address && formatAddress(address);
}

/** Of 4 or 16 bytes; throws a RangeError for any other number. */
export function addressOf(bytes: Uint8Array): Address {
  if (bytes.length === 4) return { family: 4, bytes };
  if (bytes.length === 16) return { family: 6, bytes };
  throw new RangeError(`an IP address has 4 or 16 bytes, not ${bytes.length}`);
}

export function equalAddresses(a: Address, b: Address): boolean {
  return equalBytes(a.bytes, b.bytes);
}

/** IPv4 before IPv6, then by value. */
export function compareAddresses(a: Address, b: Address): number {
  return a.family - b.family || compareBytes(a.bytes, b.bytes);
}

export function addressToInteger(address: Address): bigint {
  return address.bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

/** Undefined when the family has no such address. */
export function addressFromInteger(family: 4 | 6, value: bigint): Address | undefined {
  const bytes = new Uint8Array(family === 4 ? 4 : 16);
  let rest = value;
  for (let i = bytes.length - 1; i >= 0; i--) {
    bytes[i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return rest === 0n ? { family, bytes } : undefined;
}

function parseV4(text: string): Uint8Array | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  const bytes = new Uint8Array(4);
  for (const [i, part] of parts.entries()) {
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) return undefined;
    bytes[i] = Number(part);
  }
  return bytes;
}

function parseV6(text: string): Uint8Array | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head = '', tail] = halves;
  const before = parseGroups(head, tail === undefined);
  const after = tail === undefined ? [] : parseGroups(tail, true);
  if (!before || !after) return undefined;
  const missing = 8 - before.length - after.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  const groups = [...before, ...new Array<number>(missing).fill(0), ...after];
  const bytes = new Uint8Array(16);
  for (const [i, group] of groups.entries()) {
    bytes[2 * i] = group >> 8;
    bytes[2 * i + 1] = group & 0xff;
  }
  return bytes;
}

/** Groups of 16 bits; the last 32 may stand as dotted decimal where the address ends here. */
function parseGroups(text: string, atEnd: boolean): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [i, part] of parts.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      groups.push(Number.parseInt(part, 16));
      continue;
    }
    const dotted = atEnd && i === parts.length - 1 ? parseV4(part) : undefined;
    if (!dotted) return undefined;
    groups.push((dotted[0]! << 8) | dotted[1]!, (dotted[2]! << 8) | dotted[3]!);
  }
  return groups.length <= 8 ? groups : undefined;
}

function groupsOf(bytes: Uint8Array): number[] {
  return Array.from({ length: 8 }, (_, i) => (bytes[2 * i]! << 8) | bytes[2 * i + 1]!);
}

/** The first of the longest. */
function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let length = 0;
  for (const [i, group] of groups.entries()) {
    length = group === 0 ? length + 1 : 0;
    if (length > best.length) best = { start: i + 1 - length, length };
  }
  return best;
}
