/** The state of an installation, out of what the API tells. */
import type {
  CiliumEndpoint,
  CiliumNode,
  ConfigMap,
  DaemonSet,
  Deployment,
  Node,
  Pod,
} from '../../kube/types.ts';
import { PUBLIC_KEY_ANNOTATION } from '../../model/node.ts';
import { AGENT, ENGINE, OPERATOR } from '../install/labels.ts';

/** What is read from the cluster; absent objects are undefined. */
export interface Observed {
  agent: DaemonSet | undefined;
  engine: DaemonSet | undefined;
  operator: Deployment | undefined;
  config: ConfigMap | undefined;
  /** Of the whole cluster. */
  pods: Pod[];
  nodes: Node[];
  ciliumNodes: CiliumNode[];
  endpoints: CiliumEndpoint[];
  namespace: string;
  version: string | undefined;
  ciliumVersion: string | undefined;
}

export interface WorkloadState {
  kind: 'DaemonSet' | 'Deployment';
  name: string;
  desired: number;
  ready: number;
  available: number;
  unavailable: number;
}

export interface Problem {
  /** Whose row it belongs to: `cilium`, `cilium-operator` … */
  component: string;
  /** Pod or node; empty for the whole component. */
  subject: string;
  message: string;
}

export interface StatusReport {
  workloads: WorkloadState[];
  /** By component: how many containers are in which phase. */
  phases: Record<string, Record<string, number>>;
  clusterPods: { managed: number; total: number };
  encryption: {
    mode: 'Disabled' | 'Wireguard' | 'unknown';
    nodes: number;
    of: number;
    nodeEncryption: boolean;
  };
  version: string | undefined;
  ciliumVersion: string | undefined;
  /** By component: image and how many pods run it. */
  images: Record<string, Record<string, number>>;
  errors: Problem[];
  warnings: Problem[];
}

export function reportOf(observed: Observed): StatusReport {
  const { agent, engine, operator } = observed;
  const report: StatusReport = {
    workloads: [],
    phases: {},
    clusterPods: clusterPods(observed),
    encryption: encryptionOf(observed),
    version: observed.version,
    ciliumVersion: observed.ciliumVersion,
    images: {},
    errors: [],
    warnings: [],
  };
  if (operator) addDeployment(report, operator);
  else absent(report, OPERATOR, `deployments.apps "${OPERATOR}" not found`);
  if (agent) addDaemonSet(report, agent);
  else absent(report, AGENT, `daemonsets.apps "${AGENT}" not found`);
  if (engine) addDaemonSet(report, engine);
  else if (report.encryption.mode === 'Wireguard')
    absent(
      report,
      ENGINE,
      `daemonsets.apps "${ENGINE}" not found: what pods send to other nodes is dropped; bring it back with 'cilium upgrade'`,
    );
  for (const workload of [agent, engine, operator]) if (workload) addPods(report, workload, observed);
  addNodes(report, observed);
  return report;
}

function absent(report: StatusReport, component: string, message: string): void {
  report.errors.push({ component, subject: '', message });
}

function addDeployment(report: StatusReport, { metadata, spec, status }: Deployment): void {
  const desired = spec.replicas ?? 1;
  const state: WorkloadState = {
    kind: 'Deployment',
    name: metadata.name,
    desired,
    ready: status?.readyReplicas ?? 0,
    available: status?.availableReplicas ?? 0,
    unavailable: Math.max(0, desired - (status?.availableReplicas ?? 0)),
  };
  report.workloads.push(state);
  const rollingOut =
    status?.observedGeneration !== metadata.generation || (status?.updatedReplicas ?? 0) < desired;
  addProgress(report, state, rollingOut, status?.updatedReplicas ?? 0);
}

function addDaemonSet(report: StatusReport, { metadata, spec, status }: DaemonSet): void {
  const desired = status?.desiredNumberScheduled ?? 0;
  const state: WorkloadState = {
    kind: 'DaemonSet',
    name: metadata.name,
    desired,
    ready: status?.numberReady ?? 0,
    available: status?.numberAvailable ?? 0,
    unavailable: status?.numberUnavailable ?? Math.max(0, desired - (status?.numberAvailable ?? 0)),
  };
  report.workloads.push(state);
  const updated = status?.updatedNumberScheduled ?? 0;
  const behind = spec.updateStrategy?.type !== 'OnDelete' && updated < desired;
  addProgress(report, state, status?.observedGeneration !== metadata.generation || behind, updated);
  if (desired === 0 && status?.observedGeneration === metadata.generation)
    report.errors.push({
      component: metadata.name,
      subject: '',
      message: 'no node of the cluster takes its pods',
    });
}

function addProgress(report: StatusReport, state: WorkloadState, rollingOut: boolean, updated: number): void {
  const { kind, name, desired, ready, available } = state;
  const add = (message: string) => report.errors.push({ component: name, subject: name, message });
  if (rollingOut)
    add(`${kind.toLowerCase()} ${name} is rolling out - ${updated} out of ${desired} pods updated`);
  if (ready < desired) add(`${desired - ready} pods of ${kind} ${name} are not ready`);
  else if (available < desired) add(`${desired - available} pods of ${kind} ${name} are not available`);
}

function addPods(
  report: StatusReport,
  workload: DaemonSet | Deployment,
  { pods, namespace }: Observed,
): void {
  const component = workload.metadata.name;
  const selector = Object.entries(workload.spec.selector.matchLabels ?? {});
  const own = pods.filter(
    ({ metadata }) =>
      metadata.namespace === namespace && selector.every(([key, value]) => metadata.labels?.[key] === value),
  );
  for (const pod of own) {
    if (pod.metadata.deletionTimestamp) continue;
    const phase = pod.status?.phase ?? 'Pending';
    count(report.phases, component, phase);
    count(report.images, component, pod.spec.containers[0]?.image ?? '<unknown>');
    const subject = pod.metadata.name;
    const failures = containerFailures(pod);
    for (const message of failures) report.errors.push({ component, subject, message });
    if (phase === 'Pending' && failures.length === 0)
      report.warnings.push({ component, subject, message: 'pod is pending' });
  }
}

/** Why containers do not run, in the words that the kubelet and the containers left. */
function containerFailures(pod: Pod): string[] {
  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  return statuses.flatMap(({ name, state, lastState }) => {
    const waiting = state?.waiting;
    if (!waiting?.reason || ['ContainerCreating', 'PodInitializing'].includes(waiting.reason)) return [];
    const said = lastLine(lastState?.terminated?.message) ?? waiting.message;
    return [`container ${name}: ${waiting.reason}${said ? `: ${said}` : ''}`];
  });
}

function addNodes(report: StatusReport, observed: Observed): void {
  const { mode, nodes, of } = report.encryption;
  for (const { metadata, status } of observed.ciliumNodes) {
    for (const condition of status?.conditions ?? []) {
      if (condition.type !== 'Accepted' || condition.status !== 'False') continue;
      const message = `${condition.reason}: ${condition.message}`;
      report.warnings.push({ component: AGENT, subject: metadata.name, message });
    }
  }
  if (mode === 'Wireguard' && nodes < of && observed.agent)
    report.errors.push({
      component: AGENT,
      subject: '',
      message: `${of - nodes} of ${of} nodes cannot open and seal yet`,
    });
}

/** A node counts when its key is published and its agent says that it can open and seal. */
function encryptionOf({ config, agent, ciliumNodes, pods }: Observed): StatusReport['encryption'] {
  const data = config?.data ?? {};
  const of = agent?.status?.desiredNumberScheduled ?? 0;
  if (!config) return { mode: 'unknown', nodes: 0, of, nodeEncryption: false };
  if (data['enable-wireguard'] !== 'true') return { mode: 'Disabled', nodes: of, of, nodeEncryption: false };
  const ready = new Set(pods.filter(pod => isAgent(pod) && isReady(pod)).map(pod => pod.spec.nodeName));
  const nodes = ciliumNodes.filter(
    ({ metadata }) => metadata.annotations?.[PUBLIC_KEY_ANNOTATION] && ready.has(metadata.name),
  ).length;
  return {
    mode: 'Wireguard',
    nodes: Math.min(nodes, of),
    of,
    nodeEncryption: data['encrypt-node'] === 'true',
  };
}

function isAgent({ metadata }: Pod): boolean {
  return metadata.labels?.['k8s-app'] === AGENT;
}

function isReady({ status }: Pod): boolean {
  return status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
}

/** Pods with a network of their own, and how many of them got it from the plugin. */
function clusterPods({ pods, endpoints }: Observed): { managed: number; total: number } {
  const known = new Set(endpoints.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`));
  const running = pods.filter(
    ({ spec, status, metadata }) =>
      spec.hostNetwork !== true &&
      !metadata.deletionTimestamp &&
      status?.phase !== 'Succeeded' &&
      status?.phase !== 'Failed',
  );
  const managed = running.filter(({ metadata }) => known.has(`${metadata.namespace}/${metadata.name}`));
  return { managed: managed.length, total: running.length };
}

function count(table: Record<string, Record<string, number>>, component: string, what: string): void {
  table[component] ??= {};
  const row = table[component];
  row[what] = (row[what] ?? 0) + 1;
}

function lastLine(text: string | undefined): string | undefined {
  return text?.trim().split('\n').at(-1) || undefined;
}

/** Components in the order in which they are shown. */
export const COMPONENTS = [AGENT, ENGINE, OPERATOR];
