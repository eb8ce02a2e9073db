/** Texts of addresses to what netlink carries and back. */
import { formatAddress, parseAddress } from '../../proto/ip/address.ts';
import { type Cidr, parseCidr } from '../../proto/ip/cidr.ts';

export type Family = 4 | 6;

export const AF_UNSPEC = 0;
export const AF_INET = 2;
export const AF_BRIDGE = 7;
export const AF_INET6 = 10;

export function afOf(family: Family): number {
  return family === 4 ? AF_INET : AF_INET6;
}

export function familyOf(af: number): Family | undefined {
  if (af === AF_INET) return 4;
  return af === AF_INET6 ? 6 : undefined;
}

/** Throws a TypeError for what is no address: who calls has checked it before. */
export function requireAddress(text: string): { family: Family; bytes: Uint8Array } {
  const address = parseAddress(text);
  if (!address) throw new TypeError(`not an IP address: ${JSON.stringify(text)}`);
  return address;
}

export function requireCidr(text: string): Cidr {
  const cidr = parseCidr(text);
  if (!cidr) throw new TypeError(`not an IP prefix: ${JSON.stringify(text)}`);
  return cidr;
}

/** Undefined for bytes that are no address of either family. */
export function addressText(bytes: Uint8Array | undefined): string | undefined {
  if (bytes?.length === 4) return formatAddress({ family: 4, bytes });
  if (bytes?.length === 16) return formatAddress({ family: 6, bytes });
  return undefined;
}

/** `0.0.0.0/0` and `::/0` when the kernel sent no address. */
export function cidrText(family: Family, bytes: Uint8Array | undefined, prefix: number): string {
  return `${addressText(bytes) ?? (family === 4 ? '0.0.0.0' : '::')}/${prefix}`;
}

export function macText(bytes: Uint8Array | undefined): string | undefined {
  if (bytes?.length !== 6) return undefined;
  return Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join(':');
}

export function requireMac(text: string): Uint8Array {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) {
    throw new TypeError(`not a MAC address: ${JSON.stringify(text)}`);
  }
  return Uint8Array.from(text.split(':'), byte => Number.parseInt(byte, 16));
}
