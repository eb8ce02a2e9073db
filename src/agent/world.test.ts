import assert from 'node:assert/strict';
import { test } from 'node:test';
import { podCIDRsOf, WorldError } from './world.ts';

const DUAL = ['10.244.1.0/24', 'fd00:10:244:1::/64'];

test('a node of a dual-stack cluster uses the pod CIDRs of the families that are switched on', () => {
  assert.deepEqual(podCIDRsOf(DUAL, [4], 'a'), ['10.244.1.0/24']);
  assert.deepEqual(podCIDRsOf(DUAL, [6], 'a'), ['fd00:10:244:1::/64']);
  assert.deepEqual(podCIDRsOf(DUAL, [4, 6], 'a'), DUAL);
});

test('what is no CIDR is refused by name, also of a family that is off', () => {
  assert.throws(() => podCIDRsOf(['10.244.1.0/24', 'fd00::/xx'], [4], 'a'), {
    name: WorldError.name,
    message: 'the pod CIDR "fd00::/xx" of a is no CIDR',
  });
});
