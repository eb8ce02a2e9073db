/** On which node a pod goes, and why it goes on none: the filters and words of kube-scheduler, as a pure function. */
import type { Node, Pod, PodAffinityTerm } from '../../kube/types.ts';
import { controllerOf } from './objects.ts';
import { isTerminated } from './pods.ts';
import { parseQuantity } from './quantity.ts';
import { includesLabels, selects, termSelectsNode } from './selectors.ts';
import { effectiveTaints, tolerates, UNSCHEDULABLE, untolerated } from './taints.ts';

export type Placement = { node: string } | { message: string };

/** A node with the pods that are on it or bound to it. */
export interface NodeLoad {
  node: Node;
  pods: readonly Pod[];
}

/** The best node for the pod, or the message of its FailedScheduling event. */
export function place(pod: Pod, loads: readonly NodeLoad[]): Placement {
  if (loads.length === 0) return { message: 'no nodes available to schedule pods' };
  const refusals: Refusal[] = [];
  const fitting = loads.filter(load => {
    const found = refuse(pod, load, loads);
    refusals.push(...found.slice(0, 1));
    return found.length === 0;
  });
  const best = fitting
    .map(load => ({ load, score: score(pod, load) }))
    .sort(
      (a, b) => compare(a.score, b.score) || (a.load.node.metadata.name < b.load.node.metadata.name ? -1 : 1),
    );
  return best[0] ? { node: best[0].load.node.metadata.name } : { message: failure(refusals, loads.length) };
}

interface Refusal {
  reason: string;
  /** Whether the node would fit if other pods left it. */
  byPods: boolean;
}

function refuse(pod: Pod, load: NodeLoad, loads: readonly NodeLoad[]): Refusal[] {
  const { node } = load;
  const no = (reason: string, byPods = false): Refusal[] => [{ reason, byPods }];
  const tolerations = pod.spec.tolerations;
  if (node.spec.unschedulable && !tolerates(tolerations, { key: UNSCHEDULABLE, effect: 'NoSchedule' }))
    return no('node(s) were unschedulable');
  const taint = untolerated(node, tolerations, ['NoSchedule', 'NoExecute']);
  if (taint) return no(`node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`);
  if (!selectsNode(pod, node)) return no("node(s) didn't match Pod's node affinity/selector");
  if (portsTaken(pod, load)) return no("node(s) didn't have free ports for the requested pod ports", true);
  const lacking = lackingResource(pod, load);
  if (lacking) return no(lacking, true);
  return refuseByNeighbours(pod, load, loads);
}

export function selectsNode(pod: Pod, node: Node): boolean {
  const terms =
    pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  return (
    includesLabels(node.metadata.labels, pod.spec.nodeSelector) &&
    (terms === undefined || terms.some(term => termSelectsNode(term, node)))
  );
}

function portsTaken(pod: Pod, load: NodeLoad): boolean {
  const wanted = hostPorts(pod);
  const taken = load.pods.flatMap(hostPorts);
  const clash = (a: HostPort, b: HostPort) =>
    a.port === b.port && a.protocol === b.protocol && (a.ip === b.ip || [a.ip, b.ip].includes('0.0.0.0'));
  return wanted.some(port => taken.some(other => clash(port, other)));
}

interface HostPort {
  ip: string;
  port: number;
  protocol: string;
}

function hostPorts(pod: Pod): HostPort[] {
  return pod.spec.containers
    .flatMap(container => container.ports ?? [])
    .filter(port => port.hostPort || (pod.spec.hostNetwork && port.containerPort))
    .map(port => ({
      ip: port.hostIP || '0.0.0.0',
      port: port.hostPort || port.containerPort,
      protocol: port.protocol ?? 'TCP',
    }));
}

function lackingResource(pod: Pod, load: NodeLoad): string | undefined {
  const room = load.node.status?.allocatable ?? load.node.status?.capacity ?? {};
  if (room['pods'] !== undefined && load.pods.length + 1 > parseQuantity(room['pods']))
    return 'Too many pods';
  for (const resource of ['cpu', 'memory', 'ephemeral-storage']) {
    const capacity = room[resource];
    const wanted = requested(pod, resource);
    if (capacity === undefined || wanted === 0) continue;
    const used = load.pods.reduce((total, other) => total + requested(other, resource), 0);
    if (used + wanted > parseQuantity(capacity)) return `Insufficient ${resource}`;
  }
  return undefined;
}

/** Containers and sidecars run together; other init containers before them, one by one. */
function requested(pod: Pod, resource: string): number {
  const ask = (container: { resources?: { requests?: Record<string, string> } }): number =>
    parseQuantity(container.resources?.requests?.[resource] ?? '0');
  let sidecars = 0;
  let initial = 0;
  for (const container of pod.spec.initContainers ?? []) {
    if (container.restartPolicy === 'Always') sidecars += ask(container);
    initial = Math.max(initial, sidecars + (container.restartPolicy === 'Always' ? 0 : ask(container)));
  }
  return Math.max(
    initial,
    pod.spec.containers.reduce((total, container) => total + ask(container), sidecars),
  );
}

function refuseByNeighbours(pod: Pod, load: NodeLoad, loads: readonly NodeLoad[]): Refusal[] {
  const affinity = pod.spec.affinity?.podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
  const anti = pod.spec.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
  const everyPod = loads.flatMap(each => each.pods);
  for (const term of affinity) {
    const found = domain(term.topologyKey, load, loads).some(other => matches(term, pod, other));
    // The first pod of a group that wants its own company has to go somewhere.
    const first = matches(term, pod, pod) && !everyPod.some(other => matches(term, pod, other));
    const hasTopology = load.node.metadata.labels?.[term.topologyKey] !== undefined;
    if (!found && !(first && hasTopology))
      return [{ reason: "node(s) didn't match pod affinity rules", byPods: false }];
  }
  for (const term of anti)
    if (domain(term.topologyKey, load, loads).some(other => matches(term, pod, other)))
      return [{ reason: "node(s) didn't match pod anti-affinity rules", byPods: true }];
  for (const { node, pods } of loads) {
    for (const other of pods) {
      const terms =
        other.spec.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
      for (const term of terms)
        if (matches(term, other, pod) && sameDomain(term.topologyKey, node, load.node))
          return [{ reason: "node(s) didn't satisfy existing pods anti-affinity rules", byPods: true }];
    }
  }
  return [];
}

function domain(key: string, load: NodeLoad, loads: readonly NodeLoad[]): Pod[] {
  return loads.filter(other => sameDomain(key, other.node, load.node)).flatMap(other => other.pods);
}

function sameDomain(key: string, a: Node, b: Node): boolean {
  const value = a.metadata.labels?.[key];
  return value !== undefined && value === b.metadata.labels?.[key];
}

function matches(term: PodAffinityTerm, owner: Pod, other: Pod): boolean {
  const namespaces = term.namespaces?.length ? term.namespaces : [owner.metadata.namespace ?? 'default'];
  return (
    namespaces.includes(other.metadata.namespace ?? 'default') &&
    selects(term.labelSelector, other.metadata.labels)
  );
}

/** Smaller is better: unloved taints, then preferred affinity, siblings, load. */
function score(pod: Pod, load: NodeLoad): number[] {
  const { node, pods } = load;
  const avoided = effectiveTaints(node).filter(
    taint => taint.effect === 'PreferNoSchedule' && !tolerates(pod.spec.tolerations, taint),
  ).length;
  const preferences = pod.spec.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
  const nodeLiked = preferences
    .filter(({ preference }) => termSelectsNode(preference, node))
    .reduce((total, { weight }) => total + weight, 0);
  const weigh = (rules: { weight: number; podAffinityTerm: PodAffinityTerm }[] | undefined): number =>
    (rules ?? [])
      .filter(({ podAffinityTerm }) => pods.some(other => matches(podAffinityTerm, pod, other)))
      .reduce((total, { weight }) => total + weight, 0);
  const liked =
    nodeLiked +
    weigh(pod.spec.affinity?.podAffinity?.preferredDuringSchedulingIgnoredDuringExecution) -
    weigh(pod.spec.affinity?.podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution);
  const owner = controllerOf(pod)?.uid;
  const siblings = owner === undefined ? 0 : pods.filter(other => controllerOf(other)?.uid === owner).length;
  return [avoided, -liked, siblings, pods.filter(other => !isTerminated(other)).length];
}

function failure(refusals: readonly Refusal[], nodes: number): string {
  const reasons = counted(refusals.map(refusal => refusal.reason));
  const preemption = counted(
    refusals.map(({ byPods }) =>
      byPods ? 'No preemption victims found for incoming pod' : 'Preemption is not helpful for scheduling',
    ),
  );
  const none = `0/${nodes} nodes are available:`;
  return `${none} ${reasons}. preemption: ${none} ${preemption}.`;
}

/** `1 this, 2 that`, sorted as kube-scheduler does. */
function counted(reasons: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return [...counts]
    .map(([reason, count]) => `${count} ${reason}`)
    .sort()
    .join(', ');
}

function compare(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((value, index) => value !== b[index]);
  return at < 0 ? 0 : a[at]! - b[at]!;
}
