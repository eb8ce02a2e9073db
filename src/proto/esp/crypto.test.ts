import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { concatBytes, fromHex, toHex } from '../bytes.ts';
import { type EspContext, ivOf, openEsp, sealEsp } from './crypto.ts';
import { aeadSuite, cbcSuite, hashOf, INTEGRITIES, integrityKeyRange } from './suite.ts';
import { PROFILES_UNDER_TEST } from './testsuites.ts';
import { AEAD_VECTORS, type AeadVector, CBC_VECTORS } from './testvectors.ts';

const hex = (text: string) => fromHex(text)!;

function contextOf(vector: AeadVector): EspContext {
  const cipher = hex(vector.key + vector.salt);
  return {
    suite: aeadSuite(vector.cipher, cipher.length, 128),
    keys: { cipher },
    spi: Number.parseInt(vector.packet.slice(0, 8), 16),
    sequence: BigInt(`0x${vector.sequence}`),
    esn: vector.sequence.length === 16,
  };
}

for (const vector of AEAD_VECTORS) {
  test(`${vector.name}: sealed and opened as published`, () => {
    const context = contextOf(vector);
    const packet = hex(vector.packet);
    const opened = openEsp(context, packet);
    assert.ok(opened);
    assert.equal(toHex(opened.payload), vector.payload);
    assert.equal(opened.nextHeader, vector.nextHeader);
    const sealed = sealEsp(context, hex(vector.payload), vector.nextHeader, packet.subarray(8, 16));
    assert.equal(toHex(sealed), vector.packet);
  });
}

for (const vector of CBC_VECTORS) {
  test(`${vector.name}: sealed and opened as published, under any integrity`, () => {
    for (const integrity of INTEGRITIES) {
      const { whole } = integrityKeyRange(integrity);
      const keys = { cipher: hex(vector.key), integrity: Uint8Array.from({ length: whole }, (_, i) => i) };
      const published = hex(vector.packet);
      const spi = Number.parseInt(vector.packet.slice(0, 8), 16);
      const sequence = BigInt(`0x${vector.packet.slice(8, 16)}`);
      const suite = cbcSuite(integrity, whole, keys.cipher.length);
      for (const esn of [false, true]) {
        const context = { suite, keys, spi, sequence, esn };
        const mac = createHmac(hashOf(integrity), keys.integrity).update(published);
        const icv = mac
          .update(esn ? new Uint8Array(4) : '')
          .digest()
          .subarray(0, whole / 2);
        const packet = concatBytes(published, icv);
        const iv = published.subarray(8, 24);
        assert.equal(toHex(sealEsp(context, hex(vector.payload), vector.nextHeader, iv)), toHex(packet));
        const opened = openEsp(context, packet);
        assert.ok(opened);
        assert.equal(toHex(opened.payload), vector.payload);
        assert.equal(opened.nextHeader, vector.nextHeader);
      }
    }
  });
}

// RFC 4868, section 2.7.2: the first test case of each authenticator.
test('the HMACs are cut as RFC 4868 cuts them', () => {
  const expected = {
    'hmac(sha256)': '198a607eb44bfbc69903a0f1cf2bbdc5',
    'hmac(sha384)': 'b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee973',
    'hmac(sha512)': '637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8',
  };
  for (const integrity of INTEGRITIES) {
    const { whole } = integrityKeyRange(integrity);
    const suite = cbcSuite(integrity, whole, 16);
    const mac = createHmac(hashOf(integrity), new Uint8Array(whole).fill(0x0b)).update('Hi There').digest();
    assert.equal(toHex(mac.subarray(0, suite.icvLength)), expected[integrity]);
  }
});

for (const suite of PROFILES_UNDER_TEST) {
  const name =
    `${suite.integrity ?? ''} ${suite.cipher} ${8 * suite.keyLength}/${8 * suite.icvLength}`.trim();
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
  const context = fc.record({
    suite: fc.constant(suite),
    keys: fc.record(
      { cipher: bytes(suite.keyLength + suite.saltLength), integrity: bytes(suite.integrityKeyLength) },
      { requiredKeys: suite.integrity === undefined ? ['cipher'] : ['cipher', 'integrity'] },
    ),
    spi: fc.integer({ min: 1, max: 15 }),
    sequence: fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }),
    esn: fc.boolean(),
  }) as fc.Arbitrary<EspContext>;

  test(`${name}: what was sealed is opened; a changed bit, key, SPI or sequence number is not`, () => {
    fc.assert(
      fc.property(context, fc.uint8Array({ maxLength: 200 }), fc.nat(), (ctx, payload, where) => {
        const packet = sealEsp(ctx, payload, 4);
        const opened = openEsp(ctx, packet);
        assert.ok(opened);
        assert.equal(toHex(opened.payload), toHex(payload));
        assert.equal((packet.length - 8 - suite.ivLength - suite.icvLength) % suite.alignment, 0);

        const changed = Uint8Array.from(packet);
        changed[where % packet.length]! ^= 1 << (where % 8);
        assert.equal(openEsp(ctx, changed), false);
        const other = { ...ctx, sequence: ctx.sequence ^ (1n << 40n) };
        assert.equal(openEsp(other, packet) === false, ctx.esn);
        for (const length of [packet.length - 1, packet.length - suite.alignment, 8, 0]) {
          assert.ok(!openEsp(ctx, packet.subarray(0, length)));
        }
      }),
      { numRuns: 60 },
    );
  });

  test(`${name}: no two packets of a key share an IV, and CBC's does not show the counter`, () => {
    const keys = {
      cipher: new Uint8Array(suite.keyLength + suite.saltLength).fill(7),
      ...(suite.integrity === undefined
        ? {}
        : { integrity: new Uint8Array(suite.integrityKeyLength).fill(9) }),
    };
    const ivs = [1n, 2n, 3n, 2n ** 32n + 1n, 2n ** 64n - 1n].map(sequence =>
      toHex(ivOf({ suite, keys, spi: 3, sequence, esn: true })),
    );
    assert.equal(new Set(ivs).size, ivs.length);
    if (suite.integrity === undefined) assert.equal(ivs[3], '0000000100000001');
    else assert.ok(!ivs[0]!.startsWith('00000000'));
  });
}
