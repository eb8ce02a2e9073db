/**
 * What a Deployment does next, as a pure function of its ReplicaSets: one step at a time, so that the pods that exist
 * never exceed replicas + maxSurge and those that serve never drop below replicas - maxUnavailable.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Deployment, PodTemplate, ReplicaSet } from '../../kube/types.ts';
import { byAge, controllerReference, isDeleting, scaled, shortHash } from './objects.ts';

export const HASH_LABEL = 'pod-template-hash';
export const REVISION = 'deployment.kubernetes.io/revision';
export const REVISION_HISTORY = 'deployment.kubernetes.io/revision-history';
export const DESIRED_REPLICAS = 'deployment.kubernetes.io/desired-replicas';
export const MAX_REPLICAS = 'deployment.kubernetes.io/max-replicas';
const UNCOPIED = new Set([
  'kubectl.kubernetes.io/last-applied-configuration',
  'deprecated.deployment.rollback.to',
  REVISION,
  REVISION_HISTORY,
  DESIRED_REPLICAS,
  MAX_REPLICAS,
]);

export interface Rollout {
  /** The set of the template as it is now, when it exists. */
  current: ReplicaSet | undefined;
  /** To be made; the name may be taken by a set of another template. */
  create: ReplicaSet | undefined;
  resize: { set: ReplicaSet; replicas: number }[];
  annotate: { set: ReplicaSet; annotations: Record<string, string> }[];
  remove: ReplicaSet[];
  revision: string | undefined;
}

export interface Limits {
  replicas: number;
  maxSurge: number;
  maxUnavailable: number;
}

/** `strayPods`: pods of old sets that have not ended yet, which Recreate waits for. */
export function planRollout(
  deployment: Deployment,
  owned: readonly ReplicaSet[],
  strayPods: number,
): Rollout {
  const limits = limitsOf(deployment);
  const sets = [...owned].sort(byAge);
  const current = currentSet(deployment, owned);
  const old = sets.filter(set => set !== current);
  const plan: Rollout = {
    current,
    create: undefined,
    resize: [],
    annotate: [],
    remove: [],
    revision: current?.metadata.annotations?.[REVISION],
  };
  if (isDeleting(deployment)) return plan;

  const newest = Math.max(0, ...old.map(revisionOf));
  const revision = String(Math.max(newest + 1, revisionOf(current)));
  if (deployment.spec.paused) {
    plan.resize = scaleProportionally(limits, current, old);
  } else if (current !== undefined && isScalingEvent(limits, sets)) {
    plan.resize = scaleProportionally(limits, current, old);
    plan.revision = revision;
  } else if (deployment.spec.strategy?.type === 'Recreate') {
    plan.resize = resized(old, () => 0);
    const empty = plan.resize.length === 0 && strayPods === 0;
    if (empty && current === undefined) plan.create = newSet(deployment, limits, limits.replicas, revision);
    if (empty && current !== undefined) plan.resize = resized([current], () => limits.replicas);
    if (current !== undefined) plan.revision = revision;
  } else if (current === undefined) {
    plan.create = newSet(deployment, limits, firstReplicas(limits, old), revision);
  } else {
    plan.resize = rollingStep(limits, current, old);
    plan.revision = revision;
  }
  if (plan.create !== undefined) plan.revision = revision;
  plan.annotate = annotations(deployment, limits, sets, current, plan.revision);
  if (isComplete(deployment, current, sets)) plan.remove = beyondHistory(deployment, old);
  return plan;
}

/** maxSurge counts up, maxUnavailable down; both zero would never move. */
export function limitsOf(deployment: Deployment): Limits {
  const replicas = deployment.spec.replicas ?? 1;
  if (deployment.spec.strategy?.type === 'Recreate')
    return { replicas, maxSurge: 0, maxUnavailable: replicas };
  const rolling = deployment.spec.strategy?.rollingUpdate;
  const maxSurge = scaled(rolling?.maxSurge ?? '25%', replicas, 'up');
  const maxUnavailable = Math.min(scaled(rolling?.maxUnavailable ?? '25%', replicas, 'down'), replicas);
  return { replicas, maxSurge, maxUnavailable: maxSurge === 0 && maxUnavailable === 0 ? 1 : maxUnavailable };
}

/** Every replica is of the current template and available, and nothing else is left. */
export function isComplete(
  deployment: Deployment,
  current: ReplicaSet | undefined,
  sets: readonly ReplicaSet[],
): boolean {
  const replicas = deployment.spec.replicas ?? 1;
  return (
    current !== undefined &&
    (current.status?.replicas ?? 0) === replicas &&
    sum(sets, set => set.status?.replicas ?? 0) === replicas &&
    sum(sets, set => set.status?.availableReplicas ?? 0) === replicas
  );
}

export function sum(sets: readonly ReplicaSet[], value: (set: ReplicaSet) => number): number {
  return sets.reduce((total, set) => total + value(set), 0);
}

export const wanted = (set: ReplicaSet): number => set.spec.replicas ?? 1;
const available = (set: ReplicaSet): number => set.status?.availableReplicas ?? 0;

/** The oldest set whose template is the deployment's, hash label aside. */
export function currentSet(deployment: Deployment, sets: readonly ReplicaSet[]): ReplicaSet | undefined {
  const template = withoutHash(deployment.spec.template);
  return sets
    .toSorted(byAge)
    .find(set => set.spec.template && isDeepStrictEqual(withoutHash(set.spec.template), template));
}

function withoutHash(template: PodTemplate): PodTemplate {
  const { [HASH_LABEL]: _, ...labels } = template.metadata?.labels ?? {};
  const { creationTimestamp: __, ...metadata } = { creationTimestamp: null, ...template.metadata };
  return { ...template, metadata: { ...metadata, labels } };
}

function newSet(deployment: Deployment, limits: Limits, replicas: number, revision: string): ReplicaSet {
  const { name, namespace } = deployment.metadata;
  const hash = shortHash([
    withoutHash(deployment.spec.template),
    ...(deployment.status?.collisionCount ? [deployment.status.collisionCount] : []),
  ]);
  const template = structuredClone(deployment.spec.template);
  const labels = { ...template.metadata?.labels, [HASH_LABEL]: hash };
  return {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      name: `${name}-${hash}`,
      namespace: namespace ?? 'default',
      labels,
      annotations: { ...copiedAnnotations(deployment), ...sizes(limits), [REVISION]: revision },
      ownerReferences: [controllerReference(deployment)],
    },
    spec: {
      replicas,
      ...(deployment.spec.minReadySeconds && { minReadySeconds: deployment.spec.minReadySeconds }),
      selector: {
        ...deployment.spec.selector,
        matchLabels: { ...deployment.spec.selector.matchLabels, [HASH_LABEL]: hash },
      },
      template: { ...template, metadata: { ...template.metadata, labels } },
    },
  };
}

function firstReplicas(limits: Limits, old: readonly ReplicaSet[]): number {
  return Math.max(0, Math.min(limits.replicas + limits.maxSurge - sum(old, wanted), limits.replicas));
}

function rollingStep(limits: Limits, current: ReplicaSet, old: readonly ReplicaSet[]): Rollout['resize'] {
  const { replicas, maxSurge, maxUnavailable } = limits;
  const total = wanted(current) + sum(old, wanted);
  if (wanted(current) > replicas) return resized([current], () => replicas);
  const room = replicas + maxSurge - total;
  if (wanted(current) < replicas && room > 0)
    return resized([current], size => size + Math.min(room, replicas - size));

  const floor = replicas - maxUnavailable;
  const unavailableNew = wanted(current) - available(current);
  let spare = total - floor - unavailableNew;
  if (spare <= 0) return [];
  const sizes = new Map(old.map(set => [set, wanted(set)]));
  // Pods that do not serve go first: nothing is lost with them.
  for (const set of old) {
    const idle = Math.min(spare, Math.max(wanted(set) - available(set), 0));
    sizes.set(set, wanted(set) - idle);
    spare -= idle;
  }
  let serving = Math.min(spare, available(current) + sum(old, available) - floor);
  for (const set of old) {
    const size = sizes.get(set)!;
    const step = Math.max(0, Math.min(size, serving));
    sizes.set(set, size - step);
    serving -= step;
  }
  return resized(old, (_, set) => sizes.get(set)!);
}

/** The deployment's size changed since its sets were last sized for it. */
function isScalingEvent(limits: Limits, sets: readonly ReplicaSet[]): boolean {
  return sets.some(set => {
    const desired = set.metadata.annotations?.[DESIRED_REPLICAS];
    return wanted(set) > 0 && desired !== undefined && Number(desired) !== limits.replicas;
  });
}

/** Sizes what runs for the new total, each set by its share, so that a rollout under way goes on from there. */
function scaleProportionally(
  limits: Limits,
  current: ReplicaSet | undefined,
  old: readonly ReplicaSet[],
): Rollout['resize'] {
  const all = [...(current ? [current] : []), ...old];
  const active = all.filter(set => wanted(set) > 0);
  if (active.length <= 1) {
    const only = active[0] ?? current ?? old.at(-1);
    return only === undefined ? [] : resized([only], () => limits.replicas);
  }
  if (current && wanted(current) === limits.replicas && available(current) === limits.replicas)
    return resized(old, () => 0);

  const allowed = limits.replicas > 0 ? limits.replicas + limits.maxSurge : 0;
  let toAdd = allowed - sum(active, wanted);
  const ordered = active.toSorted(
    (a, b) => wanted(b) - wanted(a) || (toAdd > 0 ? -byAge(a, b) : byAge(a, b)),
  );
  const sizes = new Map(ordered.map(set => [set, wanted(set)]));
  for (const set of ordered) {
    const before = Number(set.metadata.annotations?.[MAX_REPLICAS]) || sum(active, wanted);
    const share = Math.round((wanted(set) * allowed) / before) - wanted(set);
    const step = toAdd > 0 ? Math.min(Math.max(share, 0), toAdd) : Math.max(Math.min(share, 0), toAdd);
    sizes.set(set, Math.max(0, wanted(set) + step));
    toAdd -= step;
  }
  const first = ordered[0]!;
  sizes.set(first, Math.max(0, sizes.get(first)! + toAdd));
  return resized(active, (_, set) => sizes.get(set)!);
}

function resized(
  sets: readonly ReplicaSet[],
  size: (now: number, set: ReplicaSet) => number,
): Rollout['resize'] {
  return sets
    .map(set => ({ set, replicas: size(wanted(set), set) }))
    .filter(({ set, replicas }) => replicas !== wanted(set));
}

function annotations(
  deployment: Deployment,
  limits: Limits,
  sets: readonly ReplicaSet[],
  current: ReplicaSet | undefined,
  revision: string | undefined,
): Rollout['annotate'] {
  const changes: Rollout['annotate'] = [];
  for (const set of sets) {
    const known = set.metadata.annotations ?? {};
    const next: Record<string, string> = wanted(set) > 0 || set === current ? sizes(limits) : {};
    if (set === current) {
      Object.assign(next, copiedAnnotations(deployment));
      if (revision !== undefined) {
        next[REVISION] = revision;
        const before = known[REVISION];
        if (before !== undefined && before !== revision)
          next[REVISION_HISTORY] = [known[REVISION_HISTORY], before].filter(Boolean).join(',');
      }
    }
    const differing = Object.entries(next).filter(([key, value]) => known[key] !== value);
    if (differing.length > 0) changes.push({ set, annotations: Object.fromEntries(differing) });
  }
  return changes;
}

function copiedAnnotations(deployment: Deployment): Record<string, string> {
  const own = Object.entries(deployment.metadata.annotations ?? {});
  return Object.fromEntries(own.filter(([key]) => !UNCOPIED.has(key)));
}

function sizes(limits: Limits): Record<string, string> {
  return {
    [DESIRED_REPLICAS]: String(limits.replicas),
    [MAX_REPLICAS]: String(limits.replicas + limits.maxSurge),
  };
}

function revisionOf(set: ReplicaSet | undefined): number {
  return Number(set?.metadata.annotations?.[REVISION] ?? 0) || 0;
}

function beyondHistory(deployment: Deployment, old: readonly ReplicaSet[]): ReplicaSet[] {
  const idle = old.filter(
    set => wanted(set) === 0 && (set.status?.replicas ?? 0) === 0 && !isDeleting(set) && observed(set),
  );
  const excess = idle.length - (deployment.spec.revisionHistoryLimit ?? 10);
  return idle.sort((a, b) => revisionOf(a) - revisionOf(b)).slice(0, Math.max(excess, 0));
}

function observed(set: ReplicaSet): boolean {
  return (set.status?.observedGeneration ?? 0) >= (set.metadata.generation ?? 0);
}
