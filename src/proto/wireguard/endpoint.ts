/** Endpoints as text: `192.0.2.1:51820`, `[2001:db8::1]:51820`, `[fe80::1%eth0]:51820`. */
import { canonicalAddress } from '../ip/address.ts';
import type { Endpoint } from './api.ts';

export function formatEndpoint(endpoint: Endpoint): string {
  const { address, port } = endpoint;
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/**
 * Undefined for anything but a literal address with a port of 0 to 65535. Nothing can be sent to port 0, but datagrams can
 * come from it, and what is told of a peer has to be taken back.
 */
export function parseEndpoint(text: string): Endpoint | undefined {
  const match = /^(?:\[([^[\]%]*)(%[^[\]%\s]+)?\]|([0-9.]+)):([0-9]{1,5})$/.exec(text);
  if (!match) return undefined;
  const [, v6, scope = '', v4, digits] = match;
  const address = canonicalAddress(v6 ?? v4 ?? '');
  const port = Number(digits);
  if (!address || address.includes(':') !== (v6 !== undefined) || port > 65535) return undefined;
  return { address: address + scope, port };
}
