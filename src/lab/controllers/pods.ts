/** What controllers ask of pods. */
import type { Pod, PodTemplate } from '../../kube/types.ts';
import { condition, controllerReference, isDeleting, type Owner, timeOf } from './objects.ts';

/** Neither ended nor on its way out. */
export function isActive(pod: Pod): boolean {
  return !isTerminated(pod) && !isDeleting(pod);
}

/** Its containers have ended for good. */
export function isTerminated(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

export function isReady(pod: Pod): boolean {
  return condition(pod.status?.conditions, 'Ready')?.status === 'True';
}

/** Ready for so many seconds. */
export function isAvailable(pod: Pod, minReadySeconds: number, now: number): boolean {
  return isReady(pod) && availableIn(pod, minReadySeconds, now) === 0;
}

/** Milliseconds until a ready pod counts as available. */
export function availableIn(pod: Pod, minReadySeconds: number, now: number): number {
  if (minReadySeconds <= 0) return 0;
  const since = timeOf(condition(pod.status?.conditions, 'Ready')?.lastTransitionTime);
  return Math.max(0, since + minReadySeconds * 1000 - now);
}

/** The soonest moment at which a ready pod becomes available, in milliseconds from now. */
export function nextAvailable(
  pods: readonly Pod[],
  minReadySeconds: number,
  now: number,
): number | undefined {
  const waits = pods
    .filter(pod => isReady(pod))
    .map(pod => availableIn(pod, minReadySeconds, now))
    .filter(wait => wait > 0);
  return waits.length === 0 ? undefined : Math.min(...waits) + 50;
}

/** The pod that a controller makes of its template. `name` is whole, `prefix` what it begins with. */
export function podFromTemplate(
  owner: Owner,
  template: PodTemplate,
  naming: { name: string; prefix?: string },
): Pod {
  const { labels, annotations } = template.metadata ?? {};
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: naming.name,
      ...(naming.prefix !== undefined && { generateName: naming.prefix }),
      namespace: owner.metadata.namespace ?? 'default',
      ...(labels && { labels: { ...labels } }),
      ...(annotations && { annotations: { ...annotations } }),
      ownerReferences: [controllerReference(owner)],
    },
    spec: structuredClone(template.spec),
  };
}

/**
 * Pods in the order in which they may go: those that serve least first.
 * Unscheduled, pending, not ready, cheaper by annotation, on a node with more siblings, younger.
 */
export function byDispensability(pods: readonly Pod[]): Pod[] {
  const siblings = new Map<string, number>();
  for (const pod of pods.filter(isActive)) {
    const node = pod.spec.nodeName ?? '';
    siblings.set(node, (siblings.get(node) ?? 0) + 1);
  }
  const phases = ['Pending', 'Unknown', 'Running'];
  const rank = (pod: Pod): number[] => [
    pod.spec.nodeName ? 1 : 0,
    phases.indexOf(pod.status?.phase ?? 'Pending'),
    isReady(pod) ? 1 : 0,
    Number(pod.metadata.annotations?.['controller.kubernetes.io/pod-deletion-cost'] ?? 0) || 0,
    -(siblings.get(pod.spec.nodeName ?? '') ?? 0),
    -timeOf(condition(pod.status?.conditions, 'Ready')?.lastTransitionTime),
    -restarts(pod),
    -timeOf(pod.metadata.creationTimestamp),
  ];
  return pods
    .map(pod => ({ pod, rank: rank(pod) }))
    .sort((a, b) => compareRanks(a.rank, b.rank) || (a.pod.metadata.name < b.pod.metadata.name ? -1 : 1))
    .map(({ pod }) => pod);
}

function restarts(pod: Pod): number {
  return Math.max(0, ...(pod.status?.containerStatuses ?? []).map(status => status.restartCount));
}

function compareRanks(a: number[], b: number[]): number {
  const at = a.findIndex((value, index) => value !== b[index]);
  return at < 0 ? 0 : a[at]! - b[at]!;
}
