/**
 * The keys of one direction of one pair of nodes in one boot of each, out of the master in the Secret. Whoever has the
 * master has them all; but no two directions, pairs or boots share a key, so that a counter that starts again at 1 never
 * starts again under the same key (CVE-2024-28860 was one raw key for all).
 *
 *     H(master | source | destination | boot of source | boot of destination), as many bytes as the master has
 *
 * H is SHA-256 for a master of up to 32 bytes, else SHA-512. Addresses are those of the tunnel in network order, 4 or 16
 * bytes; boots are the first 36 characters of the boot IDs. With auth + enc each of the two keys is a master.
 */
import { createHash } from 'node:crypto';
import { isZero } from '../bytes.ts';
import { parseAddress } from '../ip/address.ts';

/** One direction between two nodes; the other one has the two ends swapped. */
export interface Direction {
  readonly source: TunnelEnd;
  readonly destination: TunnelEnd;
}

export interface TunnelEnd {
  /** Text of the address that the ESP packets have. */
  readonly address: string;
  /** At least 36 characters: the kernel's boot ID, or whatever stands for it. */
  readonly bootId: string;
}

export const BOOT_ID_LENGTH = 36;
/** What H can give. */
export const LONGEST_MASTER = 64;

/** Whether the text can take part in a derivation: 36 printable ASCII characters, and any more. */
export function isBootId(text: string): boolean {
  return text.length >= BOOT_ID_LENGTH && /^[\x21-\x7e]+$/.test(text);
}

/** Throws for an address or a boot ID that is none: they are checked where they come in. */
export function deriveKey(master: Uint8Array, { source, destination }: Direction): Uint8Array {
  if (master.length > LONGEST_MASTER)
    throw new RangeError(`a master of ${master.length} bytes is too long to derive from`);
  const hash = createHash(master.length <= 32 ? 'sha256' : 'sha512').update(master);
  for (const end of [source, destination]) hash.update(addressBytes(end.address));
  for (const end of [source, destination]) hash.update(bootBytes(end.bootId));
  return new Uint8Array(hash.digest().subarray(0, master.length));
}

/** An IPv4 address in IPv6's clothes (RFC 4291, section 2.5.5.2) is the IPv4 address. */
function addressBytes(text: string): Uint8Array {
  const bytes = parseAddress(text)?.bytes;
  if (!bytes) throw new TypeError(`not an address: ${text}`);
  const isMapped =
    bytes.length === 16 && isZero(bytes.subarray(0, 10)) && bytes[10] === 0xff && bytes[11] === 0xff;
  return isMapped ? bytes.subarray(12) : bytes;
}

function bootBytes(bootId: string): Buffer {
  if (!isBootId(bootId)) throw new TypeError(`not a boot ID: ${bootId}`);
  return Buffer.from(bootId.slice(0, BOOT_ID_LENGTH), 'ascii');
}
