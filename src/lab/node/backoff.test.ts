import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Backoff, goDuration } from './backoff.ts';

test('the first restart is at once, then 10 s doubling to 5 min', () => {
  const backoff = new Backoff();
  let now = 1_000_000;
  const waits: number[] = [];
  for (let run = 0; run < 8; run++) {
    const endedAt = now;
    const wait = backoff.remaining(endedAt, now);
    waits.push(wait / 1000);
    now += wait;
    assert.equal(backoff.remaining(endedAt, now), 0);
    backoff.next(endedAt, now);
    now += 1_000;
  }
  assert.deepEqual(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
});

test('a container that ran for more than ten minutes starts afresh', () => {
  const backoff = new Backoff();
  backoff.next(0, 0);
  backoff.next(10_000, 10_000);
  assert.equal(backoff.remaining(20_000, 20_000), 20_000);
  assert.equal(backoff.remaining(700_000, 700_000), 0);
  backoff.next(700_000, 700_000);
  assert.equal(backoff.remaining(701_000, 701_000), 10_000);
});

test('durations as Go prints them', () => {
  assert.deepEqual([10_000, 80_000, 300_000].map(goDuration), ['10s', '1m20s', '5m0s']);
});
