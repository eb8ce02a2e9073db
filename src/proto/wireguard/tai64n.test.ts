import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareBytes, toHex } from '../bytes.ts';
import { encodeTimestamp, TimestampSource } from './tai64n.ts';

test('the label of a known instant, its nanoseconds cut to 2^24', () => {
  assert.equal(toHex(encodeTimestamp(0, 0)), '400000000000000a00000000');
  assert.equal(toHex(encodeTimestamp(1_700_000_000, 999_999_999)), '400000006553f10a3b000000');
  assert.deepEqual(encodeTimestamp(5, 16_777_215), encodeTimestamp(5, 0));
  assert.notDeepEqual(encodeTimestamp(5, 16_777_216), encodeTimestamp(5, 0));
});

test('labels grow, whatever the wall clock does', () => {
  const instant = fc.record({ seconds: fc.nat(4), nanos: fc.nat(999_999_999) });
  fc.assert(
    fc.property(fc.array(instant, { minLength: 1 }), fc.nat(200), (instants, repeats) => {
      let now = instants[0]!;
      const source = new TimestampSource(() => now);
      let last = source.next();
      for (const instant of [...instants, ...new Array(repeats).fill(instants.at(-1))]) {
        now = instant;
        const label = source.next();
        assert.ok(compareBytes(label, last) > 0);
        assert.ok(new DataView(label.buffer).getUint32(8) < 1_000_000_000);
        assert.equal(label[11]! | label[10]! | label[9]!, 0, 'whitened');
        last = label;
      }
    }),
  );
});

test('goes on above the label of an earlier run', () => {
  const first = new TimestampSource(() => ({ seconds: 2_000_000_000, nanos: 0 }));
  first.next();
  const second = new TimestampSource(() => ({ seconds: 1_000_000_000, nanos: 0 }), first.last);
  assert.ok(compareBytes(second.next(), first.last) > 0);
});
