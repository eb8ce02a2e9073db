/** The native SAs against the slow and plain ones of src/proto/esp: the same bytes, the same decisions. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { sealEsp } from '../proto/esp/crypto.ts';
import { INBOUND_DROPS, OUTBOUND_DROPS } from '../proto/esp/drops.ts';
import { NEXT_HEADER } from '../proto/esp/packet.ts';
import { InboundSa, OutboundSa } from '../proto/esp/sa.ts';
import { type Suite, suiteName } from '../proto/esp/suite.ts';
import { testKeys, testPacket } from '../proto/esp/testpackets.ts';
import { PROFILES_UNDER_TEST } from '../proto/esp/testsuites.ts';
import { espAddon } from './esp-native.ts';
import { SPI, testState } from './esp-testpackets.ts';

const { EspSealer, EspOpener, gcmLibraries, avoidIpsecMb } = espAddon();
const LONGEST = 2100;
const GCM = 'rfc4106(gcm(aes))';
const suite = fc.constantFrom(...PROFILES_UNDER_TEST);

/** An inner packet of each family in turn. */
function inner(length: number): Uint8Array {
  return length < 40 || length % 2 === 0
    ? testPacket('10.9.0.1', '10.9.1.1', Math.max(20, length))
    : testPacket('fd09::1', 'fd09:1::1', length);
}

function opened(sa: InboundSa, packet: Uint8Array): Uint8Array | string {
  const result = sa.open(packet);
  return 'drop' in result ? INBOUND_DROPS[result.drop] : (result.inner ?? new Uint8Array());
}

function assertSame(actual: Uint8Array | string, expected: Uint8Array | string, what: string): void {
  if (typeof actual === 'string' || typeof expected === 'string') assert.equal(actual, expected, what);
  else assert.ok(Buffer.compare(actual, expected) === 0, what);
}

const [ownLibrary, ...otherLibraries] = gcmLibraries();
const ways = [
  ...PROFILES_UNDER_TEST.map(profile => ({
    profile,
    library: profile.cipher === GCM ? ownLibrary : undefined,
  })),
  ...otherLibraries.flatMap(library =>
    PROFILES_UNDER_TEST.filter(({ cipher }) => cipher === GCM).map(profile => ({ profile, library })),
  ),
];

for (const { profile, library } of ways) {
  describe(`${suiteName(profile)}, ICV of ${profile.icvLength} bytes${library ? `, ${library}` : ''}`, () => {
    before(() => avoidIpsecMb(library === 'OpenSSL'));
    after(() => avoidIpsecMb(false));

    for (const esn of [true, false]) {
      test(`every length, ${esn ? 'with' : 'without'} ESN: the same bytes out, and back`, () => {
        const sealer = new EspSealer(testState(profile, { esn }));
        const opener = new EspOpener(testState(profile, { direction: 'in', esn }));
        const reference = new OutboundSa({ spi: SPI, suite: profile, keys: testKeys(profile), esn });
        for (let length = 20; length <= LONGEST; length++) {
          const packet = inner(length);
          const expected = reference.seal(packet);
          assert.ok('packet' in expected);
          const sealed = sealer.seal(packet, packet[0]! >> 4 === 4 ? NEXT_HEADER.ipv4 : NEXT_HEADER.ipv6);
          assertSame(sealed, expected.packet, `sealing ${length} bytes`);
          assertSame(opener.open(expected.packet), packet, `opening ${length} bytes`);
        }
      });
    }

    test('payloads of every length that are no packet are told apart after opening', () => {
      const opener = new EspOpener(testState(profile, { direction: 'in' }));
      const reference = new InboundSa({ spi: SPI, suite: profile, keys: testKeys(profile) });
      const context = { suite: profile, keys: testKeys(profile), spi: SPI, esn: true };
      for (let length = 0; length <= 100; length++) {
        for (const [i, nextHeader] of [NEXT_HEADER.ipv4, NEXT_HEADER.ipv6, NEXT_HEADER.none, 17].entries()) {
          const sequence = BigInt(4 * length + i + 1);
          const packet = sealEsp({ ...context, sequence }, new Uint8Array(length).fill(0x45), nextHeader);
          assertSame(opener.open(packet), opened(reference, packet), `${length} bytes of ${nextHeader}`);
        }
      }
    });

    test('padding behind the inner packet is cut off', () => {
      const opener = new EspOpener(testState(profile, { direction: 'in' }));
      const packet = inner(100);
      const padded = new Uint8Array(1000);
      padded.set(packet);
      const context = { suite: profile, keys: testKeys(profile), spi: SPI, esn: true, sequence: 1n };
      assertSame(opener.open(sealEsp(context, padded, NEXT_HEADER.ipv4)), packet, 'TFC padding');
    });

    test('a flipped bit anywhere is noticed, and changes nothing', () => {
      const sealer = new EspSealer(testState(profile));
      const opener = new EspOpener(testState(profile, { direction: 'in' }));
      const packet = inner(60);
      const sealed = sealer.seal(packet, NEXT_HEADER.ipv4);
      assert.ok(typeof sealed !== 'string');
      // From the sequence number on: the SPI is what a state is found by.
      for (let bit = 32; bit < 8 * sealed.length; bit++) {
        const changed: Buffer = Buffer.from(sealed);
        changed[bit >> 3]! ^= 1 << (bit & 7);
        assert.equal(opener.open(changed), INBOUND_DROPS.state_protocol, `bit ${bit}`);
      }
      assertSame(opener.open(sealed), packet, 'the real one');
      assert.equal(opener.open(sealed), INBOUND_DROPS.state_sequence);
    });

    test('a packet cut off anywhere is refused as the reference does', () => {
      const sealed = new EspSealer(testState(profile)).seal(inner(120), NEXT_HEADER.ipv4);
      assert.ok(typeof sealed !== 'string');
      const opener = new EspOpener(testState(profile, { direction: 'in' }));
      const reference = new InboundSa({ spi: SPI, suite: profile, keys: testKeys(profile) });
      for (let length = 8; length < sealed.length; length++) {
        const cut = sealed.subarray(0, length);
        assertSame(opener.open(cut), opened(reference, cut), `${length} bytes`);
      }
    });
  });
}

describe('sequence numbers', () => {
  const [gcm] = PROFILES_UNDER_TEST as [Suite];
  const at = (sequence: bigint, esn = true) =>
    sealEsp({ suite: gcm, keys: testKeys(gcm), spi: SPI, esn, sequence }, inner(40), NEXT_HEADER.ipv4);

  test('replays, late and lost packets in any order: as the reference', () => {
    const step = fc.oneof(
      fc.integer({ min: -5000, max: 200 }),
      fc.integer({ min: -3, max: 3 }),
      fc.constantFrom(4095, -4095, -4096, -4097, 70_000),
    );
    const start = fc.constantFrom(0n, 1n, 4095n, 2n ** 32n - 2000n, 2n ** 32n - 1n, 2n ** 40n + 5n);
    const steps = fc.array(step, { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(
        fc.boolean(),
        start,
        fc.constantFrom(1024, 2000, 4096),
        steps,
        (esn, from, window, moves) => {
          const after = esn ? from : from & 0xffff_ffffn;
          const opener = new EspOpener(testState(gcm, { direction: 'in', esn, window, after }));
          const reference = new InboundSa({ spi: SPI, suite: gcm, keys: testKeys(gcm), esn, window, after });
          let last = after;
          for (const move of moves) {
            last += BigInt(move);
            if (last < 1n || (!esn && last >= 2n ** 32n)) last = 1n;
            const packet = at(last, esn);
            assertSame(opener.open(packet), opened(reference, packet), `number ${last}`);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test('go on over 2^32 with ESN, also when packets pass each other there', () => {
    for (const profile of PROFILES_UNDER_TEST) {
      const after = 2n ** 32n - 3n;
      const sealer = new EspSealer(testState(profile, { after }));
      const opener = new EspOpener(testState(profile, { direction: 'in', after }));
      const packets = Array.from({ length: 6 }, () => sealer.seal(inner(40), NEXT_HEADER.ipv4) as Buffer);
      assert.deepEqual(
        packets.map(packet => packet.readUInt32BE(4)),
        [0xffff_fffe, 0xffff_ffff, 0, 1, 2, 3],
      );
      for (const index of [2, 0, 5, 1, 4, 3])
        assertSame(opener.open(packets[index]!), inner(40), `packet ${index}`);
      for (const packet of packets) assert.equal(opener.open(packet), INBOUND_DROPS.state_sequence);
    }
  });

  test('stop at the end without ESN, and at every limit, as the reference', () => {
    const last = 2n ** 32n - 1n;
    const sealer = new EspSealer(testState(gcm, { esn: false, after: last - 2n }));
    for (let i = 0; i < 2; i++) assert.ok(typeof sealer.seal(inner(40), NEXT_HEADER.ipv4) !== 'string');
    for (let i = 0; i < 3; i++)
      assert.equal(sealer.seal(inner(40), NEXT_HEADER.ipv4), OUTBOUND_DROPS.state_sequence);

    const packets = new EspSealer(testState(gcm, { limits: { packetHard: 2n } }));
    const results = Array.from({ length: 4 }, () => packets.seal(inner(40), NEXT_HEADER.ipv4));
    assert.deepEqual(
      results.map(result => typeof result === 'string' && result),
      [false, false, OUTBOUND_DROPS.state_sequence, OUTBOUND_DROPS.state_sequence],
    );

    fc.assert(
      fc.property(
        suite,
        fc.bigInt(1n, 400n),
        fc.array(fc.integer({ min: 20, max: 1500 })),
        (profile, blocks, lengths) => {
          const limits = { packets: { due: 9n, last: 2n ** 64n - 1n }, blocks: { due: 1n, last: blocks } };
          const native = new EspSealer(testState(profile, { limits: { byteHard: 16n * blocks } }));
          const reference = new OutboundSa({ spi: SPI, suite: profile, keys: testKeys(profile), limits });
          for (const length of lengths) {
            const packet = testPacket('10.9.0.1', '10.9.1.1', length);
            const expected = reference.seal(packet);
            const result = native.seal(packet, NEXT_HEADER.ipv4);
            assertSame(
              result,
              'drop' in expected ? OUTBOUND_DROPS[expected.drop] : expected.packet,
              `${length} bytes`,
            );
          }
        },
      ),
    );
  });
});

describe('who may send what', () => {
  const [gcm] = PROFILES_UNDER_TEST as [Suite];

  test("an inner source that is not the peer's is refused", () => {
    const sealer = new EspSealer(testState(gcm));
    const opener = new EspOpener(testState(gcm, { direction: 'in' }));
    const sources = ['10.8.255.255', '10.10.0.0', '192.0.2.1', 'fd08::1', 'fe80::1', '::'];
    for (const source of sources) {
      const is6 = source.includes(':');
      const packet = testPacket(source, is6 ? 'fd09:1::1' : '10.9.1.1', 60);
      const sealed = sealer.seal(packet, is6 ? NEXT_HEADER.ipv6 : NEXT_HEADER.ipv4) as Buffer;
      assert.equal(opener.open(sealed), INBOUND_DROPS.template_mismatched, source);
    }
  });

  test('a dummy packet is taken, and carries nothing', () => {
    for (const profile of PROFILES_UNDER_TEST) {
      const sealed = new EspSealer(testState(profile)).seal(new Uint8Array(), NEXT_HEADER.none) as Buffer;
      assertSame(
        new EspOpener(testState(profile, { direction: 'in' })).open(sealed),
        new Uint8Array(),
        'dummy',
      );
    }
  });

  test('no bytes whatever make it read or write where it must not', () => {
    fc.assert(
      fc.property(
        suite,
        fc.uint8Array({ minLength: 8, maxLength: 300 }),
        fc.boolean(),
        (profile, bytes, esn) => {
          const opener = new EspOpener(testState(profile, { direction: 'in', esn }));
          const reference = new InboundSa({ spi: SPI, suite: profile, keys: testKeys(profile), esn });
          bytes.set([0, 0, 0, SPI]);
          assertSame(opener.open(bytes), opened(reference, bytes), 'garbage');
        },
      ),
      { numRuns: 1000 },
    );
  });
});
