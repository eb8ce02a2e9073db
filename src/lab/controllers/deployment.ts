/** Deployments: carries out what `planRollout` decides. */
import { ApiError } from '../../kube/client.ts';
import type { Deployment, ReplicaSet } from '../../kube/types.ts';
import { DEPLOYMENTS, PODS, REPLICASETS } from '../../kube/types.ts';
import type { Cluster } from './cluster.ts';
import { type Controller, controller, eachObject, keyOf, ownerOf, splitKey } from './controller.ts';
import { planStatus } from './deploymentstatus.ts';
import { claim, controllerOf, isControlledBy } from './objects.ts';
import { isTerminated } from './pods.ts';
import { currentSet, planRollout, REVISION, type Rollout, wanted } from './rollout.ts';
import { selects } from './selectors.ts';
import { writeStatus } from './status.ts';

export function deploymentController(cluster: Cluster): Controller {
  const [deployments, sets, pods] = [
    cluster.cache(DEPLOYMENTS),
    cluster.cache(REPLICASETS),
    cluster.cache(PODS),
  ];

  return controller({
    name: 'deployment',
    cluster,
    watch(enqueue) {
      deployments.subscribe(eachObject(enqueue));
      sets.subscribe(ownerOf('Deployment', enqueue));
      sets.subscribe(({ object }) => {
        if (object.metadata.ownerReferences?.length) return;
        for (const deployment of deployments.items(object.metadata.namespace))
          if (selects(deployment.spec.selector, object.metadata.labels)) enqueue(keyOf(deployment));
      });
      // Recreate waits for the last old pod to be gone.
      pods.subscribe(({ type, object }) => {
        const owner = controllerOf(object);
        if (owner?.kind !== 'ReplicaSet' || (type !== 'deleted' && !isTerminated(object))) return;
        const set = sets.get(owner.name, object.metadata.namespace);
        const above = set && controllerOf(set);
        if (above?.kind === 'Deployment') enqueue(`${object.metadata.namespace}/${above.name}`);
      });
      return [deployments, sets, pods];
    },
    async reconcile(key) {
      const { name, namespace } = splitKey(key);
      const deployment = deployments.get(name, namespace);
      if (deployment === undefined) return undefined;
      const claims = claim(deployment, deployment.spec.selector, sets.items(namespace));
      await cluster.settleClaims(DEPLOYMENTS, deployment, REPLICASETS, claims);
      const owned = [...claims.owned, ...claims.adopt];
      const rollout = planRollout(deployment, owned, strayPods(deployment, owned));
      await carryOut(cluster, deployment, rollout);
      const { status, after } = planStatus(deployment, owned, rollout, cluster.clock.now());
      await writeStatus(cluster, DEPLOYMENTS, deployment, status);
      return after;
    },
  });

  function strayPods(deployment: Deployment, owned: readonly ReplicaSet[]): number {
    if (deployment.spec.strategy?.type !== 'Recreate') return 0;
    const current = currentSet(deployment, owned);
    const old = owned.filter(set => set !== current);
    const alive = pods.items(deployment.metadata.namespace).filter(pod => !isTerminated(pod));
    return alive.filter(pod => old.some(set => isControlledBy(pod, set))).length;
  }
}

async function carryOut(cluster: Cluster, deployment: Deployment, rollout: Rollout): Promise<void> {
  if (rollout.create !== undefined) await createSet(cluster, deployment, rollout.create);
  const resizes = new Map(rollout.resize.map(({ set, replicas }) => [set, replicas]));
  const notes = new Map(rollout.annotate.map(({ set, annotations }) => [set, annotations]));
  for (const set of new Set([...resizes.keys(), ...notes.keys()])) {
    const replicas = resizes.get(set);
    const annotations = notes.get(set);
    await cluster.patch(REPLICASETS, set, {
      ...(annotations && { metadata: { annotations } }),
      ...(replicas !== undefined && { spec: { replicas } }),
    });
    if (replicas !== undefined) tellScaling(cluster, deployment, set.metadata.name, wanted(set), replicas);
  }
  for (const set of rollout.remove) await cluster.delete(REPLICASETS, set);
  const known = deployment.metadata.annotations?.[REVISION];
  if (rollout.revision !== undefined && rollout.revision !== known)
    await cluster.patch(DEPLOYMENTS, deployment, {
      metadata: { annotations: { [REVISION]: rollout.revision } },
    });
  const minReadySeconds = deployment.spec.minReadySeconds ?? 0;
  if (rollout.current !== undefined && (rollout.current.spec.minReadySeconds ?? 0) !== minReadySeconds)
    await cluster.patch(REPLICASETS, rollout.current, { spec: { minReadySeconds } });
}

async function createSet(cluster: Cluster, deployment: Deployment, set: ReplicaSet): Promise<void> {
  try {
    await cluster.create(REPLICASETS, set);
  } catch (error) {
    if (!(error instanceof ApiError) || error.reason !== 'AlreadyExists') throw error;
    const taken = await cluster.client.get(REPLICASETS, set.metadata.name, set.metadata.namespace);
    // Ours, and the cache has yet to show it; else another template has the same hash: count on to the next one.
    if (isControlledBy(taken, deployment) && currentSet(deployment, [taken])) {
      cluster.cache(REPLICASETS).wrote(taken);
    } else {
      const collisionCount = (deployment.status?.collisionCount ?? 0) + 1;
      await cluster.patch(DEPLOYMENTS, deployment, { status: { collisionCount } }, 'status');
    }
    throw error;
  }
  tellScaling(cluster, deployment, set.metadata.name, 0, wanted(set));
}

function tellScaling(cluster: Cluster, deployment: Deployment, set: string, from: number, to: number): void {
  if (from === to) return;
  const direction = to > from ? 'up' : 'down';
  cluster.event(
    deployment,
    'Normal',
    'ScalingReplicaSet',
    'ScalingReplicaSet',
    `Scaled ${direction} replica set ${set} from ${from} to ${to}`,
  );
}
