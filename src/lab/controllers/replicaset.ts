/** ReplicaSets: as many pods of one template as asked for. */
import type { Condition, Pod, ReplicaSet } from '../../kube/types.ts';
import { PODS, REPLICASETS } from '../../kube/types.ts';
import type { Cluster } from './cluster.ts';
import { type Controller, controller, eachObject, keyOf, ownerOf, splitKey } from './controller.ts';
import { createPod, refusalOf } from './createpod.ts';
import { claim, generatedName, isDeleting, withCondition, withoutCondition } from './objects.ts';
import {
  byDispensability,
  isActive,
  isAvailable,
  isReady,
  isTerminated,
  nextAvailable,
  podFromTemplate,
} from './pods.ts';
import { includesLabels, selects } from './selectors.ts';
import { writeStatus } from './status.ts';

export type ReplicaSetStatus = NonNullable<ReplicaSet['status']>;

export interface ReplicaSetPlan {
  create: number;
  remove: Pod[];
  status: ReplicaSetStatus;
  /** Milliseconds until the plan changes by time alone. */
  after?: number;
}

/** `owned` are the pods that the set controls, ended ones included. */
export function planReplicaSet(set: ReplicaSet, owned: readonly Pod[], now: number): ReplicaSetPlan {
  const active = owned.filter(isActive);
  const missing = isDeleting(set) ? 0 : (set.spec.replicas ?? 1) - active.length;
  const minReady = set.spec.minReadySeconds ?? 0;
  const after = nextAvailable(active, minReady, now);
  return {
    create: Math.max(missing, 0),
    remove: byDispensability(active).slice(0, Math.max(-missing, 0)),
    status: {
      replicas: active.length,
      fullyLabeledReplicas: active.filter(pod =>
        includesLabels(pod.metadata.labels, set.spec.template?.metadata?.labels),
      ).length,
      readyReplicas: active.filter(isReady).length,
      availableReplicas: active.filter(pod => isAvailable(pod, minReady, now)).length,
      observedGeneration: set.metadata.generation ?? 0,
      conditions: set.status?.conditions ?? [],
    },
    ...(after !== undefined && { after }),
  };
}

export function replicaSetController(cluster: Cluster): Controller {
  const [sets, pods] = [cluster.cache(REPLICASETS), cluster.cache(PODS)];

  return controller({
    name: 'replicaset',
    cluster,
    watch(enqueue) {
      sets.subscribe(eachObject(enqueue));
      pods.subscribe(ownerOf('ReplicaSet', enqueue));
      pods.subscribe(({ object }) => {
        if (object.metadata.ownerReferences?.length) return;
        const matching = sets
          .items(object.metadata.namespace)
          .filter(set => selects(set.spec.selector, object.metadata.labels));
        for (const set of matching) enqueue(keyOf(set));
      });
      return [sets, pods];
    },
    async reconcile(key) {
      const { name, namespace } = splitKey(key);
      const set = sets.get(name, namespace);
      if (set === undefined) return undefined;
      const candidates = pods.items(namespace).filter(pod => !isTerminated(pod));
      const claims = claim(set, set.spec.selector, candidates);
      await cluster.settleClaims(REPLICASETS, set, PODS, claims);
      const plan = planReplicaSet(set, [...claims.owned, ...claims.adopt], cluster.clock.now());
      const failure = await attempt(() => carryOut(cluster, set, plan));
      const status = withFailure(set, plan.status, failure, cluster.clock.now());
      await writeStatus(cluster, REPLICASETS, set, status);
      if (failure !== undefined) throw failure;
      return plan.after;
    },
  });
}

async function carryOut(cluster: Cluster, set: ReplicaSet, plan: ReplicaSetPlan): Promise<void> {
  const template = set.spec.template;
  if (plan.create > 0 && template !== undefined) {
    const prefix = `${set.metadata.name}-`;
    // One alone first: what refuses it would refuse them all.
    for (let wave = 1, left = plan.create; left > 0; wave = Math.min(wave * 2, 16)) {
      const size = Math.min(wave, left);
      await Promise.all(
        Array.from({ length: size }, async () => {
          const pod = podFromTemplate(set, template, { name: generatedName(prefix, cluster.random), prefix });
          await createPod(cluster, set, pod);
        }),
      );
      left -= size;
    }
  }
  await Promise.all(
    plan.remove.map(async pod => {
      await cluster.delete(PODS, pod);
      cluster.event(set, 'Normal', 'SuccessfulDelete', 'Delete', `Deleted pod: ${pod.metadata.name}`);
    }),
  );
}

async function attempt(action: () => Promise<void>): Promise<Error | undefined> {
  try {
    await action();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function withFailure(
  set: ReplicaSet,
  status: ReplicaSetStatus,
  failure: Error | undefined,
  now: number,
): ReplicaSetStatus {
  const type = 'ReplicaFailure';
  if (failure === undefined) return { ...status, conditions: withoutCondition(status.conditions, type) };
  const message = refusalOf(failure, `${set.metadata.name}-`);
  const condition: Condition = { type, status: 'True', reason: 'FailedCreate', message };
  return { ...status, conditions: withCondition(status.conditions, condition, now) };
}
