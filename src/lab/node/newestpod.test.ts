import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newestPod } from './newestpod.ts';

const pod = (uid: string, name: string, namespace = 'default') => ({
  pod: { apiVersion: 'v1', kind: 'Pod', metadata: { uid, name, namespace }, spec: { containers: [] } },
});

test('a name means the pod that came last, also while an older one of that name is taken down', () => {
  const pods = [pod('1', 'web'), pod('2', 'web', 'other'), pod('3', 'web'), pod('4', 'db')];
  assert.equal(newestPod(pods, 'default', 'web')?.pod.metadata.uid, '3');
  assert.equal(newestPod(pods, 'other', 'web')?.pod.metadata.uid, '2');
  assert.equal(newestPod(pods, 'other', 'db'), undefined);
});
