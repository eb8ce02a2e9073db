/** The status of a Deployment: counts, and the conditions that `kubectl rollout status` reads. */
import type { Condition, Deployment, ReplicaSet } from '../../kube/types.ts';
import { condition, timeOf, timestamp, withCondition, withoutCondition } from './objects.ts';
import { isComplete, limitsOf, type Rollout, sum, wanted } from './rollout.ts';

export type DeploymentStatus = NonNullable<Deployment['status']>;

export interface StatusPlan {
  status: DeploymentStatus;
  /** Milliseconds until the progress deadline, while one runs. */
  after?: number;
}

export function planStatus(
  deployment: Deployment,
  sets: readonly ReplicaSet[],
  rollout: Rollout,
  now: number,
): StatusPlan {
  const availableReplicas = sum(sets, set => set.status?.availableReplicas ?? 0);
  const counts = {
    observedGeneration: deployment.metadata.generation ?? 0,
    replicas: sum(sets, set => set.status?.replicas ?? 0),
    updatedReplicas: rollout.current?.status?.replicas ?? 0,
    readyReplicas: sum(sets, set => set.status?.readyReplicas ?? 0),
    availableReplicas,
    unavailableReplicas: Math.max(0, sum(sets, wanted) - availableReplicas),
  };
  const known = deployment.status?.conditions;
  let conditions = withCondition(
    known,
    stamped(availability(deployment, availableReplicas), known, now),
    now,
  );
  const progress = progressOf(deployment, sets, rollout, counts, now);
  if (progress.next !== undefined) conditions = withCondition(conditions, progress.next, now);
  conditions = withFailures(conditions, sets, now);
  const { collisionCount } = deployment.status ?? {};
  return {
    status: { ...counts, conditions, ...(collisionCount && { collisionCount }) },
    ...(progress.after !== undefined && { after: progress.after }),
  };
}

function availability(deployment: Deployment, availableReplicas: number): Condition {
  const { replicas, maxUnavailable } = limitsOf(deployment);
  return availableReplicas >= replicas - maxUnavailable
    ? {
        type: 'Available',
        status: 'True',
        reason: 'MinimumReplicasAvailable',
        message: 'Deployment has minimum availability.',
      }
    : {
        type: 'Available',
        status: 'False',
        reason: 'MinimumReplicasUnavailable',
        message: 'Deployment does not have minimum availability.',
      };
}

/** lastUpdateTime moves only when something is said anew. */
function stamped(next: Condition, known: readonly Condition[] | undefined, now: number): Condition {
  const before = known?.find(each => each.type === next.type);
  const same = before?.status === next.status && before.reason === next.reason;
  return { ...next, lastUpdateTime: (same && before.lastUpdateTime) || timestamp(now) };
}

function progressOf(
  deployment: Deployment,
  sets: readonly ReplicaSet[],
  rollout: Rollout,
  counts: DeploymentStatus,
  now: number,
): { next?: Condition; after?: number } {
  const known = condition(deployment.status?.conditions, 'Progressing');
  const say = (status: Condition['status'], reason: string, message: string): { next: Condition } => {
    const next: Condition = { type: 'Progressing', status, reason, message };
    return { next: { ...next, lastUpdateTime: timestamp(now) } };
  };
  const what = rollout.current
    ? `ReplicaSet "${rollout.current.metadata.name}"`
    : `Deployment "${deployment.metadata.name}"`;
  if (deployment.spec.paused) {
    return known?.reason === 'DeploymentPaused'
      ? {}
      : say('Unknown', 'DeploymentPaused', 'Deployment is paused');
  }
  if (known?.reason === 'DeploymentPaused')
    return say('Unknown', 'DeploymentResumed', 'Deployment is resumed');
  if (rollout.create !== undefined) {
    const name = rollout.create.metadata.name;
    return say('True', 'NewReplicaSetCreated', `Created new replica set "${name}"`);
  }
  if (isComplete(deployment, rollout.current, sets)) {
    if (known?.reason === 'NewReplicaSetAvailable' && known.message?.startsWith(what)) return {};
    return say('True', 'NewReplicaSetAvailable', `${what} has successfully progressed.`);
  }
  if (known === undefined)
    return say('True', 'FoundNewReplicaSet', `Found new replica set "${rollout.current?.metadata.name}"`);
  if (moved(deployment.status ?? {}, counts) || rollout.resize.length > 0)
    return say('True', 'ReplicaSetUpdated', `${what} is progressing.`);
  // A deployment that was complete and lost a pod is not rolling out: no deadline runs.
  if (known.reason === 'NewReplicaSetAvailable' || known.reason === 'ProgressDeadlineExceeded') return {};
  const deadline = timeOf(known.lastUpdateTime) + (deployment.spec.progressDeadlineSeconds ?? 600) * 1000;
  if (now < deadline) return { after: deadline - now + 50 };
  return say('False', 'ProgressDeadlineExceeded', `${what} has timed out progressing.`);
}

function moved(before: DeploymentStatus, after: DeploymentStatus): boolean {
  const old = (status: DeploymentStatus) => (status.replicas ?? 0) - (status.updatedReplicas ?? 0);
  return (
    (after.updatedReplicas ?? 0) > (before.updatedReplicas ?? 0) ||
    old(after) < old(before) ||
    (after.readyReplicas ?? 0) > (before.readyReplicas ?? 0) ||
    (after.availableReplicas ?? 0) > (before.availableReplicas ?? 0)
  );
}

function withFailures(conditions: Condition[], sets: readonly ReplicaSet[], now: number): Condition[] {
  const failures = sets.map(set => condition(set.status?.conditions, 'ReplicaFailure'));
  const failure = failures.find(each => each !== undefined);
  if (failure === undefined) return withoutCondition(conditions, 'ReplicaFailure');
  return withCondition(conditions, stamped(failure, conditions, now), now);
}
