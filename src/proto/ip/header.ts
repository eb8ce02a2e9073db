/** The fixed headers of IPv4 (RFC 791) and IPv6 (RFC 8200), as far as routing and padding need them. */
import { type Address, addressOf } from './address.ts';

export interface PacketHeader {
  readonly source: Address;
  readonly destination: Address;
  /** Bytes of the whole packet by its header: what follows is padding. */
  readonly length: number;
}

/** Undefined for what is no whole IP packet. */
export function readHeader(packet: Uint8Array): PacketHeader | undefined {
  const version = (packet[0] ?? 0) >> 4;
  if (version === 4 && packet.length >= 20) return headerOf(packet, 12, 4, readU16(packet, 2), 20);
  if (version === 6 && packet.length >= 40) return headerOf(packet, 8, 16, readU16(packet, 4) + 40, 40);
  return undefined;
}

function headerOf(packet: Uint8Array, offset: number, width: number, length: number, least: number) {
  if (length < least || length > packet.length) return undefined;
  const source = addressOf(packet.slice(offset, offset + width));
  const destination = addressOf(packet.slice(offset + width, offset + 2 * width));
  return { source, destination, length };
}

function readU16(bytes: Uint8Array, offset: number): number {
  return (bytes[offset]! << 8) | bytes[offset + 1]!;
}
