import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Schedule } from './schedule.ts';

test('names the first as a sorted list does', () => {
  const step = fc.record({ member: fc.nat(20), at: fc.option(fc.nat(100)) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), fc.nat(100), (steps, now) => {
      const schedule = new Schedule<number>();
      const times = new Map<number, number>();
      for (const { member, at } of steps) {
        schedule.set(member, at ?? undefined);
        if (at === null) times.delete(member);
        else times.set(member, at);
        const first = schedule.first;
        assert.equal(
          first === undefined ? undefined : times.get(first),
          times.size ? Math.min(...times.values()) : undefined,
        );
      }
      const due = schedule.due(now);
      assert.deepEqual(
        [...due].sort(),
        [...times]
          .filter(([, at]) => at <= now)
          .map(([member]) => member)
          .sort(),
      );
      const order = due.map(member => times.get(member)!);
      assert.deepEqual(
        order,
        order.toSorted((a, b) => a - b),
      );
      assert.deepEqual(schedule.due(now), []);
    }),
    { numRuns: 500 },
  );
});
