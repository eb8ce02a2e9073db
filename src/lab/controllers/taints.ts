/** Taints and tolerations, and which taints a node's conditions call for. */
import type { Condition, Node, Pod, Taint, Toleration } from '../../kube/types.ts';
import { condition } from './objects.ts';

export const NOT_READY = 'node.kubernetes.io/not-ready';
export const UNREACHABLE = 'node.kubernetes.io/unreachable';
export const UNSCHEDULABLE = 'node.kubernetes.io/unschedulable';
export const NETWORK_UNAVAILABLE = 'node.kubernetes.io/network-unavailable';
const PRESSURES: Record<string, string> = {
  MemoryPressure: 'node.kubernetes.io/memory-pressure',
  DiskPressure: 'node.kubernetes.io/disk-pressure',
  PIDPressure: 'node.kubernetes.io/pid-pressure',
  NetworkUnavailable: NETWORK_UNAVAILABLE,
};

export function tolerates(tolerations: readonly Toleration[] | undefined, taint: Taint): boolean {
  return (tolerations ?? []).some(each => toleratesTaint(each, taint));
}

export function toleratesTaint(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false;
  if (toleration.key && toleration.key !== taint.key) return false;
  if (toleration.operator === 'Exists') return true;
  return Boolean(toleration.key) && (toleration.value ?? '') === (taint.value ?? '');
}

/** The first taint of the given effects that the pod does not tolerate. */
export function untolerated(
  node: Node,
  tolerations: readonly Toleration[] | undefined,
  effects: readonly Taint['effect'][],
): Taint | undefined {
  return effectiveTaints(node).find(
    taint => effects.includes(taint.effect) && !tolerates(tolerations, taint),
  );
}

/** The node's taints, and those that its conditions call for and that stand there a moment later. */
export function effectiveTaints(node: Node): Taint[] {
  const taints = node.spec.taints ?? [];
  const missing = conditionTaints(node).filter(
    each => each.effect === 'NoSchedule' && !hasTaint(taints, each),
  );
  return [...taints, ...missing];
}

/** The taints that a node's conditions and spec.unschedulable call for. */
export function conditionTaints(node: Node): Taint[] {
  const taints: Taint[] = [];
  const conditions = node.status?.conditions;
  const readiness = readinessTaint(condition(conditions, 'Ready'));
  if (readiness !== undefined) {
    taints.push({ key: readiness, effect: 'NoSchedule' });
    // Without a Ready condition it has only just registered: nothing to evict yet.
    if (condition(conditions, 'Ready')) taints.push({ key: readiness, effect: 'NoExecute' });
  }
  for (const [type, key] of Object.entries(PRESSURES))
    if (condition(conditions, type)?.status === 'True') taints.push({ key, effect: 'NoSchedule' });
  if (node.spec.unschedulable) taints.push({ key: UNSCHEDULABLE, effect: 'NoSchedule' });
  return taints;
}

/** The node's taints as its conditions want them; undefined when they are so already. Others stay untouched. */
export function reconciledTaints(node: Node, now: string): Taint[] | undefined {
  const known = node.spec.taints ?? [];
  const wanted = conditionTaints(node);
  const managed = new Set([NOT_READY, UNREACHABLE, UNSCHEDULABLE, ...Object.values(PRESSURES)]);
  const kept = known.filter(taint => !managed.has(taint.key) || hasTaint(wanted, taint));
  const added = wanted.filter(taint => !hasTaint(known, taint));
  if (kept.length === known.length && added.length === 0) return undefined;
  return [...kept, ...added.map(taint => ({ ...taint, timeAdded: now }))];
}

/** What evicting a pod has to wait for without a word in its spec, as the admission of a real cluster writes there. */
const DEFAULT_TOLERATION_SECONDS = 300;

/**
 * When a pod has to leave a node because of its NoExecute taints, in milliseconds since 1970; undefined: it may stay.
 */
export function evictionTime(pod: Pod, node: Node, now: number): number | undefined {
  const times = (node.spec.taints ?? [])
    .filter(taint => taint.effect === 'NoExecute')
    .map(taint => leaves(taint, pod, now))
    .filter(time => time !== undefined);
  return times.length === 0 ? undefined : Math.min(...times);
}

function leaves(taint: Taint, pod: Pod, now: number): number | undefined {
  const since = taint.timeAdded === undefined ? now : Date.parse(taint.timeAdded);
  const tolerations = (pod.spec.tolerations ?? []).filter(each => toleratesTaint(each, taint));
  if (tolerations.length === 0) {
    const patient = taint.key === NOT_READY || taint.key === UNREACHABLE;
    return patient ? since + DEFAULT_TOLERATION_SECONDS * 1000 : now;
  }
  const limits = tolerations.map(each => each.tolerationSeconds).filter(each => each !== undefined);
  return limits.length === 0 ? undefined : since + Math.max(0, Math.min(...limits)) * 1000;
}

function readinessTaint(ready: Condition | undefined): string | undefined {
  if (ready?.status === 'True') return undefined;
  return ready?.status === 'Unknown' ? UNREACHABLE : NOT_READY;
}

function hasTaint(taints: readonly Taint[], wanted: Taint): boolean {
  return taints.some(taint => taint.key === wanted.key && taint.effect === wanted.effect);
}
