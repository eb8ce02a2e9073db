/** Packets for the tests of this room, built and checked without any of the native code. */

export interface Segment {
  version: 4 | 6;
  /** Last byte of both addresses, and both ports. */
  flow: number;
  sequence: number;
  payload: Uint8Array;
  flags?: number;
  identification?: number;
  /** Timestamps option (RFC 7323). */
  options?: boolean;
}

const TCP_ACK = 0x10;

export function tcpPacket(segment: Segment): Buffer {
  const { version, flow, sequence, payload, flags = TCP_ACK, identification = 0, options = false } = segment;
  const tcp = Buffer.alloc(options ? 32 : 20);
  tcp.writeUInt16BE(1000 + flow, 0);
  tcp.writeUInt16BE(2000 + flow, 2);
  tcp.writeUInt32BE(sequence >>> 0, 4);
  tcp.writeUInt32BE(7, 8);
  tcp[12] = (tcp.length / 4) << 4;
  tcp[13] = flags;
  tcp.writeUInt16BE(512, 14);
  if (options) tcp.write('0101080a0000000100000002', 20, 'hex');
  const packet = Buffer.concat([
    ipHeader(version, 6, flow, tcp.length + payload.length, identification),
    tcp,
    payload,
  ]);
  packet.writeUInt16BE(transportChecksum(packet), headerLength(packet) + 16);
  return packet;
}

export function udpPacket(version: 4 | 6, payload: Uint8Array, identification = 0): Buffer {
  const udp = Buffer.alloc(8);
  udp.writeUInt16BE(1000, 0);
  udp.writeUInt16BE(2000, 2);
  udp.writeUInt16BE(8 + payload.length, 4);
  const packet = Buffer.concat([ipHeader(version, 17, 1, 8 + payload.length, identification), udp, payload]);
  packet.writeUInt16BE(transportChecksum(packet) || 0xffff, headerLength(packet) + 6);
  return packet;
}

export interface OffloadFields {
  type: number;
  segmentSize?: number;
  checksumStart: number;
  checksumOffset: number;
}

/** As the TUN device hands a packet over whose transport checksum is left to the reader. */
export function offloaded(packet: Buffer, fields: OffloadFields): Buffer {
  const header = Buffer.alloc(10);
  header[0] = 1;
  header[1] = fields.type;
  header.writeUInt16LE(fields.segmentSize ?? 0, 4);
  header.writeUInt16LE(fields.checksumStart, 6);
  header.writeUInt16LE(fields.checksumOffset, 8);
  const copy = Buffer.from(packet);
  const pseudo = fold(pseudoSum(copy, copy.length - fields.checksumStart));
  copy.writeUInt16BE(pseudo, fields.checksumStart + fields.checksumOffset);
  return Buffer.concat([header, copy]);
}

/** The checksum that belongs into the transport header, whatever stands there. */
export function transportChecksum(packet: Buffer): number {
  const copy = Buffer.from(packet);
  const start = headerLength(copy);
  copy.writeUInt16BE(0, start + (protocolOf(copy) === 6 ? 16 : 6));
  return ~fold(pseudoSum(copy, copy.length - start) + sumOf(copy.subarray(start))) & 0xffff;
}

/** Of the IPv4 header; 0 when it is right. */
export function ipChecksum(packet: Buffer): number {
  return ~fold(sumOf(packet.subarray(0, 20))) & 0xffff;
}

export function headerLength(packet: Buffer): number {
  return packet[0]! >> 4 === 4 ? 20 : 40;
}

function ipHeader(
  version: 4 | 6,
  protocol: number,
  flow: number,
  length: number,
  identification: number,
): Buffer {
  if (version === 6) {
    const header = Buffer.from(`60000000000000400000${'00'.repeat(30)}`, 'hex');
    header.writeUInt16BE(length, 4);
    header[6] = protocol;
    header[7] = 64;
    header.set([0xfd, 0, 9], 8);
    header.set([0xfd, 0, 9], 24);
    header[23] = flow;
    header[39] = flow + 100;
    return header;
  }
  const header = Buffer.from([
    0x45,
    0,
    0,
    0,
    0,
    0,
    0x40,
    0,
    64,
    protocol,
    0,
    0,
    10,
    9,
    0,
    flow,
    10,
    9,
    1,
    flow,
  ]);
  header.writeUInt16BE(20 + length, 2);
  header.writeUInt16BE(identification & 0xffff, 4);
  header.writeUInt16BE(ipChecksum(header), 10);
  return header;
}

function protocolOf(packet: Buffer): number {
  return packet[0]! >> 4 === 4 ? packet[9]! : packet[6]!;
}

function pseudoSum(packet: Buffer, length: number): number {
  const addresses = packet[0]! >> 4 === 4 ? packet.subarray(12, 20) : packet.subarray(8, 40);
  return sumOf(addresses) + protocolOf(packet) + length;
}

function sumOf(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) + (bytes[i + 1] ?? 0);
  return sum;
}

function fold(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + Math.floor(folded / 0x10000);
  return folded;
}
