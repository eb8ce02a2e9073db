import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeObject } from './registration.ts';

const taints = (controlPlane: boolean, alone: boolean) =>
  nodeObject({ name: 'kind-control-plane', controlPlane, alone }).spec.taints?.map(({ key }) => key);

test('a control plane keeps pods off, but not where there is no other node', () => {
  const [role, network] = ['node-role.kubernetes.io/control-plane', 'node.kubernetes.io/not-ready'];
  assert.deepEqual(taints(true, false), [role, network]);
  assert.deepEqual(taints(true, true), [network]);
  assert.deepEqual(taints(false, false), [network]);
});
