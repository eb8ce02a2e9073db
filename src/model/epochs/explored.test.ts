/** The law holds in every state that small clusters can come to, and every run of them ends with one epoch everywhere. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Epoch } from './epoch.ts';
import { decide } from './machine.ts';
import { calmRound, type Rules } from './testcluster.ts';
import { Explorer } from './testexplorer.ts';
import { freshWorld, joined, TICK, type World } from './testworld.ts';

const third: Epoch = 'ipsec/3/defabc0123456789';
const otherThird: Epoch = 'ipsec/3/0123456789abcdef';
const fourth: Epoch = 'ipsec/4/ef0123456789abcd';
const timing = { drain: TICK };
const MOST = 100_000;

/** Explores from a cluster of `size` nodes that has settled on `from`. */
function explore(rules: Rules, from: Epoch, change: Partial<World>) {
  const { timing } = rules;
  const settled = new Explorer({ timing, grain: 'decision', crashes: false }).settle(
    freshWorld(2, from, change.always),
  );
  return new Explorer(rules).explore({ ...settled, ...change }, MOST);
}

function exploreFresh(rules: Rules, size: number, target: Epoch) {
  return new Explorer(rules).explore(freshWorld(size, target), MOST);
}

/** `least`: that the exploration has been one. */
function assertLawful({ states, wrong }: ReturnType<Explorer['explore']>, least: number) {
  assert.deepEqual(wrong, undefined);
  assert.ok(states > least, `only ${states} states`);
}

for (const epoch of [third, 'wireguard', 'none'] as const) {
  test(`a first start with ${epoch}, with crashes between any two steps`, () => {
    assertLawful(exploreFresh({ timing, grain: 'any step', crashes: true }, 2, epoch), 100);
  });
}

test('a first start of three nodes', () => {
  assertLawful(
    exploreFresh({ timing, grain: 'decision', crashes: false, hearsAtOnce: true }, 3, third),
    3000,
  );
});

test('a rotation, its steps seen and done in any order, with crashes between any two', () => {
  const rules: Rules = { timing, grain: 'any step', crashes: true };
  assertLawful(explore(rules, third, { later: [fourth] }), 20_000);
});

test('from IPsec to WireGuard, with crashes', () => {
  const rules: Rules = { timing, grain: 'next step', crashes: true };
  assertLawful(explore(rules, third, { later: ['wireguard'] }), 10_000);
});

test('from WireGuard to IPsec, with a reboot after which WireGuard cannot be had any more', () => {
  const rules: Rules = { timing, grain: 'decision', crashes: false, hearsAtOnce: true };
  const change = { later: [third], fate: { reboots: 1 } };
  assertLawful(explore(rules, 'wireguard', change), 1000);
});

test('from off to on, with crashes', () => {
  const rules: Rules = { timing, grain: 'next step', crashes: true };
  assertLawful(explore(rules, 'none', { later: [third] }), 10_000);
});

test('from off to on, with a new run of IPsec: what is in the clear goes on until it is sealed', () => {
  const rules: Rules = { timing, grain: 'decision', crashes: false };
  assertLawful(explore(rules, 'none', { later: [third], fate: { renewals: 1 } }), 10_000);
});

test('from off to on, with a reboot after which nothing goes in the clear any more', () => {
  const rules: Rules = { timing, grain: 'decision', crashes: false, hearsAtOnce: true };
  assertLawful(explore(rules, 'none', { later: [third], fate: { reboots: 1 } }), 1000);
});

test('from on to off, with crashes', () => {
  const rules: Rules = { timing, grain: 'next step', crashes: true };
  assertLawful(explore(rules, third, { later: ['none'] }), 5000);
});

test('a rotation in which nobody is waited for longer than a tick', () => {
  const rules: Rules = { timing: { drain: TICK, patience: TICK }, grain: 'decision', crashes: false };
  assertLawful(explore(rules, third, { later: [fourth] }), 2000);
});

test('WireGuard goes on over new runs and reboots', () => {
  const rules: Rules = { timing, grain: 'decision', crashes: true };
  const change = { always: ['wireguard'] as const, fate: { reboots: 1, renewals: 1 } };
  assertLawful(explore(rules, 'wireguard', change), 1000);
});

test('a node that leaves in the midst of a rotation', () => {
  const rules: Rules = { timing, grain: 'decision', crashes: true };
  assertLawful(explore(rules, third, { later: [fourth], fate: { departures: 1 } }), 10_000);
});

test('a node that joins in the midst of a rotation', () => {
  const rules: Rules = { timing, grain: 'decision', crashes: false, hearsAtOnce: true };
  const explorer = new Explorer(rules);
  const world = joined(explorer.settle(freshWorld(1, third)));
  assertLawful(explorer.explore({ ...world, later: [fourth] }, MOST), 10_000);
});

test('another key under the id that is in use waits for a third one', () => {
  const rules: Rules = { timing, grain: 'decision', crashes: false, remedy: fourth };
  assertLawful(explore(rules, third, { later: [fourth, otherThird] }), 1000);
});

test('a key comes back under the id of another one as soon as that has gone', () => {
  const rules: Rules = { timing, grain: 'decision', crashes: false };
  const explorer = new Explorer(rules);
  let both: World = { ...explorer.settle(freshWorld(2, third)), target: fourth };
  while (!both.api.every(said => said?.opens.length === 2)) both = calmRound(both, rules);
  const settled = explorer.settle({ ...both, target: otherThird });
  assert.deepEqual(
    settled.api.map(said => said?.opens),
    [[otherThird], [otherThird]],
  );
});

// The explorer can tell: each of these machines is wrong in one thing.

const rotation = (rules: Partial<Rules>) =>
  explore({ timing, grain: 'next step', crashes: false, ...rules }, third, { later: [fourth] });

test('it finds out who gives packets on their way no time', () => {
  assert.match(rotation({ timing: { drain: 0 } }).wrong?.what ?? '', /is deaf to/);
});

test('it finds out who takes a writing for heard that has been sent', () => {
  const hasty: typeof decide = (sight, memory, ...rest) =>
    decide({ ...sight, advertised: memory.written ?? sight.advertised }, memory, ...rest);
  assert.match(rotation({ decide: hasty, slowWrites: true }).wrong?.what ?? '', /has not said so/);
});

test('it finds out who seals with what the peer has not been heard with', () => {
  const trusting: typeof decide = (sight, ...rest) => {
    const opens = sight.plane.opens.map(opening => ({ ...opening, heardAt: 0 }));
    return decide({ ...sight, plane: { ...sight.plane, opens } }, ...rest);
  };
  const rules: Rules = { timing, grain: 'any step', crashes: true, decide: trusting };
  const { wrong } = explore(rules, third, { fate: { reboots: 1 } });
  assert.match(wrong?.what ?? '', /is deaf to/);
});

test('it finds out who seals with what the peer has not advertised', () => {
  const deafening: typeof decide = (sight, ...rest) => {
    const peers = sight.peers.map(({ name, advertised }) => {
      return {
        name,
        advertised: { ...advertised, opens: [...new Set([...advertised.opens, sight.target])] },
      };
    });
    return decide({ ...sight, peers }, ...rest);
  };
  const rules: Rules = { timing, grain: 'decision', crashes: false, decide: deafening };
  const { wrong } = explore(rules, third, { later: ['none'] });
  assert.match(wrong?.what ?? '', /is deaf to/);
});

test('it finds out who never retires an epoch', () => {
  const hoarding: typeof decide = (...given) => ({ ...decide(...given), close: [] });
  assert.match(rotation({ decide: hoarding }).wrong?.what ?? '', /it ends, and . opens ipsec\/3/);
});

test('it finds out who goes on letting in what is in the clear', () => {
  const lax: typeof decide = (...given) => ({ ...decide(...given), clear: true });
  assert.match(rotation({ decide: lax }).wrong?.what ?? '', /lets in what is in the clear/);
});
