import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDuration } from './duration.ts';

test('Go durations are milliseconds', () => {
  assert.equal(parseDuration('0s'), 0);
  assert.equal(parseDuration('0'), 0);
  assert.equal(parseDuration('25s'), 25_000);
  assert.equal(parseDuration('1m30s'), 90_000);
  assert.equal(parseDuration('1.5h'), 5_400_000);
  assert.equal(parseDuration('250ms'), 250);
});

test('anything else is none', () => {
  for (const text of ['', '25', 's', '-1s', '1s ', '1d']) assert.equal(parseDuration(text), undefined, text);
});
