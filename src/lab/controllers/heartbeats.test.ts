import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GRACE, Heartbeats } from './heartbeats.ts';

const RENEW = 10_000;

/** Beats of the given nodes every ten seconds from `from` up to `to`. */
function beat(heartbeats: Heartbeats, nodes: string[], from: number, to: number): void {
  for (let now = from; now <= to; now += RENEW)
    for (const node of nodes) heartbeats.seen(node, `${now}`, now);
}

test('a node that falls silent while others are heard is lost after the grace period', () => {
  const heartbeats = new Heartbeats();
  beat(heartbeats, ['a', 'b', 'c'], 0, 50_000);
  beat(heartbeats, ['a', 'b'], 60_000, 90_000);
  assert.equal(heartbeats.isLost('c', 89_999), false);
  assert.equal(heartbeats.lostIn('c', 89_999), 1);
  assert.equal(heartbeats.isLost('c', 90_000), true);
  assert.equal(heartbeats.isLost('a', 90_000), false);
  heartbeats.seen('c', 'back', 91_000);
  assert.equal(heartbeats.isLost('c', 91_000), false);
});

test('the same sign again is no news', () => {
  const heartbeats = new Heartbeats();
  heartbeats.seen('a', 'x', 0);
  beat(heartbeats, ['b'], 0, GRACE);
  heartbeats.seen('a', 'x', GRACE - 1);
  assert.equal(heartbeats.isLost('a', GRACE), true);
});

test('when the API server was away, no node is blamed for it, however late it reports back', () => {
  const heartbeats = new Heartbeats();
  beat(heartbeats, ['a', 'b', 'c'], 0, 50_000);
  const back = 50_000 + 70_000;
  for (const node of ['a', 'b', 'c']) assert.equal(heartbeats.isLost(node, back - 1), false);
  heartbeats.seen('a', 'back', back);
  for (const node of ['b', 'c']) assert.equal(heartbeats.isLost(node, back + GRACE - 1), false);
  heartbeats.seen('b', 'back', back + 5_000);
  beat(heartbeats, ['a', 'b'], back + 10_000, back + GRACE);
  assert.equal(heartbeats.isLost('c', back + GRACE), true);
});

test('when all are silent for good, they are lost in the end', () => {
  const heartbeats = new Heartbeats();
  beat(heartbeats, ['a', 'b'], 0, 0);
  assert.equal(heartbeats.isLost('a', 2 * GRACE - 1), false);
  assert.equal(heartbeats.isLost('a', 2 * GRACE), true);
});

test('a node never heard of is not lost', () => {
  assert.equal(new Heartbeats().isLost('a', 1e9), false);
});
