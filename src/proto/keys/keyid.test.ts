import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freeKeyId, isKeyId, nextKeyId } from './keyid.ts';

test('ids run from 1 to 15 and over', () => {
  assert.deepEqual([3, 9, 14, 15].map(nextKeyId), [4, 10, 15, 1]);
  assert.deepEqual([-1, 0, 1, 15, 16, 1.5, Number.NaN].map(isKeyId), [
    false,
    false,
    true,
    true,
    false,
    false,
    false,
  ]);
});

test('the next free id leaves out those that are taken', () => {
  assert.equal(freeKeyId(3, [3]), 4);
  assert.equal(freeKeyId(14, [14, 15, 1]), 2);
  assert.equal(freeKeyId(3, [4, 5, 3]), 6);
  const all = Array.from({ length: 15 }, (_, i) => i + 1);
  assert.equal(freeKeyId(7, all), undefined);
  assert.equal(
    freeKeyId(
      7,
      all.filter(id => id !== 7),
    ),
    7,
  );
});
