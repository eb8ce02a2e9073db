import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Queue } from './queue.ts';

test('a queue gives what an array gives', () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.nat(), { nil: undefined })), steps => {
      const queue = new Queue<number>();
      const array: number[] = [];
      for (const step of steps) {
        if (step === undefined) {
          assert.equal(queue.shift(), array.shift());
        } else {
          queue.push(step);
          array.push(step);
        }
      }
      for (const left of array) assert.equal(queue.shift(), left);
      assert.equal(queue.shift(), undefined);
    }),
  );
});
