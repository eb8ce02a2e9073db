/** The law holds along random runs of clusters of three nodes, which have too many states to go through all of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Epoch } from './epoch.ts';
import { decide } from './machine.ts';
import type { Rules } from './testcluster.ts';
import { Explorer } from './testexplorer.ts';
import { freshWorld, joined, TICK, type World } from './testworld.ts';

const third: Epoch = 'ipsec/3/defabc0123456789';
const otherThird: Epoch = 'ipsec/3/0123456789abcdef';
const fourth: Epoch = 'ipsec/4/ef0123456789abcd';
const fifth: Epoch = 'ipsec/5/fedcba9876543210';
const timing = { drain: TICK };
const bounded = { drain: TICK, patience: TICK, bound: 3 * TICK };
const grain = 'any step';

const choices = fc.array(fc.nat(0xffffff), { minLength: 60, maxLength: 100 });

function settled({ timing }: Pick<Rules, 'timing'>, size: number, on: Epoch): World {
  const calm = new Explorer({ timing, grain: 'decision', crashes: false });
  return calm.settle(freshWorld(size, on, ['wireguard']));
}

/** Along `numRuns` runs; one that is against the law is made as short as can be. */
function walk(rules: Rules, start: World, numRuns: number) {
  const explorer = new Explorer(rules);
  fc.assert(
    fc.property(choices, chosen => assert.deepEqual(explorer.follow(start, chosen).wrong, undefined)),
    { numRuns, seed: 3 },
  );
}

test('two rotations, a reboot, a new run and a lost Secret, with crashes and writings that arrive late', () => {
  const fate = { reboots: 1, renewals: 1, losses: 1 };
  const start = { ...settled({ timing }, 3, third), later: [fourth, fifth], fate };
  walk({ timing, grain, crashes: true, slowWrites: true }, start, 120);
});

test('from one protocol to the next, while nodes join, reboot and leave', () => {
  const later = [third, 'wireguard', fourth, 'none', fifth] as const;
  const fate = { reboots: 1, renewals: 1, departures: 1 };
  const start = { ...joined(settled({ timing }, 2, 'none')), later, fate };
  walk({ timing, grain, crashes: true, slowWrites: true }, start, 120);
});

test('another key under the same id, with a reboot', () => {
  const start = { ...settled({ timing }, 3, third), later: [otherThird, fourth], fate: { reboots: 1 } };
  walk({ timing, grain, crashes: true, remedy: fifth }, start, 80);
});

test('with patience and a bound, while a node dies', () => {
  const fate = { deaths: 1, reboots: 1 };
  const start = { ...settled({ timing: bounded }, 3, third), later: [fourth, 'wireguard'] as const, fate };
  walk({ timing: bounded, grain: 'decision', crashes: true }, start, 120);
});

test('it finds out who does not wait for an echo', () => {
  const hasty: typeof decide = (sight, memory, ...rest) =>
    decide({ ...sight, advertised: memory.written ?? sight.advertised }, memory, ...rest);
  const start = settled({ timing }, 3, third);
  const explorer = new Explorer({ timing, grain, crashes: true, slowWrites: true, decide: hasty });
  const found = fc
    .sample(choices, { numRuns: 50, seed: 3 })
    .map(chosen => explorer.follow({ ...start, later: [fourth] }, chosen).wrong?.what);
  assert.ok(found.some(what => what !== undefined));
});
