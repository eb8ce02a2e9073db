/** Inner packets and keys for tests. */
import { parseAddress } from '../ip/address.ts';
import type { SaKeys, Suite } from './suite.ts';

/** An IPv4 or IPv6 packet of the protocol for experiments (253) with so many bytes in all. */
export function testPacket(source: string, destination: string, length: number): Uint8Array {
  const [from, to] = [parseAddress(source)!, parseAddress(destination)!];
  const packet = Uint8Array.from({ length }, (_, i) => i & 0xff);
  if (from.family === 4) {
    packet.set([0x45, 0, length >> 8, length & 0xff, 0, 0, 0, 0, 64, 253, 0, 0]);
    packet.set(from.bytes, 12);
    packet.set(to.bytes, 16);
  } else {
    packet.set([0x60, 0, 0, 0, (length - 40) >> 8, (length - 40) & 0xff, 253, 64]);
    packet.set(from.bytes, 8);
    packet.set(to.bytes, 24);
  }
  return packet;
}

/** Keys of the right lengths, different for different seeds. */
export function testKeys(suite: Suite, seed = 1): SaKeys {
  const bytes = (length: number, start: number) =>
    Uint8Array.from({ length }, (_, i) => (start + 37 * i) & 0xff);
  const cipher = bytes(suite.keyLength + suite.saltLength, seed);
  return suite.integrity === undefined
    ? { cipher }
    : { cipher, integrity: bytes(suite.integrityKeyLength, seed + 5) };
}
