/** Addresses and CIDRs as canonical text, the form in which objects, plans and the kernel's tools compare them. */
import { createHash } from 'node:crypto';
import { type Address, addressToInteger, formatAddress, parseAddress } from '../proto/ip/address.ts';
import {
  type Cidr,
  contains as cidrContains,
  equalCidrs,
  formatCidr,
  hostCidr,
  network,
  nthAddress,
  overlaps,
  parseCidr,
  sizeOf,
} from '../proto/ip/cidr.ts';

export type Family = 4 | 6;

/** Canonical text of a CIDR with a prefix length and no bits beyond it; undefined for anything else. */
export function prefixOf(text: string): string | undefined {
  if (!text.includes('/')) return undefined;
  const cidr = parseCidr(text);
  if (!cidr || formatCidr(network(cidr)) !== formatCidr(cidr)) return undefined;
  return formatCidr(cidr);
}

/** Canonical text of an address; undefined for anything else. */
export function addressOf(text: string): string | undefined {
  const address = parseAddress(text);
  return address && formatAddress(address);
}

export function familyOf(text: string): Family {
  return text.includes(':') ? 6 : 4;
}

/** `10.0.0.1` -> `10.0.0.1/32`. */
export function hostPrefix(address: string): string {
  return formatCidr(hostCidr(parsedAddress(address)));
}

/** Whether an address or CIDR lies wholly inside. */
export function contains(prefix: string, inner: string): boolean {
  return cidrContains(parsed(prefix), parsed(inner));
}

export function samePrefix(a: string, b: string): boolean {
  return equalCidrs(parsed(a), parsed(b));
}

export function overlap(a: string, b: string): boolean {
  return overlaps(parsed(a), parsed(b));
}

/** The first address after the network's own: the CiliumInternalIP. A CIDR of one address has that. */
export function firstUsable(prefix: string): string {
  const cidr = parsed(prefix);
  return formatAddress(nthAddress(cidr, sizeOf(cidr) > 1n ? 1 : 0)!);
}

/** Whether a node can be reached at it from another node: not unspecified, loopback, link-local or multicast. */
export function isUnicast(address: string): boolean {
  return !NOT_NODES.some(prefix => familyOf(prefix) === familyOf(address) && contains(prefix, address));
}

const NOT_NODES = [
  '0.0.0.0/8',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '224.0.0.0/3',
  '::/127',
  'fe80::/10',
  'ff00::/8',
  '::ffff:0:0/96',
];

/** A locally administered unicast MAC that every node derives alike from an address of a node. */
export function macOf(address: string): string {
  const { family, bytes } = parsedAddress(address);
  const tail = family === 4 ? bytes : createHash('sha256').update(bytes).digest().subarray(0, 4);
  return [0x0a, family === 4 ? 0x58 : 0x59, ...tail]
    .map(byte => byte.toString(16).padStart(2, '0'))
    .join(':');
}

/** First and last address as integers, for sorting and searching within a family. */
export function rangeOf(prefix: string): { first: bigint; last: bigint } {
  const cidr = parsed(prefix);
  const first = addressToInteger(network(cidr).address);
  return { first, last: first + sizeOf(cidr) - 1n };
}

function parsed(text: string): Cidr {
  const cidr = parseCidr(text);
  if (!cidr) throw new TypeError(`not a CIDR: ${text}`);
  return cidr;
}

function parsedAddress(text: string): Address {
  const address = parseAddress(text);
  if (!address) throw new TypeError(`not an address: ${text}`);
  return address;
}
