/**
 * The engine's native sealing and opening against the slow and plain ones in TypeScript, over whole sessions of random
 * packets that are sealed, lost, changed, repeated and put out of order: the same bytes, the same decisions. For so many
 * seconds each as PELLICLE_DIFFERENTIAL_SECONDS says.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { espAddon } from '../../src/engine/esp-native.ts';
import { SPI, testState } from '../../src/engine/esp-testpackets.ts';
import { engineAddon } from '../../src/engine/native.ts';
import { sealEsp } from '../../src/proto/esp/crypto.ts';
import { INBOUND_DROPS, OUTBOUND_DROPS } from '../../src/proto/esp/drops.ts';
import { InboundSa, OutboundSa } from '../../src/proto/esp/sa.ts';
import type { SaKeys, Suite } from '../../src/proto/esp/suite.ts';
import { testPacket } from '../../src/proto/esp/testpackets.ts';
import { PROFILES_UNDER_TEST } from '../../src/proto/esp/testsuites.ts';
import { open, seal } from '../../src/proto/wireguard/crypto.ts';
import { ReplayWindow } from '../../src/proto/wireguard/replay.ts';

const seconds = Number(process.env['PELLICLE_DIFFERENTIAL_SECONDS'] ?? 3);
const bounded = { numRuns: Number.MAX_SAFE_INTEGER, interruptAfterTimeLimit: 1000 * seconds };
const native = engineAddon();
const { EspSealer, EspOpener, avoidIpsecMb } = espAddon();
const FRONT = 64;
const nothing = new Uint8Array();

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const payload = fc.oneof(
  { weight: 9, arbitrary: fc.uint8Array({ maxLength: 200 }) },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.nat(9000), fc.nat(255)).map(([length, fill]) => new Uint8Array(length).fill(fill)),
  },
);
const fate = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('arrives', 'lost', 'twice', 'late') }) },
  fc.record({ kind: fc.constant('changed'), at: fc.nat(), bits: fc.integer({ min: 1, max: 255 }) }),
  fc.record({ kind: fc.constant('cut'), at: fc.nat() }),
);
type Fate = { kind: string; at?: number; bits?: number };

/** What the other end gets of packets, in the order in which it gets it. */
function transmitted<T>(
  packets: readonly { packet: Uint8Array; fate: Fate; about: T }[],
): { packet: Uint8Array; about: T }[] {
  const arrived: { packet: Uint8Array; about: T }[] = [];
  const late: { packet: Uint8Array; about: T }[] = [];
  for (const { packet, fate, about } of packets) {
    const changed = Uint8Array.from(packet);
    if (fate.kind === 'changed') changed[fate.at! % packet.length]! ^= fate.bits!;
    if (fate.kind === 'late') late.push({ packet, about });
    else if (fate.kind === 'cut')
      arrived.push({ packet: packet.subarray(0, fate.at! % packet.length), about });
    else if (fate.kind !== 'lost') arrived.push({ packet: changed, about });
    if (fate.kind === 'twice') arrived.push({ packet, about });
  }
  return [...arrived, ...late];
}

describe('native and plain do the same', () => {
  test('WireGuard: sessions of any key, from any counter on', () => {
    const start = fc.oneof(
      fc.constantFrom(0n, 2n ** 32n - 3n, 2n ** 63n, 2n ** 64n - 2n ** 13n - 20n),
      fc.bigInt(0n, 2n ** 60n),
    );
    const packet = fc.record({
      payload,
      fate,
      skip: fc.oneof(fc.constant(0), fc.nat(70), fc.constantFrom(8127, 8128, 8129, 20_000)),
    });
    let packets = 0;
    fc.assert(
      fc.property(bytes(32), start, fc.array(packet, { maxLength: 20 }), (key, first, given) => {
        let counter = first;
        const sent = given.flatMap(({ payload, fate, skip }) => {
          counter += BigInt(skip) + 1n;
          if (counter >= 2n ** 64n - 2n ** 13n - 1n) return [];
          const expected = seal(key, counter, payload, nothing);
          const sealed = native.seal(key, counter, payload);
          assert.ok(sealed && Buffer.compare(sealed.subarray(FRONT), expected) === 0, `${counter}`);
          return [{ packet: expected, fate, about: counter }];
        });
        const window = new ReplayWindow();
        const authentic: { counter: bigint; taken: boolean }[] = [];
        for (const { packet, about } of transmitted(sent)) {
          packets++;
          const expected = open(key, about, packet, nothing);
          const opened = native.open(key, about, packet)?.[1].subarray(FRONT);
          assert.equal(opened === undefined, expected === undefined);
          if (!expected || !opened) continue;
          assert.ok(Buffer.compare(opened, expected) === 0);
          authentic.push({ counter: about, taken: window.accept(about) });
        }
        assert.deepEqual(
          native.replay(authentic.map(each => each.counter)),
          authentic.map(each => each.taken),
        );
      }),
      bounded,
    );
    assert.ok(packets > 50, `only ${packets} packets in ${seconds} s`);
  });

  test('ESP: sessions of any suite and key, with and without ESN', () => {
    const inner = fc.oneof(
      {
        weight: 3,
        arbitrary: fc
          .tuple(fc.integer({ min: 40, max: 1500 }), fc.boolean())
          .map(([length, v6]) =>
            v6 ? testPacket('fd09::1', 'fd09:1::1', length) : testPacket('10.9.0.1', '10.9.1.1', length),
          ),
      },
      { weight: 1, arbitrary: payload },
    );
    const packet = fc.record({
      inner,
      fate,
      nextHeader: fc.option(fc.constantFrom(4, 41, 59, 6)),
      skip: fc.oneof(fc.constant(0), fc.nat(70), fc.constantFrom(1024, 4096, 70_000)),
    });
    const session = fc.record({
      avoids: fc.boolean(),
      suite: fc.constantFrom(...PROFILES_UNDER_TEST),
      material: bytes(128),
      esn: fc.boolean(),
      window: fc.integer({ min: 1024, max: 4096 }),
      after: fc.oneof(
        fc.constantFrom(0n, 1n, 4095n, 2n ** 32n - 40n, 2n ** 40n - 3n),
        fc.bigInt(0n, 2n ** 50n),
      ),
      packets: fc.array(packet, { maxLength: 20 }),
    });
    let packets = 0;
    fc.assert(
      fc.property(session, ({ avoids, suite, material, esn, window, after: given, packets: list }) => {
        avoidIpsecMb(avoids);
        const after = esn ? given : given & 0xffff_fff0n;
        const keys = keysOf(suite, material);
        const sealer = new EspSealer(testState(suite, { keys, esn, after }));
        const plainSealer = new OutboundSa({
          spi: SPI,
          suite,
          keys,
          esn,
          after: { sequence: after, blocks: 0n },
        });
        const opener = new EspOpener(testState(suite, { keys, esn, window, after, direction: 'in' }));
        const plainOpener = new InboundSa({ spi: SPI, suite, keys, esn, window, after });
        let jumped = 0n;
        const sent = list.flatMap(({ inner, fate, nextHeader, skip }) => {
          const own = inner.length > 0 && inner[0]! >> 4 === 6 ? 41 : 4;
          // As the SA numbers them, or as a peer that lies or has lost count.
          if (nextHeader === null && [4, 6].includes((inner[0] ?? 0) >> 4)) {
            const expected = plainSealer.seal(inner);
            const sealed = sealer.seal(inner, own);
            if ('drop' in expected) {
              assert.equal(sealed, OUTBOUND_DROPS[expected.drop]);
              return [];
            }
            assert.ok(typeof sealed !== 'string' && Buffer.compare(sealed, expected.packet) === 0);
            return [{ packet: expected.packet, fate, about: undefined }];
          }
          jumped += BigInt(skip);
          const sequence = plainSealer.used.sequence + jumped;
          if (!esn && sequence > 0xffff_ffffn) return [];
          const context = { spi: SPI, suite, keys, esn, sequence };
          return [{ packet: sealEsp(context, inner, nextHeader ?? own), fate, about: undefined }];
        });
        for (const { packet } of transmitted(sent)) {
          // The SPI is what a state is found by: another is never handed to it.
          if (packet.length >= 4 && Buffer.from(packet).readUInt32BE() !== SPI) continue;
          packets++;
          const expected = plainOpener.open(packet);
          const opened = opener.open(packet);
          if ('drop' in expected) assert.equal(opened, INBOUND_DROPS[expected.drop]);
          else
            assert.ok(typeof opened !== 'string' && Buffer.compare(opened, expected.inner ?? nothing) === 0);
        }
      }),
      bounded,
    );
    assert.ok(packets > 50, `only ${packets} packets in ${seconds} s`);
  });
});

function keysOf(suite: Suite, material: Uint8Array): SaKeys {
  const cipher = material.slice(0, suite.keyLength + suite.saltLength);
  return suite.integrity === undefined
    ? { cipher }
    : { cipher, integrity: material.slice(64, 64 + suite.integrityKeyLength) };
}
