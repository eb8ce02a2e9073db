import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node, Pod, Taint, Toleration } from '../../kube/types.ts';
import { evictionTime, reconciledTaints } from './taints.ts';

const NOW = '2026-01-01T00:00:00Z';

function node(
  ready: 'True' | 'False' | 'Unknown' | undefined,
  taints: Taint[] = [],
  unschedulable = false,
): Node {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'n' },
    spec: { taints, unschedulable },
    status: { conditions: ready ? [{ type: 'Ready', status: ready }] : [] },
  };
}

const pairs = (taints: Taint[] | undefined) =>
  taints?.map(taint => `${taint.key.split('/').at(-1)}:${taint.effect}`);
const own: Taint = { key: 'own', effect: 'NoSchedule' };

test('taints follow the Ready condition, and leave those of others alone', () => {
  assert.deepEqual(pairs(reconciledTaints(node('False', [own]), NOW)), [
    'own:NoSchedule',
    'not-ready:NoSchedule',
    'not-ready:NoExecute',
  ]);
  const lost = reconciledTaints(node('Unknown', reconciledTaints(node('False', [own]), NOW)), NOW)!;
  assert.deepEqual(pairs(lost), ['own:NoSchedule', 'unreachable:NoSchedule', 'unreachable:NoExecute']);
  assert.deepEqual(pairs(reconciledTaints(node('True', lost), NOW)), ['own:NoSchedule']);
  assert.equal(reconciledTaints(node('True', [own]), NOW), undefined);
  assert.deepEqual(pairs(reconciledTaints(node(undefined), NOW)), ['not-ready:NoSchedule']);
});

test('a cordoned node has the taint for it as long as it is cordoned', () => {
  const cordoned = reconciledTaints(node('True', [], true), NOW)!;
  assert.deepEqual(pairs(cordoned), ['unschedulable:NoSchedule']);
  assert.deepEqual(reconciledTaints(node('True', cordoned), NOW), []);
});

test('a taint keeps the time at which it came', () => {
  const [first] = reconciledTaints(node('True', [], true), NOW)!;
  const both = reconciledTaints(node('False', [first!], true), '2026-01-01T01:00:00Z')!;
  assert.equal(both[0]!.timeAdded, NOW);
});

test('pods leave when their toleration ends: at once, after a while, or never', () => {
  const start = Date.parse(NOW);
  const time = (key: string, tolerations: Toleration[]): number | undefined => {
    const pod: Pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p' },
      spec: { containers: [], tolerations },
    };
    const left = evictionTime(
      pod,
      node('Unknown', [{ key, effect: 'NoExecute', timeAdded: NOW }]),
      start + 1000,
    );
    return left === undefined ? undefined : left - start;
  };
  const unreachable = 'node.kubernetes.io/unreachable';
  assert.equal(time('maintenance', []), 1000);
  assert.equal(time(unreachable, []), 300_000);
  assert.equal(time(unreachable, [{ key: unreachable, operator: 'Exists', tolerationSeconds: 20 }]), 20_000);
  assert.equal(time(unreachable, [{ operator: 'Exists' }]), undefined);
  assert.equal(
    time(unreachable, [{ operator: 'Exists' }, { operator: 'Exists', tolerationSeconds: 5 }]),
    5_000,
  );
});
