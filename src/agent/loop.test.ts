import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { Loop } from './loop.ts';

const URGENT = new Error('soon');

function loop(run: (reasons: string[]) => Promise<void>) {
  const pauses: number[] = [];
  const made = new Loop({
    run,
    onError: (_, pauseMs) => pauses.push(pauseMs),
    ...{
      debounceMs: 10,
      everyMs: 1000,
      firstPauseMs: 100,
      longestPauseMs: error => (error === URGENT ? 200 : 400),
      random: () => 0.5,
    },
  });
  return { loop: made, pauses };
}

/** Lets time pass, and everything that was waiting for it happen. */
async function pass(milliseconds: number): Promise<void> {
  mock.timers.tick(milliseconds);
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

test('a burst of requests is one run with all reasons', async t => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  const runs: string[][] = [];
  const { loop: made } = loop(async reasons => void runs.push(reasons));
  for (const reason of ['a', 'b', 'a']) made.trigger(reason);
  await pass(10);
  assert.deepEqual(runs, [['a', 'b']]);
});

test('what is asked for during a run is done after it, never at once', async t => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  const runs: string[][] = [];
  let finish = () => {};
  const { loop: made } = loop(reasons => {
    runs.push(reasons);
    return new Promise(resolve => (finish = resolve));
  });
  made.trigger('a', { now: true });
  await pass(0);
  made.trigger('b', { now: true });
  await pass(500);
  assert.deepEqual(runs, [['a']]);
  finish();
  await pass(0);
  await pass(10);
  assert.deepEqual(runs, [['a'], ['b']]);
});

test('a failure is tried again with growing pauses, and keeps its reasons', async t => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  const runs: string[][] = [];
  const { loop: made, pauses } = loop(async reasons => {
    runs.push(reasons);
    throw new Error('no');
  });
  made.trigger('a', { now: true });
  await pass(0);
  for (const pause of [100, 200, 400, 400]) await pass(pause);
  assert.deepEqual(pauses, [100, 200, 400, 400, 400]);
  assert.deepEqual(
    runs,
    Array.from({ length: 5 }, () => ['a']),
  );
});

test('the longest pause is by what failed last', async t => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  const errors = [new Error('no'), new Error('no'), new Error('no'), URGENT];
  const { loop: made, pauses } = loop(async () => {
    throw errors.shift() ?? URGENT;
  });
  made.trigger('a', { now: true });
  await pass(0);
  for (const pause of [100, 200, 400]) await pass(pause);
  assert.deepEqual(pauses, [100, 200, 400, 200]);
});

test('without requests it still runs from time to time', async t => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  let runs = 0;
  const { loop: made } = loop(async () => void runs++);
  made.trigger('a', { now: true });
  await pass(0);
  await pass(1000);
  await pass(1000);
  assert.equal(runs, 3);
});

test('after stop nothing runs', async t => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  let runs = 0;
  const { loop: made } = loop(async () => void runs++);
  made.trigger('a');
  await made.stop();
  made.trigger('b', { now: true });
  await pass(5000);
  assert.equal(runs, 0);
});

test('what is urgent and comes during a run that fails does not wait for the pause', async t => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  const runs: string[][] = [];
  let fail = () => {};
  const { loop: made } = loop(reasons => {
    runs.push(reasons);
    return new Promise((_, reject) => (fail = () => reject(new Error('no'))));
  });
  made.trigger('a', { now: true });
  await pass(0);
  made.trigger('b', { now: true });
  fail();
  await pass(0);
  await pass(10);
  assert.deepEqual(runs, [['a'], ['b', 'a']]);
  fail();
  await pass(0);
  await pass(10);
  assert.equal(runs.length, 2);
});
