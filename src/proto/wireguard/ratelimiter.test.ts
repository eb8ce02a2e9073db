import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressOf, parseAddress } from '../ip/address.ts';
import { RATE_ENTRIES_MAX } from './limits.ts';
import { RateLimiter } from './ratelimiter.ts';

const source = parseAddress('192.0.2.1')!;

test('five at once, then twenty a second', () => {
  const limiter = new RateLimiter();
  const allowed = (now: number, times: number) =>
    Array.from({ length: times }, () => limiter.allow(source, now));
  assert.deepEqual(allowed(0, 6), [true, true, true, true, true, false]);
  assert.deepEqual(allowed(49, 1), [false]);
  assert.deepEqual(allowed(50, 2), [true, false]);
  assert.deepEqual(allowed(150, 3), [true, true, false]);
  let taken = 0;
  for (let now = 200; now < 10_200; now += 10) taken += limiter.allow(source, now) ? 1 : 0;
  assert.equal(taken, 200);
});

test('an IPv4 address and an IPv6 /64 are a source each', () => {
  const limiter = new RateLimiter();
  const spend = (text: string) =>
    Array.from({ length: 6 }, () => limiter.allow(parseAddress(text)!, 0)).filter(Boolean).length;
  assert.equal(spend('192.0.2.1'), 5);
  assert.equal(spend('192.0.2.2'), 5);
  assert.equal(spend('2001:db8::1'), 5);
  assert.equal(spend('2001:db8::ffff:1'), 0);
  assert.equal(spend('2001:db8:0:1::1'), 5);
});

test('forgets the silent, and knows only so many', () => {
  const limiter = new RateLimiter();
  const numbered = (i: number) => addressOf(Uint8Array.of(10, i >> 16, i >> 8, i));
  for (let i = 0; i < RATE_ENTRIES_MAX; i++) assert.ok(limiter.allow(numbered(i), 1000));
  assert.ok(!limiter.allow(numbered(RATE_ENTRIES_MAX), 1500));
  assert.equal(limiter.size, RATE_ENTRIES_MAX);
  assert.ok(limiter.allow(numbered(RATE_ENTRIES_MAX), 2001));
  assert.equal(limiter.size, 1);
});
