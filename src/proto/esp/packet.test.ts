import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { toHex } from '../bytes.ts';
import {
  longestPayload,
  nextHeaderOf,
  paddingOf,
  readEspHeader,
  sealedLength,
  withoutTrailer,
  withTrailer,
  writeEspHeader,
} from './packet.ts';
import { aeadSuite, cbcSuite } from './suite.ts';
import { PROFILES_UNDER_TEST } from './testsuites.ts';

const gcm = aeadSuite('rfc4106(gcm(aes))', 20, 128);
const cbc = cbcSuite('hmac(sha256)', 16, 16);

test('padding counts 1, 2, 3 … and is as short as the alignment lets it', () => {
  assert.equal(toHex(withTrailer(gcm, new Uint8Array(20), 4)).slice(40), '01020204');
  assert.equal(toHex(withTrailer(gcm, new Uint8Array(22), 4)).slice(44), '0004');
  assert.equal(paddingOf(cbc, 14), 0);
  assert.equal(paddingOf(cbc, 15), 15);
  assert.equal(paddingOf(gcm, 15), 3);
});

test('what has a trailer loses it and nothing else', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...PROFILES_UNDER_TEST),
      fc.uint8Array({ maxLength: 100 }),
      (suite, payload) => {
        const whole = withTrailer(suite, payload, 41);
        assert.equal(whole.length % suite.alignment, 0);
        const without = withoutTrailer(whole);
        assert.equal(toHex(without!.payload), toHex(payload));
        assert.equal(without!.nextHeader, 41);
      },
    ),
  );
});

test('a trailer that cannot be is refused', () => {
  for (const bytes of [[], [4], [3, 4], [1, 2, 3, 9, 4], [1, 2, 2, 3, 4], [0, 1, 4]]) {
    assert.equal(withoutTrailer(Uint8Array.from(bytes)), undefined, `${bytes}`);
  }
  assert.deepEqual(withoutTrailer(Uint8Array.of(0, 59)), { payload: new Uint8Array(), nextHeader: 59 });
});

// The lab's tcpdump: "length" of ESP with AES-GCM and a tag of 128 bits.
test('lengths are those that tcpdump shows', () => {
  assert.equal(sealedLength(gcm, 84), 120);
  assert.equal(sealedLength(gcm, 52), 88);
});

test('the longest payload fits, and one byte more does not', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...PROFILES_UNDER_TEST),
      fc.integer({ min: 100, max: 9000 }),
      (suite, room) => {
        const most = longestPayload(suite, room);
        assert.ok(sealedLength(suite, most) <= room);
        assert.ok(sealedLength(suite, most + 1) > room);
      },
    ),
  );
  assert.equal(longestPayload(gcm, 8), 0);
});

test('headers', () => {
  assert.deepEqual(readEspHeader(writeEspHeader(3, 2n ** 32n + 5n)), { spi: 3, sequenceLow: 5 });
  assert.deepEqual(readEspHeader(writeEspHeader(0xffff_ffff, 2n ** 32n - 1n)), {
    spi: 0xffff_ffff,
    sequenceLow: 0xffff_ffff,
  });
  assert.equal(readEspHeader(new Uint8Array(7)), undefined);
  assert.equal(nextHeaderOf(Uint8Array.of(0x45)), 4);
  assert.equal(nextHeaderOf(Uint8Array.of(0x60)), 41);
  assert.equal(nextHeaderOf(Uint8Array.of(0x50)), undefined);
  assert.equal(nextHeaderOf(new Uint8Array()), undefined);
});
