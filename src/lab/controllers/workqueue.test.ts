import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HandClock, settle } from './testing.ts';
import { WorkQueue } from './workqueue.ts';

test('a key that is asked for many times is looked at once, and once more when asked for meanwhile', async () => {
  const seen: string[] = [];
  let release = () => {};
  const gate = new Promise<void>(resolve => {
    release = resolve;
  });
  const queue = new WorkQueue({
    async reconcile(key) {
      seen.push(key);
      await gate;
      return undefined;
    },
  });
  queue.add('a');
  queue.add('a');
  await settle();
  queue.add('a');
  queue.add('a');
  release();
  await settle();
  assert.deepEqual(seen, ['a', 'a']);
  await queue.stop();
});

test('failures come again after a pause that doubles up to the longest, and success forgets them', async () => {
  const clock = new HandClock();
  const start = clock.now();
  const at: number[] = [];
  let failing = true;
  const queue = new WorkQueue({
    clock,
    random: () => 0.5,
    backoff: { first: 100, longest: 400 },
    reconcile() {
      at.push(clock.now() - start);
      return failing ? Promise.reject(new Error('no')) : Promise.resolve(undefined);
    },
  });
  queue.add('a');
  await clock.turn(1600);
  assert.deepEqual(at, [0, 100, 300, 700, 1100, 1500]);
  failing = false;
  await clock.turn(400);
  failing = true;
  at.length = 0;
  queue.add('a');
  await clock.turn(100);
  assert.deepEqual(at, [2000, 2100]);
  await queue.stop();
});

test('the answer of a look asks for the next one; an earlier one wins', async () => {
  const clock = new HandClock();
  let looks = 0;
  const queue = new WorkQueue({ clock, reconcile: () => Promise.resolve(looks++ < 2 ? 1000 : undefined) });
  queue.add('a');
  await clock.turn(0);
  queue.addAfter('a', 5000);
  queue.addAfter('a', 10);
  await clock.turn(10);
  assert.equal(looks, 2);
  await clock.turn(10_000);
  assert.equal(looks, 3);
  await queue.stop();
});

test('stop waits for what runs, and nothing starts after it', async () => {
  let running = 0;
  const queue = new WorkQueue({
    async reconcile() {
      running++;
      await settle();
      running--;
      return 1;
    },
  });
  queue.add('a');
  queue.add('b');
  await Promise.resolve();
  await queue.stop();
  assert.equal(running, 0);
  queue.add('c');
  await settle();
  assert.equal(running, 0);
});

test('no key is ever in two hands, no more workers than allowed, and nothing is lost', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 30 }),
      fc.integer({ min: 1, max: 3 }),
      async (keys, workers) => {
        const running = new Set<string>();
        const seen = new Set<string>();
        const asked = new Map<string, number>();
        const served = new Map<string, number>();
        let order = 0;
        const queue = new WorkQueue({
          workers,
          async reconcile(key) {
            assert.ok(!running.has(key));
            running.add(key);
            seen.add(key);
            served.set(key, ++order);
            assert.ok(running.size <= workers);
            await Promise.resolve();
            running.delete(key);
            return undefined;
          },
        });
        for (const [index, key] of keys.entries()) {
          asked.set(key, ++order);
          queue.add(key);
          if (index % 3 === 0) await Promise.resolve();
        }
        await settle();
        assert.deepEqual(seen, new Set(keys));
        for (const [key, when] of asked) assert.ok(served.get(key)! > when);
        await queue.stop();
      },
    ),
  );
});
