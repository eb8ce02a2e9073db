import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { blake2s as noble } from '@noble/hashes/blake2.js';
import fc from 'fast-check';
import { concatBytes, toHex } from '../bytes.ts';
import { blake2s } from './blake2s.ts';

test('the example of RFC 7693, appendix B', () => {
  assert.equal(
    toHex(blake2s(32, undefined, [new TextEncoder().encode('abc')])),
    '508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982',
  );
});

test('OpenSSL says the same, at every length around the blocks', () => {
  for (let length = 0; length <= 260; length++) {
    const bytes = Uint8Array.from({ length }, (_, i) => i * 7 + length);
    assert.equal(
      toHex(blake2s(32, undefined, [bytes])),
      createHash('blake2s256').update(bytes).digest('hex'),
      `${length}`,
    );
  }
});

test('another implementation says the same with keys, of every length, in pieces', () => {
  const bytes = (most: number) => fc.uint8Array({ maxLength: most });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 32 }),
      fc.option(fc.uint8Array({ minLength: 1, maxLength: 32 }), { nil: undefined }),
      fc.array(bytes(150), { maxLength: 4 }),
      (length, key, parts) => {
        const expected = noble(concatBytes(...parts), { dkLen: length, ...(key && { key }) });
        assert.deepEqual(blake2s(length, key, parts), expected);
      },
    ),
    { numRuns: 500 },
  );
});
