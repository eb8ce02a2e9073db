import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GRACE_MS, notReady } from './readiness.ts';

test('not before the first whole round, with what stands in the way', () => {
  assert.equal(notReady({ ready: false }, 0), 'starting');
  assert.equal(notReady({ ready: false, problem: 'no Node' }, 0), 'no Node');
  assert.equal(notReady({ ready: false, problem: 'no Node' }, 0, 'no list'), 'no Node');
  assert.equal(notReady({ ready: false }, 0, 'no list'), 'no list');
  assert.equal(notReady({ ready: true }, 0, 'no watch'), undefined);
});

test('an engine that is away for a moment changes nothing; one that stays away does', () => {
  const state = { ready: true, problem: 'no engine', deafSince: 1000 };
  assert.equal(notReady(state, 1000 + GRACE_MS - 1), undefined);
  assert.equal(notReady(state, 1000 + GRACE_MS), 'no engine');
});

test('a problem that leaves the data plane whole does not make the node unready', () => {
  assert.equal(notReady({ ready: true, problem: 'the API server is away' }, 1e9), undefined);
});
