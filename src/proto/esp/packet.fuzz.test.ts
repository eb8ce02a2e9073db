/** ESP packets with anything inside, rightly sealed or not: never a throw, and every one is delivered or has its reason. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { openEsp, sealEsp } from './crypto.ts';
import { INBOUND_DROPS } from './drops.ts';
import {
  longestPayload,
  nextHeaderOf,
  readEspHeader,
  sealedLength,
  withoutTrailer,
  withTrailer,
} from './packet.ts';
import { InboundSa } from './sa.ts';
import { testKeys } from './testpackets.ts';
import { PROFILES_UNDER_TEST } from './testsuites.ts';

const suite = fc.constantFrom(...PROFILES_UNDER_TEST);
const SPI = 3;

describe('ESP packets', () => {
  test('rightly sealed, with any payload and next header: delivered, or dropped for what is inside', () => {
    const message = fc.record({
      payload: fc.oneof(fc.uint8Array({ maxLength: 120 }), innerLike()),
      nextHeader: fc.oneof(fc.constantFrom(4, 41, 59), fc.nat(255)),
      sequence: fc.oneof(fc.bigInt(1n, 50n), fc.bigInt(0n, 2n ** 34n)),
    });
    fc.assert(
      fc.property(suite, fc.boolean(), fc.array(message, { maxLength: 12 }), (suite, esn, messages) => {
        const keys = testKeys(suite);
        const sa = new InboundSa({ spi: SPI, suite, keys, esn });
        const seen = new Set<bigint>();
        for (const { payload, nextHeader, sequence: given } of messages) {
          const sequence = esn ? given : given & 0xffff_ffffn;
          const top = sa.top;
          const packet = sealEsp({ spi: SPI, suite, keys, esn, sequence }, payload, nextHeader);
          const opened = sa.open(packet);
          if ('drop' in opened) {
            assert.ok(Object.hasOwn(INBOUND_DROPS, opened.drop));
            // The tag was right if the high half was guessed right.
            if (opened.drop === 'state_mode') seen.add(sequence);
            if (!esn) assert.ok(opened.drop === 'state_mode' || opened.drop === 'state_sequence');
            if (opened.drop === 'state_sequence') assert.ok(sequence <= top || esn);
            continue;
          }
          assert.ok(!seen.has(sequence) && opened.sequence === sequence);
          seen.add(sequence);
          assert.equal(opened.nextHeader, nextHeader);
          if (!opened.inner) assert.equal(nextHeader, 59);
          else {
            assert.equal(nextHeaderOf(opened.inner), nextHeader);
            assert.deepEqual(opened.inner, payload.slice(0, opened.inner.length));
          }
        }
      }),
      { numRuns: 1000 },
    );
  });

  test('one changed bit, or one byte less: nothing is opened, and the window stays', () => {
    fc.assert(
      fc.property(
        suite,
        fc.boolean(),
        fc.uint8Array({ maxLength: 90 }),
        fc.nat(),
        fc.nat(7),
        (suite, esn, payload, at, bit) => {
          const keys = testKeys(suite);
          const context = { spi: SPI, suite, keys, esn, sequence: 9n };
          const packet = sealEsp(context, payload, 4);
          assert.equal(packet.length, sealedLength(suite, payload.length));
          const changed = Uint8Array.from(packet);
          changed[at % packet.length]! ^= 1 << bit;
          const sa = new InboundSa({ spi: SPI, suite, keys, esn });
          for (const wrong of [changed, packet.subarray(0, at % packet.length)]) {
            const opened = sa.open(wrong);
            assert.ok('drop' in opened && ['header', 'no_state', 'state_protocol'].includes(opened.drop));
            assert.equal(sa.top, 0n);
          }
          const right = openEsp(context, packet);
          assert.ok(right);
          assert.deepEqual(Buffer.from(right.payload), Buffer.from(payload));
        },
      ),
      { numRuns: 1000 },
    );
  });

  test('the trailer comes off as it went on; what has none is told apart', () => {
    fc.assert(
      fc.property(suite, fc.uint8Array({ maxLength: 300 }), fc.nat(255), (suite, bytes, nextHeader) => {
        const whole = withTrailer(suite, bytes, nextHeader);
        assert.equal(whole.length % suite.alignment, 0);
        assert.deepEqual(withoutTrailer(whole), { payload: bytes, nextHeader });
        const found = withoutTrailer(bytes);
        if (found) assert.ok(found.payload.length <= bytes.length - 2);
        const header = readEspHeader(bytes);
        assert.equal(header === undefined, bytes.length < 8);
      }),
    );
  });

  test('the longest payload fits, and one byte more does not', () => {
    fc.assert(
      fc.property(suite, fc.nat(70_000), (suite, room) => {
        const longest = longestPayload(suite, room);
        if (longest > 0) assert.ok(sealedLength(suite, longest) <= room);
        assert.ok(sealedLength(suite, longest + 1) > room);
      }),
    );
  });
});

/** Of an IP version, with a length that may or may not be its own. */
function innerLike(): fc.Arbitrary<Uint8Array> {
  return fc
    .tuple(fc.uint8Array({ minLength: 20, maxLength: 90 }), fc.boolean(), fc.integer({ min: -3, max: 3 }))
    .map(([bytes, v6, off]) => {
      const packet = v6 && bytes.length < 40 ? new Uint8Array(40) : bytes;
      packet[0] = v6 ? 0x60 : 0x45;
      const length = Math.max(0, packet.length + off - (v6 ? 40 : 0));
      packet.set([length >> 8, length & 255], v6 ? 4 : 2);
      return packet;
    });
}
