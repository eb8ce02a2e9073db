import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { engineAddon } from './native.ts';

const { replay } = engineAddon();
const WINDOW = 8128n;

/** The same with a set that never forgets. */
function plain(counters: bigint[]): boolean[] {
  const seen = new Set<bigint>();
  let greatest = -1n;
  return counters.map(counter => {
    const isFresh = !seen.has(counter) && (counter > greatest || greatest - counter <= WINDOW);
    if (isFresh) seen.add(counter);
    if (isFresh && counter > greatest) greatest = counter;
    return isFresh;
  });
}

describe('the replay window', () => {
  test('accepts what a set of all counters accepts', () => {
    const near = fc.bigInt(0n, 20_000n);
    const jump = fc.constantFrom(
      0n,
      1n,
      63n,
      64n,
      65n,
      WINDOW - 1n,
      WINDOW,
      WINDOW + 1n,
      8191n,
      8192n,
      8193n,
    );
    const counter = fc.oneof(
      near,
      fc.tuple(near, jump).map(([a, b]) => a + b),
    );
    fc.assert(
      fc.property(fc.array(counter, { maxLength: 300, size: 'max' }), counters => {
        assert.deepEqual(replay(counters), plain(counters));
      }),
      { numRuns: 500 },
    );
  });

  test('at its edges', () => {
    assert.deepEqual(replay([0n, 0n]), [true, false]);
    assert.deepEqual(replay([WINDOW, 0n, 0n]), [true, true, false]);
    assert.deepEqual(replay([WINDOW + 1n, 0n, 1n]), [true, false, true]);
    assert.deepEqual(replay([2n ** 64n - 2n ** 13n - 2n, 5n]), [true, false]);
    assert.deepEqual(replay([7n, 5n, 7n, 5n, 6n]), [true, true, false, false, true]);
  });
});
