/** StatefulSets: pods with numbers and names that stay, made and replaced in order. Without volumes of their own. */
import type { Pod, PodTemplate } from '../../kube/types.ts';
import { PODS } from '../../kube/types.ts';
import type { Cluster } from './cluster.ts';
import { type Controller, controller, eachObject, ownerOf, splitKey } from './controller.ts';
import { createPod } from './createpod.ts';
import { claim, isDeleting } from './objects.ts';
import { isAvailable, isReady, isTerminated, nextAvailable, podFromTemplate } from './pods.ts';
import { CONTROLLERREVISIONS, STATEFULSETS, type StatefulSet } from './resources.ts';
import { expiredRevisions, settleRevision } from './revisions.ts';
import { writeStatus } from './status.ts';

export const REVISION_HASH = 'controller-revision-hash';

/** Names of ControllerRevisions. */
export interface Revisions {
  current: string;
  update: string;
}

export interface StatefulPlan {
  create: { ordinal: number; revision: string }[];
  remove: Pod[];
  status: NonNullable<StatefulSet['status']>;
}

/** One step: with OrderedReady at most one pod comes or goes, and only while all others are well. */
export function planStatefulSet(
  set: StatefulSet,
  owned: readonly Pod[],
  revisions: Revisions,
  now: number,
): StatefulPlan {
  const replicas = set.spec.replicas ?? 1;
  const partition = set.spec.updateStrategy?.rollingUpdate?.partition ?? 0;
  const byOrdinal = new Map(owned.map(pod => [ordinalOf(set, pod), pod]));
  const status = statusOf(set, owned, revisions, now);
  const plan: StatefulPlan = { create: [], remove: [], status };
  if (isDeleting(set)) return plan;
  const parallel = set.spec.podManagementPolicy === 'Parallel';
  const well = (pod: Pod | undefined) => pod !== undefined && isWell(set, pod, now);

  for (let ordinal = 0; ordinal < replicas; ordinal++) {
    const pod = byOrdinal.get(ordinal);
    const revision = ordinal < partition ? revisions.current : revisions.update;
    if (pod === undefined) plan.create.push({ ordinal, revision });
    else if (isTerminated(pod) && !isDeleting(pod)) plan.remove.push(pod);
    if (!parallel && !well(pod)) return withUpdateOfBroken(set, plan, pod, revisions, partition);
  }
  const excess = [...byOrdinal].filter(([ordinal]) => ordinal >= replicas).sort(([a], [b]) => b - a);
  for (const [, pod] of excess) {
    if (!isDeleting(pod)) plan.remove.push(pod);
    if (!parallel) return plan;
  }
  if (plan.create.length > 0 || excess.length > 0 || set.spec.updateStrategy?.type === 'OnDelete')
    return plan;
  for (let ordinal = replicas - 1; ordinal >= partition; ordinal--) {
    const pod = byOrdinal.get(ordinal)!;
    if (revisionOf(pod) !== revisions.update) {
      if (!isDeleting(pod)) plan.remove.push(pod);
      return plan;
    }
    if (!well(pod)) return plan;
  }
  return plan;
}

export function statefulSetController(cluster: Cluster): Controller {
  const [sets, pods] = [cluster.cache(STATEFULSETS), cluster.cache(PODS)];
  const history = cluster.cache(CONTROLLERREVISIONS);

  return controller({
    name: 'statefulset',
    cluster,
    watch(enqueue) {
      sets.subscribe(eachObject(enqueue));
      pods.subscribe(ownerOf('StatefulSet', enqueue));
      return [sets, pods, history];
    },
    async reconcile(key) {
      const { name, namespace } = splitKey(key);
      const set = sets.get(name, namespace);
      if (set === undefined) return undefined;
      const now = cluster.clock.now();
      const claims = claim(set, set.spec.selector, pods.items(namespace));
      await cluster.settleClaims(STATEFULSETS, set, PODS, claims);
      const owned = [...claims.owned, ...claims.adopt].filter(pod => ordinalOf(set, pod) >= 0);
      const { current: update, owned: known } = await settleRevision(cluster, set, REVISION_HASH);
      const before = known.find(each => each.metadata.name === set.status?.currentRevision);
      const revisions = { current: (before ?? update).metadata.name, update: update.metadata.name };
      const plan = planStatefulSet(set, owned, revisions, now);
      for (const pod of plan.remove) await cluster.delete(PODS, pod);
      for (const { ordinal, revision } of plan.create) {
        const template = revision === update.metadata.name ? set.spec.template : before?.data.spec.template;
        await createPod(cluster, set, podFor(set, template ?? set.spec.template, ordinal, revision));
      }
      await writeStatus(cluster, STATEFULSETS, set, plan.status);
      const used = new Set([revisions.current, revisions.update, ...owned.map(pod => revisionOf(pod))]);
      const limit = set.spec.revisionHistoryLimit ?? 10;
      for (const old of expiredRevisions(known, each => used.has(each.metadata.name), limit))
        await cluster.delete(CONTROLLERREVISIONS, old);
      return nextAvailable(owned, set.spec.minReadySeconds ?? 0, now);
    },
  });
}

/** A pod that never became well must not keep the template that mends it from coming: it is replaced first. */
function withUpdateOfBroken(
  set: StatefulSet,
  plan: StatefulPlan,
  pod: Pod | undefined,
  revisions: Revisions,
  partition: number,
): StatefulPlan {
  const stuck =
    pod !== undefined &&
    set.spec.updateStrategy?.type !== 'OnDelete' &&
    !isReady(pod) &&
    !isDeleting(pod) &&
    ordinalOf(set, pod) >= partition &&
    revisionOf(pod) !== revisions.update;
  if (stuck && !plan.remove.includes(pod)) plan.remove.push(pod);
  return plan;
}

export function podFor(set: StatefulSet, template: PodTemplate, ordinal: number, revision: string): Pod {
  const name = `${set.metadata.name}-${ordinal}`;
  const pod = podFromTemplate(set, template, { name, prefix: `${set.metadata.name}-` });
  pod.metadata.labels = {
    ...pod.metadata.labels,
    'statefulset.kubernetes.io/pod-name': name,
    'apps.kubernetes.io/pod-index': String(ordinal),
    [REVISION_HASH]: revision,
  };
  pod.spec.hostname = name;
  if (set.spec.serviceName) pod.spec.subdomain = set.spec.serviceName;
  return pod;
}

/** -1 for a pod whose name is not one of the set's. */
function ordinalOf(set: StatefulSet, pod: Pod): number {
  const prefix = `${set.metadata.name}-`;
  const rest = pod.metadata.name.startsWith(prefix) ? pod.metadata.name.slice(prefix.length) : '';
  return /^(0|[1-9]\d*)$/.test(rest) ? Number(rest) : -1;
}

/** The pods' label holds the revision's whole name, as a real cluster's does. */
function revisionOf(pod: Pod): string {
  return pod.metadata.labels?.[REVISION_HASH] ?? '';
}

function isWell(set: StatefulSet, pod: Pod, now: number): boolean {
  return !isDeleting(pod) && isAvailable(pod, set.spec.minReadySeconds ?? 0, now);
}

function statusOf(
  set: StatefulSet,
  owned: readonly Pod[],
  revisions: Revisions,
  now: number,
): StatefulPlan['status'] {
  const replicas = set.spec.replicas ?? 1;
  const live = owned.filter(pod => !isDeleting(pod) && !isTerminated(pod));
  const updated = live.filter(pod => revisionOf(pod) === revisions.update);
  const available = live.filter(pod => isWell(set, pod, now)).length;
  const done = updated.length === replicas && owned.length === replicas && available === replicas;
  return {
    observedGeneration: set.metadata.generation ?? 0,
    replicas: owned.length,
    readyReplicas: live.filter(isReady).length,
    availableReplicas: available,
    currentReplicas: live.filter(pod => revisionOf(pod) === (done ? revisions.update : revisions.current))
      .length,
    updatedReplicas: updated.length,
    currentRevision: done ? revisions.update : revisions.current,
    updateRevision: revisions.update,
    conditions: set.status?.conditions ?? [],
  };
}
