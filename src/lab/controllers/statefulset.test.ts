import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Pod } from '../../kube/types.ts';
import type { StatefulSet } from './resources.ts';
import { planStatefulSet, podFor, REVISION_HASH, type Revisions } from './statefulset.ts';

function statefulSet(spec: Partial<StatefulSet['spec']> = {}): StatefulSet {
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name: 'db', namespace: 'default', uid: 'sts' },
    spec: {
      replicas: 3,
      serviceName: 'db',
      selector: { matchLabels: { app: 'db' } },
      template: { metadata: { labels: { app: 'db' } }, spec: { containers: [{ name: 'c' }] } },
      ...spec,
    },
  };
}

class World {
  readonly set: StatefulSet;
  revisions: Revisions = { current: 'db-1', update: 'db-1' };
  pods: Pod[] = [];
  now = Date.UTC(2026, 0, 1);
  readonly broken = new Set<string>();

  constructor(set: StatefulSet) {
    this.set = set;
  }

  step(): boolean {
    this.now += 1000;
    const plan = planStatefulSet(this.set, this.pods, this.revisions, this.now);
    for (const { ordinal, revision } of plan.create)
      this.pods.push(podFor(this.set, this.set.spec.template, ordinal, revision));
    for (const pod of plan.remove) pod.metadata.deletionTimestamp ??= new Date(this.now).toISOString();
    this.revisions.current = plan.status.currentRevision!;
    return plan.create.length + plan.remove.length > 0;
  }

  live(pod: Pod): boolean {
    if (pod.metadata.deletionTimestamp) {
      this.pods = this.pods.filter(each => each !== pod);
      return true;
    }
    if (pod.status !== undefined || this.broken.has(pod.metadata.labels![REVISION_HASH]!)) return false;
    const lastTransitionTime = new Date(this.now).toISOString();
    pod.status = { phase: 'Running', conditions: [{ type: 'Ready', status: 'True', lastTransitionTime }] };
    return true;
  }

  settle(check = () => {}): void {
    for (let round = 0; round < 200; round++) {
      let changed = this.step();
      check();
      for (const pod of [...this.pods]) changed = this.live(pod) || changed;
      check();
      if (!changed && !this.step()) return;
    }
    assert.fail('it never ends');
  }

  names(): string[] {
    return this.pods.map(pod => pod.metadata.name);
  }

  ready(): number {
    return this.pods.filter(pod => pod.status && !pod.metadata.deletionTimestamp).length;
  }
}

test('pods come one after another, each when those before it are ready, and go the other way round', () => {
  const world = new World(statefulSet());
  world.step();
  assert.deepEqual(world.names(), ['db-0']);
  assert.equal(world.step(), false, 'db-0 is not ready yet');
  world.settle();
  assert.deepEqual(world.names(), ['db-0', 'db-1', 'db-2']);
  assert.equal(world.pods[0]!.spec.hostname, 'db-0');
  assert.equal(world.pods[0]!.spec.subdomain, 'db');
  world.set.spec.replicas = 1;
  world.step();
  assert.deepEqual(
    world.pods.filter(pod => pod.metadata.deletionTimestamp).map(pod => pod.metadata.name),
    ['db-2'],
  );
  world.settle();
  assert.deepEqual(world.names(), ['db-0']);
});

test('a new template comes from the last to the first, one at a time', () => {
  const world = new World(statefulSet());
  world.settle();
  world.revisions.update = 'db-2';
  const order: string[] = [];
  world.settle(() => {
    assert.ok(world.ready() >= 2);
    const going = world.pods.find(pod => pod.metadata.deletionTimestamp);
    if (going && order.at(-1) !== going.metadata.name) order.push(going.metadata.name);
  });
  assert.deepEqual(order, ['db-2', 'db-1', 'db-0']);
  assert.equal(world.revisions.current, 'db-2');
});

test('below the partition nothing is updated', () => {
  const world = new World(statefulSet({ updateStrategy: { rollingUpdate: { partition: 2 } } }));
  world.settle();
  world.revisions.update = 'db-2';
  world.settle();
  assert.deepEqual(world.pods.map(pod => [pod.metadata.name, pod.metadata.labels![REVISION_HASH]]).sort(), [
    ['db-0', 'db-1'],
    ['db-1', 'db-1'],
    ['db-2', 'db-2'],
  ]);
});

test('a template that cannot run is mended by the next one', () => {
  const world = new World(statefulSet());
  world.settle();
  world.broken.add('db-2');
  world.revisions.update = 'db-2';
  world.settle();
  assert.equal(world.ready(), 2);
  world.revisions.update = 'db-3';
  world.settle();
  assert.equal(world.ready(), 3);
  assert.equal(world.revisions.current, 'db-3');
});

test('whatever is asked in whatever order, it ends there, with never two pods of a number', () => {
  const edit = fc.oneof(
    fc.integer({ min: 0, max: 5 }).map(replicas => ({ replicas })),
    fc.constantFrom('db-1', 'db-2', 'db-3').map(update => ({ update })),
  );
  fc.assert(
    fc.property(
      fc.constantFrom<'OrderedReady' | 'Parallel'>('OrderedReady', 'Parallel'),
      fc.array(fc.tuple(edit, fc.array(fc.nat(9), { maxLength: 20 })), { maxLength: 5 }),
      (podManagementPolicy, edits) => {
        const world = new World(statefulSet({ podManagementPolicy }));
        const check = () => assert.equal(new Set(world.names()).size, world.pods.length);
        for (const [change, moves] of edits) {
          if ('replicas' in change) world.set.spec.replicas = change.replicas;
          else world.revisions.update = change.update;
          for (const move of moves) {
            if (move % 2 === 0 || world.pods.length === 0) world.step();
            else world.live(world.pods[move % world.pods.length]!);
            check();
          }
        }
        world.settle(check);
        const wanted = Array.from({ length: world.set.spec.replicas! }, (_, ordinal) => `db-${ordinal}`);
        assert.deepEqual(world.names().sort(), wanted);
        assert.ok(world.pods.every(pod => pod.metadata.labels![REVISION_HASH] === world.revisions.update));
      },
    ),
    { numRuns: 200 },
  );
});
