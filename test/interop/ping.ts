/** ICMP and ICMPv6 echo, as whole IP packets. */
import { concatBytes } from '../../src/proto/bytes.ts';
import { parseAddress } from '../../src/proto/ip/address.ts';

const ICMP = 1;
const ICMPV6 = 58;

/** A request with sequence number `sequence` and 8 bytes of data. */
export function echoRequest(source: string, destination: string, sequence: number): Uint8Array {
  const [from, to] = [parseAddress(source)!, parseAddress(destination)!];
  const body = Uint8Array.of(
    from.family === 4 ? 8 : 128,
    0,
    0,
    0,
    0x50,
    0x45,
    sequence >> 8,
    sequence,
    ...Array(8).fill(7),
  );
  return wrap(from.bytes, to.bytes, body);
}

export function isEchoRequest(packet: Uint8Array): boolean {
  return isV4(packet) ? packet[9] === ICMP && packet[20] === 8 : packet[6] === ICMPV6 && packet[40] === 128;
}

/** The sequence number, or undefined for anything but an echo reply. */
export function echoReplySequence(packet: Uint8Array): number | undefined {
  const isReply = isV4(packet)
    ? packet[9] === ICMP && packet[20] === 0
    : packet[6] === ICMPV6 && packet[40] === 129;
  const offset = isV4(packet) ? 26 : 46;
  return isReply ? (packet[offset]! << 8) | packet[offset + 1]! : undefined;
}

export function replyTo(packet: Uint8Array): Uint8Array {
  const v4 = isV4(packet);
  const [source, destination] = v4
    ? [packet.slice(12, 16), packet.slice(16, 20)]
    : [packet.slice(8, 24), packet.slice(24, 40)];
  const body = packet.slice(v4 ? 20 : 40);
  body[0] = v4 ? 0 : 129;
  return wrap(destination, source, body);
}

function wrap(source: Uint8Array, destination: Uint8Array, body: Uint8Array): Uint8Array {
  body.set([0, 0], 2);
  if (source.length === 4) {
    body.set(checksum(body), 2);
    const length = 20 + body.length;
    const header = concatBytes(
      Uint8Array.of(0x45, 0, length >> 8, length, 0, 0, 0, 0, 64, ICMP, 0, 0),
      source,
      destination,
    );
    header.set(checksum(header), 10);
    return concatBytes(header, body);
  }
  const pseudo = concatBytes(source, destination, Uint8Array.of(0, 0, 0, body.length, 0, 0, 0, ICMPV6), body);
  body.set(checksum(pseudo), 2);
  const header = Uint8Array.of(0x60, 0, 0, 0, body.length >> 8, body.length, ICMPV6, 64);
  return concatBytes(header, source, destination, body);
}

/** RFC 1071. */
function checksum(bytes: Uint8Array): Uint8Array {
  let sum = 0;
  for (const [i, byte] of bytes.entries()) sum += i % 2 === 0 ? byte << 8 : byte;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return Uint8Array.of(~sum >> 8, ~sum);
}

function isV4(packet: Uint8Array): boolean {
  return packet[0]! >> 4 === 4;
}
