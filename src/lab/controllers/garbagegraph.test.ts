import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject, OwnerReference } from '../../kube/types.ts';
import { CONFIGMAPS, NAMESPACES } from '../../kube/types.ts';
import { Graph, type Item, judge, type OwnerState } from './garbagegraph.ts';

interface Extra {
  owners?: string[];
  blocking?: boolean;
  deleting?: boolean;
  finalizers?: string[];
  namespace?: string;
}

function item(uid: string, extra: Extra = {}): Item {
  const ownerReferences = (extra.owners ?? []).map(
    (owner): OwnerReference => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      name: owner,
      uid: owner,
      blockOwnerDeletion: extra.blocking ?? false,
    }),
  );
  const object: KubeObject = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: uid,
      uid,
      namespace: extra.namespace ?? 'default',
      ownerReferences,
      finalizers: extra.finalizers ?? [],
      ...(extra.deleting && { deletionTimestamp: '2026-01-01T00:00:00Z' }),
    },
  };
  return { type: CONFIGMAPS, object };
}

function verdict(items: Item[], uid: string, states?: OwnerState[]) {
  const graph = new Graph();
  for (const each of items) graph.set(each);
  const found = graph.get(uid)!;
  const known = (found.object.metadata.ownerReferences ?? []).map(
    owner => graph.ownerState(found, owner) ?? 'gone',
  );
  return judge(graph, found, states ?? known);
}

test('an object goes when its last owner is gone, and stays as long as one is there', () => {
  assert.deepEqual(verdict([item('child', { owners: ['a'] })], 'child'), {
    action: 'delete',
    policy: 'Background',
  });
  assert.deepEqual(verdict([item('child', { owners: ['a'] }), item('a')], 'child'), { action: 'none' });
  const two = verdict([item('child', { owners: ['a', 'b'] }), item('b')], 'child');
  assert.equal(two.action, 'unlink');
  assert.deepEqual(two.action === 'unlink' && two.owners.map(owner => owner.uid), ['a']);
  assert.deepEqual(verdict([item('free')], 'free'), { action: 'none' });
});

test('an owner of another namespace is none', () => {
  const child = item('child', { owners: ['a'], namespace: 'one' });
  assert.equal(verdict([child, item('a', { namespace: 'two' })], 'child').action, 'delete');
  const wide: Item = { type: NAMESPACES, object: { ...item('a').object, metadata: { name: 'a', uid: 'a' } } };
  assert.equal(verdict([child, wide], 'child').action, 'none');
});

test('foreground: the owner waits for those that block it, and they go with it', () => {
  const owner = item('a', { deleting: true, finalizers: ['foregroundDeletion'] });
  const child = item('child', { owners: ['a'], blocking: true });
  assert.equal(verdict([owner, child], 'a').action, 'awaitDependents');
  assert.deepEqual(verdict([owner, child], 'child'), { action: 'delete', policy: 'Background' });
  const grandchild = item('grandchild', { owners: ['child'] });
  assert.deepEqual(verdict([owner, child, grandchild], 'child'), { action: 'delete', policy: 'Foreground' });
  assert.deepEqual(verdict([owner], 'a'), { action: 'finish', finalizer: 'foregroundDeletion' });
  const loose = item('child', { owners: ['a'] });
  assert.deepEqual(verdict([owner, loose], 'a'), { action: 'finish', finalizer: 'foregroundDeletion' });
});

test('orphan: dependents are let go first, then the owner', () => {
  const owner = item('a', { deleting: true, finalizers: ['orphan'] });
  assert.equal(verdict([owner, item('child', { owners: ['a'] })], 'a').action, 'orphanDependents');
  assert.deepEqual(verdict([owner], 'a'), { action: 'finish', finalizer: 'orphan' });
});

test('what is on its way out for other reasons is left to them', () => {
  const child = item('child', { owners: ['a'], deleting: true, finalizers: ['example.com/mine'] });
  assert.deepEqual(verdict([child], 'child', []), { action: 'none' });
});

test('the graph forgets whom it is told to, and follows changed owners', () => {
  const graph = new Graph();
  graph.set(item('child', { owners: ['a'] }));
  assert.equal(graph.dependents('a').length, 1);
  graph.set(item('child', { owners: ['b'] }));
  assert.equal(graph.dependents('a').length, 0);
  assert.equal(graph.dependents('b').length, 1);
  graph.remove('child');
  assert.equal(graph.dependents('b').length, 0);
  assert.equal(graph.ofType(CONFIGMAPS).length, 0);
});
