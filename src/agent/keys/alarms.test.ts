import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeClient } from '../../kube/client.ts';
import type { CiliumNode, Condition, Secret } from '../../kube/types.ts';
import { createLog } from '../log.ts';
import { type Alarms, KeyAlarms } from './alarms.ts';

const SENTENCE = 'the Secret kube-system/cilium-ipsec-keys is refused: line 1, field 3: …';
const QUIET: Alarms = { expired: [], overdue: [] };

function bench() {
  const node: CiliumNode = {
    ...{ apiVersion: 'cilium.io/v2', kind: 'CiliumNode', spec: {} },
    metadata: { name: 'n', resourceVersion: '5' },
    status: { conditions: [{ type: 'Accepted', status: 'True' } as Condition] },
  };
  const secret = { metadata: { name: 'cilium-ipsec-keys', namespace: 'kube-system' } } as Secret;
  const events: string[] = [];
  const patches: unknown[] = [];
  const alarms = new KeyAlarms({
    client: {
      patch: async (_type: unknown, _name: unknown, _namespace: unknown, body: { status: never }) => {
        patches.push(body);
        node.status = body.status;
      },
    } as unknown as KubeClient,
    recorder: {
      event: ({ kind }, _type, reason) => events.push(`${kind} ${reason}`),
    },
    nodeName: 'n',
    log: createLog({ write: () => {} }),
    lookUp: () => node,
    secret: () => secret,
    now: () => new Date('2026-01-02T03:04:05.678Z'),
  });
  const update = async (what: Alarms) => {
    alarms.update(what);
    await new Promise(resolve => setImmediate(resolve));
  };
  return { node, events, patches, update };
}

test('a refused Secret is told of on both objects once, and stands as a condition until it is good', async () => {
  const { node, events, patches, update } = bench();
  for (let i = 0; i < 3; i++) await update({ ...QUIET, refused: SENTENCE });
  assert.deepEqual(events, ['CiliumNode IPsecKeyRefused', 'Secret IPsecKeyRefused']);
  assert.deepEqual(patches, [
    {
      metadata: { resourceVersion: '5' },
      status: {
        conditions: [
          { type: 'Accepted', status: 'True' },
          {
            ...{ type: 'IPsecKey', status: 'False', reason: 'IPsecKeyRefused', message: SENTENCE },
            lastTransitionTime: '2026-01-02T03:04:05Z',
          },
        ],
      },
    },
  ]);
  await update(QUIET);
  assert.deepEqual(node.status?.conditions, [{ type: 'Accepted', status: 'True' }]);
  await update({ ...QUIET, refused: SENTENCE });
  assert.equal(events.length, 4);
});

test('what has expired and who is overdue is told of on the node alone', async () => {
  const { events, patches, update } = bench();
  await update({ expired: ['the SA to b has stopped'], overdue: ['b still seals with ipsec/3'] });
  assert.deepEqual(events, ['CiliumNode IPsecKeyExpired', 'CiliumNode IPsecKeyOverdue']);
  assert.deepEqual(patches, []);
});
