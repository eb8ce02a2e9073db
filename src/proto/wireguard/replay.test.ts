import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { REJECT_AFTER_MESSAGES, REPLAY_WINDOW } from './limits.ts';
import { ReplayWindow } from './replay.ts';

/** Remembers everything. */
class TrivialWindow {
  readonly #seen = new Set<bigint>();
  #newest = 0n;

  accept(counter: bigint): boolean {
    const isOld = counter + BigInt(REPLAY_WINDOW) < this.#newest;
    if (counter >= REJECT_AFTER_MESSAGES || isOld || this.#seen.has(counter)) return false;
    this.#seen.add(counter);
    if (counter > this.#newest) this.#newest = counter;
    return true;
  }
}

test('answers as one that remembers everything', () => {
  const step = fc.oneof(
    fc.integer({ min: -40, max: 40 }),
    fc.integer({ min: -REPLAY_WINDOW - 70, max: REPLAY_WINDOW + 70 }),
    fc.constantFrom(0, -REPLAY_WINDOW, -REPLAY_WINDOW - 1, 32, 64, 8192, 100_000),
  );
  const start = fc.constantFrom(0n, 31n, 8191n, 2n ** 40n, REJECT_AFTER_MESSAGES - 200n);
  fc.assert(
    fc.property(start, fc.array(step, { maxLength: 120 }), (first, steps) => {
      const [window, trivial] = [new ReplayWindow(), new TrivialWindow()];
      let last = first;
      for (const by of [0, ...steps]) {
        const counter = last + BigInt(by) < 0n ? 0n : last + BigInt(by);
        assert.equal(window.accept(counter), trivial.accept(counter), `${counter}`);
        if (by > 0) last = counter;
      }
    }),
    { numRuns: 1000 },
  );
});

test('the edges of the window', () => {
  const window = new ReplayWindow();
  const width = BigInt(REPLAY_WINDOW);
  assert.ok(window.accept(0n));
  assert.ok(!window.accept(0n));
  assert.ok(window.accept(width));
  assert.ok(!window.accept(0n));
  assert.ok(window.accept(1n));
  assert.ok(window.accept(width + 2n));
  assert.ok(!window.accept(1n));
  assert.ok(!window.accept(0n));
  assert.ok(window.accept(2n));
  assert.ok(!window.accept(REJECT_AFTER_MESSAGES));
  assert.ok(window.accept(REJECT_AFTER_MESSAGES - 1n));
  assert.ok(!window.accept(width + 3n));
});
