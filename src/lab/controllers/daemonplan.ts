/** What a DaemonSet does next: one pod on each node that fits, replaced node by node when the template changes. */
import type { DaemonSet, Node, Pod, Toleration } from '../../kube/types.ts';
import { byAge, isDeleting, scaled } from './objects.ts';
import { isAvailable, isReady } from './pods.ts';
import { includesLabels, termSelectsNode } from './selectors.ts';
import { NETWORK_UNAVAILABLE, NOT_READY, UNREACHABLE, UNSCHEDULABLE, untolerated } from './taints.ts';

export const REVISION_HASH = 'controller-revision-hash';

export interface DaemonPlan {
  /** Names of the nodes that get a pod. */
  create: string[];
  remove: Pod[];
  status: Required<Omit<NonNullable<DaemonSet['status']>, 'conditions' | 'collisionCount'>>;
}

/** `owned` are the pods that the set controls; `hash` that of its template as it is now. */
export function planDaemonSet(
  set: DaemonSet,
  nodes: readonly Node[],
  owned: readonly Pod[],
  hash: string,
  now: number,
): DaemonPlan {
  const byNode = podsByNode(owned);
  const views = nodes.map(node => viewNode(set, node, byNode.get(node.metadata.name) ?? [], hash, now));
  const status = statusOf(set, views);
  if (isDeleting(set)) return { create: [], remove: [], status };
  const surging = updateLimits(set, status.desiredNumberScheduled).maxSurge > 0;
  const known = new Set(nodes.map(node => node.metadata.name));
  const lost = [...byNode].filter(([name]) => !known.has(name)).flatMap(([, pods]) => pods);
  const create = views.filter(view => view.shouldRun && view.pods.length === 0).map(view => view.name);
  const remove = [
    ...lost.filter(pod => !isDeleting(pod)),
    ...views.flatMap(view => superfluous(view, surging)),
  ];
  const update = planUpdate(set, views, status.desiredNumberScheduled);
  return {
    create: [...create, ...update.create],
    remove: [...new Set([...remove, ...update.remove])],
    status,
  };
}

/** What the controller adds to each of its pods, so that troubles of the node do not chase them away. */
export function daemonTolerations(set: DaemonSet): Toleration[] {
  const exists = (key: string, effect: 'NoSchedule' | 'NoExecute'): Toleration => ({
    key,
    operator: 'Exists',
    effect,
  });
  return [
    exists(NOT_READY, 'NoExecute'),
    exists(UNREACHABLE, 'NoExecute'),
    exists('node.kubernetes.io/disk-pressure', 'NoSchedule'),
    exists('node.kubernetes.io/memory-pressure', 'NoSchedule'),
    exists('node.kubernetes.io/pid-pressure', 'NoSchedule'),
    exists(UNSCHEDULABLE, 'NoSchedule'),
    ...(set.spec.template.spec.hostNetwork ? [exists(NETWORK_UNAVAILABLE, 'NoSchedule')] : []),
  ];
}

/** The node that a pod of a DaemonSet stands for: bound to it, or waiting for the scheduler to bind it. */
export function nodeOfDaemonPod(pod: Pod): string | undefined {
  if (pod.spec.nodeName) return pod.spec.nodeName;
  const terms = pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  const fields = terms?.nodeSelectorTerms.flatMap(term => term.matchFields ?? []) ?? [];
  return fields.find(field => field.key === 'metadata.name')?.values?.[0];
}

/** Whether a pod belongs on the node, and whether one that is there may stay. */
export function nodeFits(set: DaemonSet, node: Node): { shouldRun: boolean; mayStay: boolean } {
  const spec = set.spec.template.spec;
  const terms =
    spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  const selected =
    (!spec.nodeName || spec.nodeName === node.metadata.name) &&
    includesLabels(node.metadata.labels, spec.nodeSelector) &&
    (terms === undefined || terms.some(term => termSelectsNode(term, node)));
  if (!selected) return { shouldRun: false, mayStay: false };
  const tolerations = [...(spec.tolerations ?? []), ...daemonTolerations(set)];
  return {
    shouldRun: untolerated(node, tolerations, ['NoSchedule', 'NoExecute']) === undefined,
    mayStay: untolerated(node, tolerations, ['NoExecute']) === undefined,
  };
}

/** Both count up; both zero would never move. */
export function updateLimits(set: DaemonSet, desired: number): { maxSurge: number; maxUnavailable: number } {
  const rolling = set.spec.updateStrategy?.rollingUpdate;
  const maxSurge = scaled(rolling?.maxSurge ?? 0, desired, 'up');
  const maxUnavailable = scaled(rolling?.maxUnavailable ?? 1, desired, 'up');
  return { maxSurge, maxUnavailable: maxSurge === 0 && maxUnavailable === 0 ? 1 : maxUnavailable };
}

interface NodeView {
  name: string;
  shouldRun: boolean;
  mayStay: boolean;
  /** All of them, also those on their way out. */
  pods: Pod[];
  fresh: Pod[];
  stale: Pod[];
  ended: Pod[];
  available(pod: Pod | undefined): boolean;
  isCurrent(pod: Pod): boolean;
}

function viewNode(set: DaemonSet, node: Node, pods: Pod[], hash: string, now: number): NodeView {
  const isCurrent = (pod: Pod) => pod.metadata.labels?.[REVISION_HASH] === hash;
  const ended = pods.filter(pod => pod.status?.phase === 'Failed' || pod.status?.phase === 'Succeeded');
  const live = pods.filter(pod => !isDeleting(pod) && !ended.includes(pod)).sort(byAge);
  return {
    name: node.metadata.name,
    ...nodeFits(set, node),
    pods,
    fresh: live.filter(isCurrent),
    stale: live.filter(pod => !isCurrent(pod)),
    ended: ended.filter(pod => !isDeleting(pod)),
    available: pod =>
      pod !== undefined && !isDeleting(pod) && isAvailable(pod, set.spec.minReadySeconds ?? 0, now),
    isCurrent,
  };
}

/** Pods that have no business there: ended, on a node that does not fit, or one too many. */
function superfluous(view: NodeView, surging: boolean): Pod[] {
  const live = [...view.fresh, ...view.stale];
  if (!view.mayStay) return [...live, ...view.ended];
  if (surging) return [...view.ended, ...view.fresh.slice(1), ...view.stale.slice(1)];
  const [, ...rest] = live.sort(
    (a, b) => Number(b.spec.nodeName !== undefined) - Number(a.spec.nodeName !== undefined) || byAge(a, b),
  );
  return [...view.ended, ...rest];
}

function planUpdate(
  set: DaemonSet,
  views: readonly NodeView[],
  desired: number,
): { create: string[]; remove: Pod[] } {
  if (set.spec.updateStrategy?.type === 'OnDelete') return { create: [], remove: [] };
  const { maxSurge, maxUnavailable } = updateLimits(set, desired);
  const running = views.filter(view => view.shouldRun);
  return maxSurge > 0 ? surge(running, maxSurge) : replace(running, maxUnavailable);
}

/** Stale pods go first where they do not serve anyway, then as many as may be unavailable. */
function replace(views: readonly NodeView[], maxUnavailable: number): { create: string[]; remove: Pod[] } {
  const idle: Pod[] = [];
  const serving: Pod[] = [];
  let unavailable = 0;
  for (const view of views) {
    const [stale] = view.stale;
    if (view.fresh.length > 0 || stale === undefined) {
      if (!view.available(view.fresh[0])) unavailable++;
    } else if (view.available(stale)) {
      serving.push(stale);
    } else {
      unavailable++;
      idle.push(stale);
    }
  }
  return { create: [], remove: [...idle, ...serving.slice(0, Math.max(0, maxUnavailable - unavailable))] };
}

/** A fresh pod beside a stale one; the stale one goes when the fresh one serves. */
function surge(views: readonly NodeView[], maxSurge: number): { create: string[]; remove: Pod[] } {
  const remove: Pod[] = [];
  const create: string[] = [];
  const candidates: string[] = [];
  let surging = 0;
  for (const view of views) {
    const [fresh] = view.fresh;
    const [stale] = view.stale;
    if (stale === undefined) continue;
    if (fresh !== undefined) {
      if (view.available(fresh)) remove.push(stale);
      else if (view.available(stale)) surging++;
    } else if (view.available(stale)) {
      candidates.push(view.name);
    } else {
      create.push(view.name);
    }
  }
  return { create: [...create, ...candidates.slice(0, Math.max(0, maxSurge - surging))], remove };
}

function statusOf(set: DaemonSet, views: readonly NodeView[]): DaemonPlan['status'] {
  const running = views.filter(view => view.shouldRun);
  const count = (test: (view: NodeView, pod: Pod) => boolean): number =>
    running.filter(view => {
      const pod = oldest(view);
      return pod !== undefined && test(view, pod);
    }).length;
  const available = count((view, pod) => view.available(pod));
  return {
    observedGeneration: set.metadata.generation ?? 0,
    desiredNumberScheduled: running.length,
    currentNumberScheduled: running.filter(view => view.pods.length > 0).length,
    updatedNumberScheduled: count((view, pod) => view.isCurrent(pod)),
    numberReady: count((_, pod) => isReady(pod)),
    numberAvailable: available,
    numberUnavailable: running.length - available,
    numberMisscheduled: views.filter(view => !view.shouldRun && view.pods.length > 0).length,
  };
}

/** The pod that counts on a node: the oldest that stays. */
function oldest(view: NodeView): Pod | undefined {
  return [...view.fresh, ...view.stale].sort(byAge)[0] ?? view.pods[0];
}

function podsByNode(pods: readonly Pod[]): Map<string, Pod[]> {
  const byNode = new Map<string, Pod[]>();
  for (const pod of pods) {
    const node = nodeOfDaemonPod(pod);
    if (node !== undefined) byNode.set(node, [...(byNode.get(node) ?? []), pod]);
  }
  return byNode;
}
