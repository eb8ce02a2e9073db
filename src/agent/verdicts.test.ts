import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { ApiError, type KubeClient } from '../kube/client.ts';
import type { Recorder } from '../kube/events.ts';
import type { CiliumNode, Condition } from '../kube/types.ts';
import type { ClusterNode, Refusal } from '../model/node.ts';
import { createLog } from './log.ts';
import { Verdicts } from './verdicts.ts';

const objects = new Map<string, CiliumNode>();
let events: string[] = [];
let writes = 0;
let version = 1;

beforeEach(() => {
  objects.clear();
  events = [];
  writes = 0;
  for (const name of ['self', 'other']) put(name);
});

test('the own node is told that it is accepted; others need not be', async () => {
  const verdicts = make();
  verdicts.update({ members: [member('self'), member('other')], refused: [] });
  await verdicts.settled();
  assert.equal(accepted('self')?.status, 'True');
  assert.equal(accepted('other'), undefined);
  assert.deepEqual(events, []);
});

test('a refused node is told why, with one Event, however often it is said', async () => {
  const verdicts = make();
  for (let i = 0; i < 3; i++) {
    verdicts.update({ members: [member('self')], refused: [refusal('other')] });
    await verdicts.settled();
  }
  const { status, reason, message } = accepted('other')!;
  assert.deepEqual([status, reason, message], ['False', 'DuplicatePublicKey', 'other has the key of a.']);
  assert.deepEqual(events, ['other DuplicatePublicKey other has the key of a.']);
  assert.equal(writes, 2);
});

test('several agents write it once', async () => {
  const all = Array.from({ length: 5 }, (_, i) => make(`agent-${i}`, i / 5));
  for (const verdicts of all) verdicts.update({ members: [], refused: [refusal('other')] });
  await Promise.all(all.map(verdicts => verdicts.settled()));
  assert.equal(writes, 1);
  assert.equal(events.length, 1);
});

test('when the fault is gone the condition turns, and keeps the conditions of others', async () => {
  const verdicts = make();
  objects.get('other')!.status = { conditions: [{ type: 'Foreign', status: 'True' }] };
  verdicts.update({ members: [], refused: [refusal('other')] });
  await verdicts.settled();
  const since = accepted('other')?.lastTransitionTime;
  verdicts.update({ members: [member('other')], refused: [] });
  await verdicts.settled();
  assert.equal(accepted('other')?.status, 'True');
  assert.ok(since);
  assert.ok(objects.get('other')!.status!.conditions!.some(({ type }) => type === 'Foreign'));
});

function make(nodeName = 'self', random = 0): Verdicts {
  const client = {
    patch: async (
      _: unknown,
      name: string,
      __: unknown,
      body: { metadata: { resourceVersion: string }; status: object },
    ) => {
      const object = objects.get(name)!;
      if (object.metadata.resourceVersion !== body.metadata.resourceVersion) {
        throw new ApiError({ code: 409, reason: 'Conflict', message: 'conflict' });
      }
      writes++;
      objects.set(name, {
        ...object,
        metadata: { ...object.metadata, resourceVersion: String(++version) },
        status: { ...body.status },
      });
    },
  } as unknown as KubeClient;
  const recorder = {
    event: (object: CiliumNode, _: string, reason: string, __: string, note: string) =>
      void events.push(`${object.metadata.name} ${reason} ${note}`),
  } as unknown as Recorder;
  const log = createLog({ write: () => {} });
  return new Verdicts({
    client,
    recorder,
    nodeName,
    log,
    lookUp: name => objects.get(name),
    spreadMs: 20,
    random: () => random,
  });
}

function put(name: string): void {
  objects.set(name, {
    ...{ apiVersion: 'cilium.io/v2', kind: 'CiliumNode', spec: {} },
    metadata: { name, resourceVersion: String(++version) },
  });
}

function accepted(name: string): Condition | undefined {
  return objects.get(name)?.status?.conditions?.find(({ type }) => type === 'Accepted');
}

function member(name: string): ClusterNode {
  return { name, created: '', addresses: [], internal: [], podCIDRs: [], sealsNode: false };
}

function refusal(name: string): Refusal {
  return { name, reason: 'DuplicatePublicKey', message: `${name} has the key of a.` };
}
