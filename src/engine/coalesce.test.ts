import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { engineAddon } from './native.ts';
import { ipChecksum, tcpPacket, udpPacket } from './testpackets.ts';

const { coalesce, split } = engineAddon();

/** Packets of a few streams, each in order, as they come off the wire; undefined failed to open. */
const arrivals = fc
  .array(
    fc.record({
      flow: fc.constantFrom(1, 2),
      kind: fc.constantFrom(
        'full',
        'full',
        'full',
        'full',
        'short',
        'push',
        'gap',
        'corrupt',
        'empty',
        'fin',
        'udp',
        'failed',
      ),
    }),
    { maxLength: 60, size: 'max' },
  )
  .chain(steps =>
    fc.record({
      steps: fc.constant(steps),
      version: fc.constantFrom(4 as const, 6 as const),
      options: fc.boolean(),
    }),
  )
  .map(({ steps, version, options }) => {
    const next = new Map<number, { sequence: number; identification: number }>();
    return steps.map(({ flow, kind }, i) => {
      if (kind === 'failed') return undefined;
      if (kind === 'udp') return udpPacket(version, Buffer.alloc(30 + i, i));
      const at = next.get(flow) ?? { sequence: 0xfffff000, identification: 65_530 };
      if (kind === 'gap') at.sequence += 99;
      const length = kind === 'short' ? 300 : kind === 'empty' ? 0 : 1300;
      const flags = kind === 'push' ? 0x18 : kind === 'fin' ? 0x11 : 0x10;
      const payload = Buffer.alloc(length, i + 1);
      const packet = tcpPacket({ version, flow, payload, flags, options, ...at });
      if (kind === 'corrupt') packet[packet.length - 1]! ^= 1;
      next.set(flow, { sequence: at.sequence + length, identification: at.identification + 1 });
      return packet;
    });
  });

describe('merging before the TUN', () => {
  test('what is written, split again, is what came, in its order', () => {
    fc.assert(
      fc.property(arrivals, packets => {
        const written = coalesce(packets);
        assert.deepEqual(
          written.flatMap(bytes => split(bytes)),
          packets.filter(packet => packet !== undefined),
        );
      }),
      { numRuns: 500 },
    );
  });

  test('a full stream becomes few packets of at most 64 KB', () => {
    for (const version of [4, 6] as const) {
      const stream = Array.from({ length: 100 }, (_, i) =>
        tcpPacket({
          version,
          flow: 1,
          sequence: i * 1300,
          payload: Buffer.alloc(1300, i),
          identification: i,
        }),
      );
      const written = coalesce(stream);
      assert.equal(written.length, 2);
      for (const bytes of written) {
        const packet = bytes.subarray(10);
        assert.ok(packet.length <= 65_535);
        assert.equal(bytes[1], version === 4 ? 1 : 4);
        assert.equal(bytes.readUInt16LE(4), 1300);
        if (version === 4) assert.equal(ipChecksum(packet), 0);
      }
    }
  });

  test('a packet with a wrong checksum is never vouched for', () => {
    const stream = [0, 1, 2].map(i =>
      tcpPacket({ version: 4, flow: 1, sequence: i * 100, payload: Buffer.alloc(100, i) }),
    );
    for (const bad of [0, 1, 2]) {
      const packets = stream.map(packet => Buffer.from(packet));
      packets[bad]![70]! ^= 0x40;
      const written = coalesce(packets);
      const carrying = written.find(bytes => bytes.includes(packets[bad]!));
      assert.ok(carrying);
      assert.deepEqual([...carrying.subarray(0, 10)], Array(10).fill(0));
    }
  });
});
