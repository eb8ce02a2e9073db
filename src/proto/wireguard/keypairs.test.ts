import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { KeypairSlots } from './keypairs.ts';

const state = (slots: KeypairSlots<string>) => [slots.current, slots.previous, slots.next];

test("an initiator's keypair is current at once", () => {
  const slots = new KeypairSlots<string>();
  assert.deepEqual(slots.install('a', true), []);
  assert.deepEqual(slots.install('b', true), []);
  assert.deepEqual(state(slots), ['b', 'a', undefined]);
  assert.deepEqual(slots.install('c', true), ['a']);
  assert.deepEqual(state(slots), ['c', 'b', undefined]);
});

test("a responder's waits to be confirmed", () => {
  const slots = new KeypairSlots<string>();
  slots.install('a', true);
  slots.install('b', true);
  assert.deepEqual(slots.install('c', false), ['a']);
  assert.deepEqual(state(slots), ['b', undefined, 'c']);
  assert.deepEqual(slots.install('d', false), ['c']);
  assert.deepEqual(slots.confirm(), []);
  assert.deepEqual(state(slots), ['d', 'b', undefined]);
  assert.deepEqual(slots.confirm(), []);
  slots.install('e', false);
  assert.deepEqual(slots.install('f', true), ['d']);
  assert.deepEqual(state(slots), ['f', 'e', undefined]);
});

test('what falls out is told once, and no slot shares a keypair', () => {
  const step = fc.constantFrom('initiator', 'responder', 'confirm');
  fc.assert(
    fc.property(fc.array(step), steps => {
      const slots = new KeypairSlots<number>();
      const gone: number[] = [];
      for (const [i, step] of steps.entries()) {
        gone.push(...(step === 'confirm' ? slots.confirm() : slots.install(i, step === 'initiator')));
      }
      const all = [...gone, ...slots.all()];
      assert.equal(new Set(all).size, all.length);
      assert.equal(all.length, steps.filter(step => step !== 'confirm').length);
    }),
  );
});
