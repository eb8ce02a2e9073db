import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { DaemonSet, Node, Pod } from '../../kube/types.ts';
import { planDaemonSet, REVISION_HASH, updateLimits } from './daemonplan.ts';
import { podFor } from './daemonset.ts';
import { isActive } from './pods.ts';

function nodeNamed(name: string, spec: Node['spec'] = {}): Node {
  const conditions = [{ type: 'Ready', status: 'True' as const }];
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels: { 'kubernetes.io/hostname': name } },
    spec,
    status: { conditions },
  };
}

function daemonSet(spec: Partial<DaemonSet['spec']> = {}): DaemonSet {
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name: 'agent', namespace: 'kube-system', uid: 'ds', generation: 1 },
    spec: {
      selector: { matchLabels: { app: 'agent' } },
      template: { metadata: { labels: { app: 'agent' } }, spec: { containers: [{ name: 'c' }] } },
      ...spec,
    },
  };
}

/** Nodes and pods in memory; the scheduler and the kubelets are `bind`, `ready` and `end`. */
class World {
  readonly set: DaemonSet;
  readonly nodes: Node[];
  pods: Pod[] = [];
  hash = 'one';
  now = Date.UTC(2026, 0, 1);
  #serial = 0;

  constructor(set: DaemonSet, nodes: Node[]) {
    this.set = set;
    this.nodes = nodes;
  }

  plan() {
    return planDaemonSet(this.set, this.nodes, this.pods, this.hash, this.now);
  }

  step(): boolean {
    this.now += 1000;
    const plan = this.plan();
    for (const node of plan.create) {
      const pod = podFor(this.set, node, this.hash, Math.random);
      const creationTimestamp = new Date(this.now + this.#serial).toISOString();
      Object.assign(pod.metadata, { name: `pod-${this.#serial++}`, creationTimestamp });
      this.pods.push(pod);
    }
    for (const pod of plan.remove) pod.metadata.deletionTimestamp ??= new Date(this.now).toISOString();
    return plan.create.length + plan.remove.length > 0;
  }

  /** A kubelet does what is next for the pod: run it, or end it when it was deleted. */
  live(pod: Pod): boolean {
    this.now += 1000;
    if (pod.metadata.deletionTimestamp) {
      this.pods = this.pods.filter(each => each !== pod);
      return true;
    }
    if (pod.status?.phase === 'Running') return false;
    pod.spec.nodeName ??=
      pod.spec.affinity!.nodeAffinity!.requiredDuringSchedulingIgnoredDuringExecution!.nodeSelectorTerms[0]!
        .matchFields![0]!.values![0]!;
    const lastTransitionTime = new Date(this.now).toISOString();
    pod.status = { phase: 'Running', conditions: [{ type: 'Ready', status: 'True', lastTransitionTime }] };
    return true;
  }

  settle(check = () => {}): void {
    for (let round = 0; round < 200; round++) {
      let changed = this.step();
      check();
      for (const pod of [...this.pods]) {
        changed = this.live(pod) || changed;
        check();
      }
      if (!changed) return;
    }
    assert.fail('the update never ends');
  }

  serving(): Set<string> {
    return new Set(
      this.pods
        .filter(pod => isActive(pod) && pod.status?.phase === 'Running')
        .map(pod => pod.spec.nodeName!),
    );
  }
}

const nodes = (count: number) => Array.from({ length: count }, (_, index) => nodeNamed(`node-${index}`));

test('one pod on each node, also on those that join later; none where a taint is not tolerated', () => {
  const world = new World(daemonSet(), [
    ...nodes(2),
    nodeNamed('main', { taints: [{ key: 'control', effect: 'NoSchedule' }] }),
  ]);
  world.settle();
  assert.deepEqual([...world.serving()].sort(), ['node-0', 'node-1']);
  world.nodes.push(nodeNamed('node-9'));
  world.settle();
  assert.equal(world.pods.length, 3);
  assert.deepEqual(world.plan().status, {
    observedGeneration: 1,
    desiredNumberScheduled: 3,
    currentNumberScheduled: 3,
    updatedNumberScheduled: 3,
    numberReady: 3,
    numberAvailable: 3,
    numberUnavailable: 0,
    numberMisscheduled: 0,
  });
});

test('a pod that stands for a node but is not bound yet is not made again', () => {
  const world = new World(daemonSet(), nodes(3));
  world.step();
  assert.equal(world.pods.length, 3);
  assert.ok(world.pods.every(pod => pod.spec.nodeName === undefined));
  assert.deepEqual(world.plan().create, []);
});

test('the node selector decides; a pod on a node that no longer matches goes', () => {
  const set = daemonSet();
  set.spec.template.spec.nodeSelector = { role: 'edge' };
  const world = new World(set, nodes(2));
  world.nodes[0]!.metadata.labels!['role'] = 'edge';
  world.settle();
  assert.deepEqual([...world.serving()], ['node-0']);
  delete world.nodes[0]!.metadata.labels!['role'];
  world.settle();
  assert.equal(world.pods.length, 0);
});

test('a node that is cordoned or not ready keeps its pod; one with an untolerated NoExecute taint loses it', () => {
  const world = new World(daemonSet(), nodes(1));
  world.settle();
  const node = world.nodes[0]!;
  node.spec = {
    unschedulable: true,
    taints: [{ key: 'node.kubernetes.io/unreachable', effect: 'NoExecute' }],
  };
  node.status!.conditions = [{ type: 'Ready', status: 'Unknown' }];
  assert.deepEqual(world.plan().remove, []);
  node.spec.taints = [{ key: 'out', effect: 'NoExecute' }];
  assert.equal(world.plan().remove.length, 1);
});

test('a second pod on a node goes, the older stays; an ended one is replaced', () => {
  const world = new World(daemonSet(), nodes(1));
  world.settle();
  const [first] = world.pods;
  const twin = structuredClone(first!);
  twin.metadata = {
    ...twin.metadata,
    name: 'twin',
    creationTimestamp: new Date(world.now + 60_000).toISOString(),
  };
  world.pods.push(twin);
  assert.deepEqual(world.plan().remove, [twin]);
  world.settle();
  world.pods[0]!.status = { phase: 'Failed' };
  world.settle();
  assert.deepEqual(
    world.pods.map(pod => pod.status?.phase),
    ['Running'],
  );
});

const amount = fc.oneof(
  fc.integer({ min: 0, max: 5 }),
  fc.integer({ min: 0, max: 100 }).map(value => `${value}%`),
);
const moves = fc.array(fc.nat(20), { maxLength: 60 });

function play(world: World, order: number[], check: () => void): void {
  for (const move of order) {
    if (move % 3 === 0 || world.pods.length === 0) world.step();
    else world.live(world.pods[move % world.pods.length]!);
    check();
  }
}

test('a rolling update never takes more than maxUnavailable, in every order of events, and ends', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 6 }),
      amount,
      moves,
      moves,
      (count, maxUnavailable, first, second) => {
        const world = new World(
          daemonSet({ updateStrategy: { rollingUpdate: { maxUnavailable } } }),
          nodes(count),
        );
        world.settle();
        const floor = count - updateLimits(world.set, count).maxUnavailable;
        const check = () =>
          assert.ok(world.serving().size >= floor, `${world.serving().size} serve, ${floor} have to`);
        world.hash = 'two';
        play(world, first, check);
        world.hash = 'three';
        play(world, second, check);
        world.settle(check);
        assert.equal(world.pods.length, count);
        assert.ok(world.pods.every(pod => pod.metadata.labels?.[REVISION_HASH] === 'three'));
        assert.equal(world.plan().status.updatedNumberScheduled, count);
      },
    ),
    { numRuns: 300 },
  );
});

test('with maxSurge every node is served throughout, by at most two pods, and so many at a time', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 1, max: 4 }),
      moves,
      (count, maxSurge, order) => {
        const updateStrategy = { rollingUpdate: { maxSurge, maxUnavailable: 0 } };
        const world = new World(daemonSet({ updateStrategy }), nodes(count));
        world.settle();
        const check = () => {
          assert.equal(world.serving().size, count);
          assert.ok(world.pods.filter(isActive).length <= count + maxSurge);
        };
        world.hash = 'two';
        play(world, order, check);
        world.settle(check);
        assert.equal(world.pods.length, count);
        assert.ok(world.pods.every(pod => pod.metadata.labels?.[REVISION_HASH] === 'two'));
      },
    ),
    { numRuns: 200 },
  );
});

test('OnDelete replaces nothing by itself, and what somebody deletes comes back new', () => {
  const world = new World(daemonSet({ updateStrategy: { type: 'OnDelete' } }), nodes(2));
  world.settle();
  world.hash = 'two';
  world.settle();
  assert.equal(world.plan().status.updatedNumberScheduled, 0);
  world.pods[0]!.metadata.deletionTimestamp = new Date(world.now).toISOString();
  world.settle();
  assert.equal(world.plan().status.updatedNumberScheduled, 1);
});
