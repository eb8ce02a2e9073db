import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Deployment, Pod, ReplicaSet } from '../../kube/types.ts';
import { planStatus } from './deploymentstatus.ts';
import { controllerOf, isControlledBy } from './objects.ts';
import { isActive, podFromTemplate } from './pods.ts';
import { planReplicaSet } from './replicaset.ts';
import { currentSet, limitsOf, planRollout, REVISION, REVISION_HISTORY, sum, wanted } from './rollout.ts';

/** A cluster in memory: the real plans of both controllers, applied step by step in any order. */
class World {
  readonly deployment: Deployment;
  sets: ReplicaSet[] = [];
  pods: Pod[] = [];
  now = Date.UTC(2026, 0, 1);
  #serial = 0;
  /** Images whose pods never become ready. */
  readonly broken = new Set<string>();

  constructor(spec: Partial<Deployment['spec']>) {
    this.deployment = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'web', namespace: 'default', uid: 'deployment', generation: 1 },
      spec: {
        selector: { matchLabels: { app: 'web' } },
        template: {
          metadata: { labels: { app: 'web' } },
          spec: { containers: [{ name: 'c', image: 'v1' }] },
        },
        ...spec,
      },
    };
  }

  image(image: string): void {
    this.deployment.spec = {
      ...this.deployment.spec,
      template: {
        metadata: { labels: { app: 'web' } },
        spec: { containers: [{ name: 'c', image }] },
      },
    };
    this.deployment.metadata.generation! += 1;
  }

  stepDeployment(): boolean {
    this.now += 1000;
    const current = currentSet(this.deployment, this.sets);
    const stray = this.pods.filter(pod => current === undefined || !isControlledBy(pod, current)).length;
    const plan = planRollout(this.deployment, this.sets, stray);
    const before = JSON.stringify([this.sets, this.deployment.status]);
    if (plan.create) this.#add(plan.create);
    for (const { set, replicas } of plan.resize) {
      set.spec.replicas = replicas;
      set.metadata.generation! += 1;
    }
    for (const { set, annotations } of plan.annotate)
      set.metadata.annotations = { ...set.metadata.annotations, ...annotations };
    this.sets = this.sets.filter(set => !plan.remove.includes(set));
    this.deployment.status = planStatus(this.deployment, this.sets, plan, this.now).status;
    return JSON.stringify([this.sets, this.deployment.status]) !== before;
  }

  stepSet(set: ReplicaSet): boolean {
    this.now += 1000;
    const owned = this.pods.filter(pod => isControlledBy(pod, set));
    const plan = planReplicaSet(set, owned, this.now);
    const before = JSON.stringify(set.status);
    for (let index = 0; index < plan.create; index++) {
      const pod = podFromTemplate(set, set.spec.template!, { name: `pod-${this.#serial++}` });
      pod.metadata.uid = pod.metadata.name;
      this.pods.push(pod);
    }
    this.pods = this.pods.filter(pod => !plan.remove.includes(pod));
    set.status = plan.status;
    return plan.create > 0 || plan.remove.length > 0 || JSON.stringify(set.status) !== before;
  }

  /** A kubelet brings the pod up. */
  stepPod(pod: Pod): boolean {
    this.now += 1000;
    if (pod.status?.phase === 'Running' || this.broken.has(pod.spec.containers[0]!.image!)) return false;
    const lastTransitionTime = new Date(this.now).toISOString();
    pod.status = { phase: 'Running', conditions: [{ type: 'Ready', status: 'True', lastTransitionTime }] };
    return true;
  }

  settle(check = () => {}): void {
    for (let round = 0; round < 400; round++) {
      let changed = this.stepDeployment();
      check();
      for (const set of this.sets) changed = this.stepSet(set) || changed;
      check();
      for (const pod of this.pods) changed = this.stepPod(pod) || changed;
      if (!changed) return;
    }
    assert.fail('the rollout never ends');
  }

  available(): number {
    return this.pods.filter(pod => pod.status?.phase === 'Running' && isActive(pod)).length;
  }

  images(): string[] {
    return this.pods.map(pod => pod.spec.containers[0]!.image!);
  }

  progressing() {
    return this.deployment.status?.conditions?.find(each => each.type === 'Progressing');
  }

  #add(set: ReplicaSet): void {
    const creationTimestamp = new Date(this.now).toISOString();
    Object.assign(set.metadata, { uid: set.metadata.name, generation: 1, creationTimestamp });
    this.sets.push(set);
  }
}

const limit = fc.oneof(
  fc.integer({ min: 0, max: 4 }),
  fc.integer({ min: 0, max: 100 }).map(value => `${value}%`),
);
const strategies = fc.record(
  { maxSurge: limit, maxUnavailable: limit },
  { noNullPrototype: true, requiredKeys: [] },
);
const moves = fc.array(fc.tuple(fc.constantFrom('deployment', 'set', 'pod'), fc.nat(20)), { maxLength: 80 });

function play(world: World, steps: [string, number][], check: () => void): void {
  for (const [who, index] of steps) {
    if (who === 'deployment') world.stepDeployment();
    else if (who === 'set' && world.sets.length > 0) world.stepSet(world.sets[index % world.sets.length]!);
    else if (who === 'pod' && world.pods.length > 0) world.stepPod(world.pods[index % world.pods.length]!);
    check();
  }
}

test('a rolling update stays within maxSurge and maxUnavailable in every order of events, and ends', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 7 }),
      strategies,
      moves,
      moves,
      (replicas, rollingUpdate, first, second) => {
        const world = new World({ replicas, strategy: { type: 'RollingUpdate', rollingUpdate } });
        world.settle();
        const { maxSurge, maxUnavailable } = limitsOf(world.deployment);
        const check = () => {
          assert.ok(sum(world.sets, wanted) <= replicas + maxSurge, 'more pods than maxSurge allows');
          assert.ok(world.available() >= replicas - maxUnavailable, 'fewer pods than maxUnavailable allows');
        };
        check();
        world.image('v2');
        play(world, first, check);
        world.image('v3');
        play(world, second, check);
        world.settle(check);
        assert.deepEqual(world.images(), Array(replicas).fill('v3'));
        assert.equal(world.progressing()?.reason, 'NewReplicaSetAvailable');
      },
    ),
    { numRuns: 300 },
  );
});

test('a broken template never takes the pods that serve below the floor, and going back ends it', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 7 }), strategies, moves, (replicas, rollingUpdate, steps) => {
      const world = new World({ replicas, strategy: { type: 'RollingUpdate', rollingUpdate } });
      world.settle();
      const floor = replicas - limitsOf(world.deployment).maxUnavailable;
      world.broken.add('bad');
      world.image('bad');
      const check = () => assert.ok(world.available() >= floor);
      play(world, steps, check);
      world.settle(check);
      world.image('v1');
      world.settle(check);
      assert.deepEqual(world.images(), Array(replicas).fill('v1'));
    }),
    { numRuns: 200 },
  );
});

test('any sizes and templates in any order end in the last ones', () => {
  const edit = fc.oneof(
    fc.integer({ min: 0, max: 9 }).map(replicas => ({ replicas })),
    fc.constantFrom('v1', 'v2', 'v3').map(image => ({ image })),
  );
  fc.assert(
    fc.property(
      strategies,
      fc.constantFrom<'RollingUpdate' | 'Recreate'>('RollingUpdate', 'Recreate'),
      fc.array(fc.tuple(edit, moves), { maxLength: 5 }),
      (rollingUpdate, type, edits) => {
        const world = new World({ replicas: 3, strategy: { type, rollingUpdate } });
        let image = 'v1';
        for (const [change, steps] of edits) {
          if ('replicas' in change) {
            world.deployment.spec.replicas = change.replicas;
            world.deployment.metadata.generation! += 1;
          } else {
            image = change.image;
            world.image(image);
          }
          play(world, steps, () => {});
        }
        world.settle();
        assert.deepEqual(world.images(), Array(world.deployment.spec.replicas).fill(image));
        assert.equal(world.deployment.status?.observedGeneration, world.deployment.metadata.generation);
      },
    ),
    { numRuns: 200 },
  );
});

test('Recreate: no new pod before the last old one is gone', () => {
  const world = new World({ replicas: 3, strategy: { type: 'Recreate' } });
  world.settle();
  world.image('v2');
  world.settle(() => assert.equal(new Set(world.images()).size <= 1, true));
  assert.deepEqual(world.images(), ['v2', 'v2', 'v2']);
});

test('going back to an earlier template takes its set again, with a new revision and the old one in its history', () => {
  const world = new World({ replicas: 1 });
  world.settle();
  world.image('v2');
  world.settle();
  assert.deepEqual(
    world.sets.map(set => set.metadata.annotations?.[REVISION]),
    ['1', '2'],
  );
  world.image('v1');
  world.settle();
  assert.equal(world.sets.length, 2);
  assert.equal(world.sets[0]!.metadata.annotations?.[REVISION], '3');
  assert.equal(world.sets[0]!.metadata.annotations?.[REVISION_HISTORY], '1');
});

test('only revisionHistoryLimit old sets are kept, the newest', () => {
  const world = new World({ replicas: 1, revisionHistoryLimit: 2 });
  for (const image of ['v1', 'v2', 'v3', 'v4', 'v5']) {
    world.image(image);
    world.settle();
  }
  const kept = world.sets.map(set => set.spec.template!.spec.containers[0]!.image);
  assert.deepEqual(kept, ['v3', 'v4', 'v5']);
});

test('a rollout that does not move is told when its deadline has passed', () => {
  const world = new World({ replicas: 1, progressDeadlineSeconds: 60 });
  world.settle();
  world.broken.add('bad');
  world.image('bad');
  world.settle();
  assert.equal(world.progressing()?.reason, 'ReplicaSetUpdated');
  const plan = planRollout(world.deployment, world.sets, 0);
  assert.ok(planStatus(world.deployment, world.sets, plan, world.now).after! <= 60_050);
  world.now += 61_000;
  world.stepDeployment();
  assert.equal(world.progressing()?.reason, 'ProgressDeadlineExceeded');
  assert.equal(world.progressing()?.status, 'False');
});

test('a set carries the labels, selector and owner that kubectl looks for', () => {
  const world = new World({ replicas: 2 });
  world.stepDeployment();
  const set = world.sets[0]!;
  const hash = set.metadata.labels?.['pod-template-hash'];
  assert.match(hash!, /^[bcdfghjklmnpqrstvwxz2456789]{4,10}$/);
  assert.equal(set.metadata.name, `web-${hash}`);
  assert.equal(set.spec.selector.matchLabels?.['pod-template-hash'], hash);
  assert.equal(set.spec.template?.metadata?.labels?.['pod-template-hash'], hash);
  assert.equal(controllerOf(set)?.uid, 'deployment');
});

test('a paused deployment is scaled but not rolled', () => {
  const world = new World({ replicas: 2 });
  world.settle();
  world.deployment.spec.paused = true;
  world.image('v2');
  world.deployment.spec.replicas = 3;
  world.settle();
  assert.deepEqual(world.images(), ['v1', 'v1', 'v1']);
  assert.equal(world.progressing()?.reason, 'DeploymentPaused');
});
