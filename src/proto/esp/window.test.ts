import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { recoverSequence, SequenceWindow } from './window.ts';

const SIZES = [32, 64, 1024, 4096, 1000];

/** Remembers everything. */
class TrivialWindow {
  readonly #seen = new Set<bigint>();
  readonly #size: bigint;
  #top = 0n;

  constructor(size: number) {
    this.#size = BigInt(size);
  }

  accept(sequence: bigint): boolean {
    if (sequence < 1n || sequence + this.#size <= this.#top || this.#seen.has(sequence)) return false;
    this.#seen.add(sequence);
    if (sequence > this.#top) this.#top = sequence;
    return true;
  }
}

test('answers as one that remembers everything', () => {
  const start = fc.constantFrom(1n, 31n, 2n ** 32n - 5n, 2n ** 40n, 2n ** 64n - 200_000n);
  const step = fc.oneof(
    fc.integer({ min: -40, max: 40 }),
    fc.integer({ min: -5000, max: 5000 }),
    fc.constantFrom(0, 32, 64, -1023, -1024, -4095, -4096, 100_000),
  );
  fc.assert(
    fc.property(
      fc.constantFrom(...SIZES),
      start,
      fc.array(step, { maxLength: 100 }),
      (size, first, steps) => {
        const [window, trivial] = [new SequenceWindow(size), new TrivialWindow(size)];
        let last = first;
        for (const by of [0, ...steps]) {
          const sequence = last + BigInt(by) < 0n ? 0n : last + BigInt(by);
          assert.equal(window.accept(sequence), trivial.accept(sequence), `${sequence}`);
          if (by > 0) last = sequence;
        }
      },
    ),
    { numRuns: 1000 },
  );
});

test('the edges of the window', () => {
  const window = new SequenceWindow(1024);
  assert.ok(!window.accept(0n));
  assert.ok(window.accept(1n));
  assert.ok(!window.accept(1n));
  assert.ok(window.accept(1026n));
  assert.ok(!window.accept(2n), '1024 behind is too old');
  assert.ok(window.accept(3n), '1023 behind is not');
  assert.equal(window.top, 1026n);
});

test('a window that goes on takes nothing that its forerunner may have taken', () => {
  fc.assert(
    fc.property(fc.constantFrom(...SIZES), fc.bigInt({ min: 1n, max: 2n ** 40n }), (size, top) => {
      const window = new SequenceWindow(size, top);
      for (let back = 0n; back <= BigInt(size) + 40n && back <= top; back++)
        assert.ok(!window.isNew(top - back));
      for (let on = 1n; on < 70n; on++) assert.ok(window.accept(top + on));
    }),
    { numRuns: 30 },
  );
});

test('the high half of every number that the window can take, or that comes within 2^31 above it, is found', () => {
  const top = fc.oneof(
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    fc.tuple(fc.bigInt({ min: 0n, max: 8n }), fc.bigInt({ min: -5000n, max: 5000n })).map(([high, by]) => {
      const near = (high << 32n) + by;
      return near < 0n ? 0n : near;
    }),
  );
  const by = fc.oneof(fc.bigInt({ min: -4096n, max: 4096n }), fc.bigInt({ min: 0n, max: 2n ** 31n }));
  fc.assert(
    fc.property(fc.constantFrom(...SIZES), top, by, (size, highest, distance) => {
      const sequence = highest + distance;
      fc.pre(sequence >= 0n && sequence < 2n ** 64n && distance > -BigInt(size));
      assert.equal(recoverSequence(Number(sequence & 0xffff_ffffn), highest, size), sequence);
    }),
    { numRuns: 3000 },
  );
});

test('where there is no such number there is none', () => {
  assert.equal(recoverSequence(0xffff_ffff, 0n, 1024), undefined, 'before 0');
  assert.equal(recoverSequence(0, 2n ** 64n - 1n, 1024), undefined, 'after 2^64 - 1');
  assert.equal(recoverSequence(5, 3n, 1024), 5n);
  assert.equal(recoverSequence(5, 2n ** 32n - 1n, 1024), 2n ** 32n + 5n);
  assert.equal(recoverSequence(0xffff_ffff, 2n ** 32n + 5n, 1024), 2n ** 32n - 1n);
});
