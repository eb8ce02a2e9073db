import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { engineAddon } from './native.ts';
import {
  headerLength,
  ipChecksum,
  offloaded,
  tcpPacket,
  transportChecksum,
  udpPacket,
} from './testpackets.ts';

const { split } = engineAddon();
const GSO_TCP = { 4: 1, 6: 4 } as const;
const GSO_UDP = 5;
const FIN_PSH_ACK_CWR = 0x99;

const version = fc.constantFrom(4 as const, 6 as const);
const payload = (maxLength: number) => fc.uint8Array({ minLength: 1, maxLength, size: 'max' });

describe('splitting what the TUN hands over', () => {
  test('TCP: the same stream in segments with right headers and checksums', () => {
    fc.assert(
      fc.property(
        version,
        payload(9000),
        fc.integer({ min: 1, max: 1500 }),
        fc.boolean(),
        fc.nat(0xffffffff),
        (ip, bytes, segmentSize, options, sequence) => {
          const packet = tcpPacket({
            version: ip,
            flow: 1,
            sequence,
            payload: bytes,
            flags: FIN_PSH_ACK_CWR,
            identification: 65_534,
            options,
          });
          const start = headerLength(packet);
          const headers = start + (options ? 32 : 20);
          const type = GSO_TCP[ip];
          const parts = split(
            offloaded(packet, { type, segmentSize, checksumStart: start, checksumOffset: 16 }),
          )!;
          assert.equal(parts.length, Math.ceil(bytes.length / segmentSize));
          assert.deepEqual(Buffer.concat(parts.map(part => part.subarray(headers))), Buffer.from(bytes));
          for (const [i, part] of parts.entries()) {
            assert.equal(part.readUInt32BE(start + 4), (sequence + i * segmentSize) >>> 0);
            const isLast = i === parts.length - 1;
            assert.equal(part[start + 13], (isLast ? 0x19 : 0x10) | (i === 0 ? 0x80 : 0));
            assert.equal(part.readUInt16BE(start + 16), transportChecksum(part));
            if (ip === 6) assert.equal(part.readUInt16BE(4), part.length - 40);
            if (ip === 6) continue;
            assert.equal(part.readUInt16BE(2), part.length);
            assert.equal(part.readUInt16BE(4), (65_534 + i) & 0xffff);
            assert.equal(ipChecksum(part), 0);
          }
        },
      ),
    );
  });

  test('UDP: datagrams as they would have been sent one by one', () => {
    fc.assert(
      fc.property(version, payload(9000), fc.integer({ min: 1, max: 1500 }), (ip, bytes, segmentSize) => {
        const packet = udpPacket(ip, bytes);
        const checksumStart = headerLength(packet);
        const parts = split(
          offloaded(packet, { type: GSO_UDP, segmentSize, checksumStart, checksumOffset: 6 }),
        );
        const expected = [];
        for (let at = 0; at < bytes.length; at += segmentSize) {
          expected.push(udpPacket(ip, bytes.subarray(at, at + segmentSize), at / segmentSize));
        }
        assert.deepEqual(parts, expected);
      }),
    );
  });

  test('a partial checksum alone is completed', () => {
    fc.assert(
      fc.property(version, payload(1400), (ip, bytes) => {
        const tcp = tcpPacket({ version: ip, flow: 1, sequence: 1, payload: bytes });
        const udp = udpPacket(ip, bytes);
        const checksumStart = headerLength(tcp);
        assert.deepEqual(split(offloaded(tcp, { type: 0, checksumStart, checksumOffset: 16 })), [tcp]);
        assert.deepEqual(split(offloaded(udp, { type: 0, checksumStart, checksumOffset: 6 })), [udp]);
      }),
    );
  });

  test('a packet without offload stays as it is', () => {
    const packet = tcpPacket({ version: 4, flow: 1, sequence: 1, payload: Buffer.from('hello') });
    assert.deepEqual(split(Buffer.concat([Buffer.alloc(10), packet])), [packet]);
  });

  test('a header that does not fit its packet is refused', () => {
    const packet = tcpPacket({ version: 4, flow: 1, sequence: 1, payload: Buffer.alloc(100) });
    const good = { type: 1, segmentSize: 50, checksumStart: 20, checksumOffset: 16 };
    for (const wrong of [
      { segmentSize: 0 },
      { type: 4 },
      { type: 3 },
      { checksumStart: 10 },
      { checksumStart: 21 },
      { checksumOffset: 6 },
    ]) {
      assert.equal(split(offloaded(packet, { ...good, ...wrong })), undefined, JSON.stringify(wrong));
    }
    const beyond = Buffer.concat([Buffer.from([1, 0, 0, 0, 0, 0, 130, 0, 16, 0]), packet]);
    assert.equal(split(beyond), undefined);
    const longHeader = offloaded(packet, good);
    longHeader[10 + 20 + 12] = 0xf0;
    assert.equal(split(longHeader)?.length, 2);
    longHeader[10 + 20 + 12] = 0x40;
    assert.equal(split(longHeader), undefined);
  });

  test('no bytes whatever make it read or write where it must not', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom(0x45, 0x60, 0x4f), (bytes, first) => {
        if (bytes.length > 10) bytes[10] = first;
        const parts = split(bytes);
        for (const part of parts ?? []) assert.ok(part.length <= bytes.length);
      }),
      { numRuns: 2000 },
    );
  });
});
