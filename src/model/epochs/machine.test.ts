/** The law holds in every state that small clusters can come to, and every run of them ends with one epoch everywhere. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Epoch } from './epoch.ts';
import type { Rules } from './testcluster.ts';
import { Explorer } from './testexplorer.ts';
import { freshWorld, TICK, type World } from './testworld.ts';

const third: Epoch = 'ipsec/3/defabc0123456789';
const fourth: Epoch = 'ipsec/4/ef0123456789abcd';
const timing = { drain: 2 * TICK };

/** Explores from a cluster that has settled on `from` (from empty nodes without it). */
function explore(rules: Rules, from: Epoch | undefined, change: Partial<World>) {
  const explorer = new Explorer(rules);
  const start = from === undefined ? freshWorld(2, 'none') : explorer.settle(freshWorld(2, from));
  const { states, wrong } = explorer.explore({ ...start, ...change }, 200_000);
  assert.deepEqual(wrong, undefined);
  return states;
}

test('a first start, with crashes between any two steps', () => {
  const states = explore({ timing, grain: 'any step', crashes: true }, undefined, freshWorld(2, third));
  assert.ok(states > 300, `only ${states} states`);
});

test('a rotation, its steps seen and done in any order', () => {
  const states = explore({ timing, grain: 'next step', crashes: false }, third, { later: [fourth] });
  assert.ok(states > 2000, `only ${states} states`);
});

test('from IPsec to WireGuard, with crashes', () => {
  const states = explore({ timing, grain: 'next step', crashes: true }, third, { later: ['wireguard'] });
  assert.ok(states > 20_000, `only ${states} states`);
});

test('a node that leaves in the midst of a rotation', () => {
  const rules: Rules = { timing, grain: 'decision', crashes: true };
  const states = explore(rules, third, { later: [fourth], fate: { departures: 1 } });
  assert.ok(states > 10_000, `only ${states} states`);
});

test('packets on their way that are given no time are missed, so the explorer can tell', () => {
  const explorer = new Explorer({ timing: { drain: 0 }, grain: 'next step', crashes: false });
  const start = explorer.settle(freshWorld(2, third));
  assert.notEqual(explorer.explore({ ...start, later: [fourth] }, 200_000).wrong, undefined);
});
