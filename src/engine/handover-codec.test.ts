import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { decodeState, encodeState } from './handover-codec.ts';

const { tie: value } = fc.letrec(tie => ({
  tie: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    fc.constantFrom(undefined, null, true, false),
    fc.double({ noNaN: true }),
    fc.bigInt(0n, 2n ** 64n - 1n),
    fc.string({ unit: 'binary' }),
    fc.uint8Array({ maxLength: 40 }).map(bytes => Buffer.from(bytes)),
    fc.array(tie('tie'), { maxLength: 5 }),
    fc.dictionary(
      fc.string().filter(name => name !== '__proto__'),
      tie('tie').filter(field => field !== undefined),
      { maxKeys: 5, noNullPrototype: true },
    ),
  ),
}));

describe('the codec of a hand-over', () => {
  test('gives back what it was given', () => {
    fc.assert(fc.property(value, given => assert.deepStrictEqual(decodeState(encodeState(given)), given)));
  });

  test('leaves out fields that are undefined', () => {
    assert.deepStrictEqual(decodeState(encodeState({ a: 1, b: undefined })), { a: 1 });
  });

  test('refuses what is no data', () => {
    for (const wrong of [() => 1, Symbol('no')]) assert.throws(() => encodeState(wrong), TypeError);
    assert.throws(() => encodeState(-1n), RangeError);
  });

  test('refuses bytes that end too soon or go on too long', () => {
    fc.assert(
      fc.property(value, fc.nat(), (given, at) => {
        const bytes = encodeState(given);
        assert.throws(() => decodeState(bytes.subarray(0, at % bytes.length)), RangeError);
        assert.throws(() => decodeState(Buffer.concat([bytes, Buffer.of(0)])), RangeError);
      }),
    );
  });

  test('meets any bytes with a value or a RangeError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
        try {
          decodeState(Buffer.from(bytes));
        } catch (error) {
          assert.ok(error instanceof RangeError);
        }
      }),
    );
  });

  test('has every byte string in the one piece of memory', () => {
    const bytes = encodeState({ peers: [{ key: Buffer.from('secret') }] });
    const decoded = decodeState(bytes) as { peers: { key: Buffer }[] };
    bytes.fill(0);
    assert.deepStrictEqual(decoded.peers[0]?.key, Buffer.alloc(6));
  });
});
