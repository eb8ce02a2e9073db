import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  compareBytes,
  concatBytes,
  equalBytes,
  fromBase64,
  fromHex,
  fromKeyText,
  isZero,
  toBase64,
  toHex,
  wipe,
} from './bytes.ts';

test('hex and base64 carry any bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array(), bytes => {
      assert.deepEqual(fromHex(toHex(bytes)), bytes);
      assert.deepEqual(fromHex(toHex(bytes).toUpperCase()), bytes);
      assert.deepEqual(fromBase64(toBase64(bytes)), bytes);
    }),
  );
});

test('refuses what is not quite hex, base64 or a key', () => {
  for (const text of ['a', 'zz', '0x10', 'ab ', ' ab']) assert.equal(fromHex(text), undefined, text);
  for (const text of ['YQ', 'YQ=', 'YR==', 'Y Q==', 'YQ==\n', '_-8='])
    assert.equal(fromBase64(text), undefined, text);
  const key = toBase64(new Uint8Array(32).fill(7));
  assert.deepEqual(fromKeyText(key), new Uint8Array(32).fill(7));
  for (const text of [
    '',
    key.slice(1),
    `${key}=`,
    toBase64(new Uint8Array(31)),
    toBase64(new Uint8Array(33)),
  ]) {
    assert.equal(fromKeyText(text), undefined, text);
  }
});

test('compares as memcmp, also a view into a larger buffer', () => {
  const whole = Uint8Array.of(9, 1, 2, 3, 9);
  assert.ok(equalBytes(whole.subarray(1, 4), Uint8Array.of(1, 2, 3)));
  assert.ok(!equalBytes(whole.subarray(1, 4), Uint8Array.of(1, 2)));
  assert.equal(toHex(whole.subarray(1, 4)), '010203');
  assert.ok(compareBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 3)) < 0);
  assert.ok(compareBytes(Uint8Array.of(1, 2), Uint8Array.of(1)) > 0);
  assert.deepEqual(
    concatBytes(Uint8Array.of(1), new Uint8Array(), Uint8Array.of(2, 3)),
    Uint8Array.of(1, 2, 3),
  );
});

test('wipes', () => {
  const secret = Uint8Array.of(1, 2, 3);
  assert.ok(!isZero(secret));
  wipe(secret);
  assert.ok(isZero(secret));
});
