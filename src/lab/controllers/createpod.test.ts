import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError, type KubeClient } from '../../kube/client.ts';
import type { KubeObject, Pod, ReplicaSet } from '../../kube/types.ts';
import { Cluster } from './cluster.ts';
import { createPod, refusalOf } from './createpod.ts';

const owner: ReplicaSet = {
  apiVersion: 'apps/v1',
  kind: 'ReplicaSet',
  metadata: { name: 'web-1', namespace: 'default', uid: 'web-1' },
  spec: { selector: { matchLabels: {} } },
};
const pod: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web-1-ab2de', generateName: 'web-1-', namespace: 'default' },
  spec: { containers: [] },
};
const forbidden = (message: string, details?: object) =>
  new ApiError({ code: 403, reason: 'Forbidden', message, details });

async function attempt(answer: Error | KubeObject): Promise<{ events: string[]; error?: unknown }> {
  const events: string[] = [];
  const create = async () => {
    if (answer instanceof Error) throw answer;
    return answer;
  };
  const client = { create } as unknown as KubeClient;
  const cluster = new Cluster(client, {
    event: (about, type, reason, _action, note) => {
      events.push(`${about.metadata.name} ${type} ${reason} ${note}`);
    },
  });
  try {
    await createPod(cluster, owner, pod);
    return { events };
  } catch (error) {
    return { events, error };
  }
}

test('a pod that was made, and one that was refused, are told of', async () => {
  assert.deepEqual(await attempt(pod), {
    events: ['web-1 Normal SuccessfulCreate Created pod: web-1-ab2de'],
  });
  const refusal = forbidden('pods "web-1-ab2de" is forbidden: serviceaccount "nope" not found');
  assert.deepEqual(await attempt(refusal), {
    events: [
      'web-1 Warning FailedCreate Error creating: pods "web-1-" is forbidden: serviceaccount "nope" not found',
    ],
    error: refusal,
  });
});

test('no event for a pod that is there already, for a namespace on its way out, for a server that is away', async () => {
  for (const error of [
    new ApiError({ code: 409, reason: 'AlreadyExists', message: 'pods "web-1-ab2de" already exists' }),
    forbidden('it is being terminated', { causes: [{ reason: 'NamespaceTerminating' }] }),
    new Error('connect ECONNREFUSED'),
  ])
    assert.deepEqual(await attempt(error), { events: [], error });
});

test('only the generated name loses its chance part, also one whose prefix was cut', () => {
  const error = new Error('pods "web-1-ab2de" wants "web-1-xx", "web-1-ab2de-0" and web-1-ab2de');
  assert.equal(refusalOf(error, 'web-1-'), 'pods "web-1-" wants "web-1-xx", "web-1-ab2de-0" and web-1-ab2de');
  assert.equal(refusalOf(error, undefined), error.message);
  const long = `${'a'.repeat(70)}-`;
  assert.equal(refusalOf(new Error(`pods "${'a'.repeat(58)}b2c3d" no`), long), `pods "${long}" no`);
});
