/** Ranges of addresses by prefix: `10.244.1.0/24`. */
import {
  type Address,
  addressFromInteger,
  addressToInteger,
  equalAddresses,
  formatAddress,
  parseAddress,
} from './address.ts';

/** The address may have bits beyond the prefix (`10.0.0.7/24` on an interface); `network` clears them. */
export interface Cidr {
  readonly address: Address;
  /** 0 to 32, or 0 to 128. */
  readonly prefix: number;
}

/** `address/prefix`, or a bare address for that one alone. Undefined for what is neither. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/');
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (!address) return undefined;
  if (slash < 0) return hostCidr(address);
  const prefix = text.slice(slash + 1);
  if (!/^(0|[1-9][0-9]{0,2})$/.test(prefix) || Number(prefix) > widthOf(address)) return undefined;
  return { address, prefix: Number(prefix) };
}

export function formatCidr(cidr: Cidr): string {
  return `${formatAddress(cidr.address)}/${cidr.prefix}`;
}

/** One address alone: /32 or /128. */
export function hostCidr(address: Address): Cidr {
  return { address, prefix: widthOf(address) };
}

/** The same range with the bits beyond the prefix cleared. */
export function network(cidr: Cidr): Cidr {
  const bytes = cidr.address.bytes.map((byte, i) => byte & maskByte(cidr.prefix, i));
  return { address: { family: cidr.address.family, bytes }, prefix: cidr.prefix };
}

/** Whether an address, or the whole of another range, lies in the range. */
export function contains(cidr: Cidr, inner: Address | Cidr): boolean {
  const { address, prefix } = 'prefix' in inner ? inner : hostCidr(inner);
  if (address.family !== cidr.address.family || prefix < cidr.prefix) return false;
  return address.bytes.every((byte, i) => ((byte ^ cidr.address.bytes[i]!) & maskByte(cidr.prefix, i)) === 0);
}

export function overlaps(a: Cidr, b: Cidr): boolean {
  return a.prefix <= b.prefix ? contains(a, b) : contains(b, a);
}

export function equalCidrs(a: Cidr, b: Cidr): boolean {
  return a.prefix === b.prefix && equalAddresses(network(a).address, network(b).address);
}

/** How many addresses the range has. */
export function sizeOf(cidr: Cidr): bigint {
  return 1n << BigInt(widthOf(cidr.address) - cidr.prefix);
}

/** The address at `index` from the start of the range, or with a negative index from its end (-1 is the last). */
export function nthAddress(cidr: Cidr, index: number | bigint): Address | undefined {
  const size = sizeOf(cidr);
  const offset = BigInt(index) < 0n ? size + BigInt(index) : BigInt(index);
  if (offset < 0n || offset >= size) return undefined;
  return addressFromInteger(cidr.address.family, addressToInteger(network(cidr).address) + offset);
}

/** Bits of an address of this family: 32 or 128. */
export function widthOf(address: Address): number {
  return address.family === 4 ? 32 : 128;
}

function maskByte(prefix: number, index: number): number {
  const bits = Math.min(8, Math.max(0, prefix - 8 * index));
  return (0xff << (8 - bits)) & 0xff;
}
