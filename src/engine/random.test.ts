import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '../proto/bytes.ts';
import { randomPool } from './random.ts';

test('a pool gives no byte twice, also where it is filled anew', () => {
  const random = randomPool();
  const pieces = Array.from({ length: 2000 }, (_, i) => random(16 + (i % 17)));
  pieces.forEach((piece, i) => {
    assert.equal(piece.length, 16 + (i % 17));
  });
  assert.equal(new Set(pieces.map(toHex)).size, pieces.length);
  assert.equal(random(4096).length, 4096);
});
