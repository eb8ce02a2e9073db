import assert from 'node:assert/strict';
import { test } from 'node:test';
import { age, duration } from './table.ts';

test('durations are shown as kubectl shows them', () => {
  const minute = 60;
  const hour = 60 * minute;
  const day = 24 * hour;
  const shown: [number, string][] = [
    [0, '0s'],
    [119, '119s'],
    [2 * minute, '2m'],
    [3 * minute + 2, '3m2s'],
    [17 * minute, '17m'],
    [179 * minute, '179m'],
    [5 * hour + 12 * minute, '5h12m'],
    [8 * hour, '8h'],
    [47 * hour, '47h'],
    [2 * day + 3 * hour, '2d3h'],
    [12 * day, '12d'],
    [729 * day, '729d'],
    [730 * day, '2y'],
    [2 * 365 * day + 5 * day, '2y5d'],
    [9 * 365 * day, '9y'],
    [-0.5, '0s'],
    [-5, '<invalid>'],
  ];
  for (const [seconds, text] of shown) assert.equal(duration(seconds), text, String(seconds));
  assert.equal(age(undefined, new Date()), '<unknown>');
  assert.equal(age('2026-01-01T00:00:00Z', new Date('2026-01-01T00:00:07Z')), '7s');
});
