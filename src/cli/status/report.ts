/** The state of an installation, out of what the API tells. */
import type {
  CiliumEndpoint,
  CiliumNode,
  ConfigMap,
  DaemonSet,
  Deployment,
  KubeEvent,
  Node,
  Pod,
} from '../../kube/types.ts';
import { AGENT, ENGINE, OPERATOR } from '../install/labels.ts';
import { badKey, type KeysSight, missingKey } from '../keys.ts';
import { type Sealed, sealedNodes } from './sealed.ts';

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
  /** Absent unless the configuration asks for IPsec. */
  keys: KeysSight | undefined;
  endpoints: CiliumEndpoint[];
  events: KubeEvent[];
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
  encryption: Sealed;
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
    encryption: sealedNodes(observed),
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
  else if (['Wireguard', 'IPsec'].includes(report.encryption.mode))
    absent(
      report,
      ENGINE,
      `daemonsets.apps "${ENGINE}" not found: what pods send to other nodes is dropped; bring it back with 'cilium upgrade'`,
    );
  for (const workload of [agent, engine, operator]) if (workload) addPods(report, workload, observed);
  addNodes(report, observed);
  addIncidents(report, observed);
  addKeys(report, observed);
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
  const subjects = new Map<string, string[]>();
  const say = (list: Problem[], message: string, node: string) => {
    const known = subjects.get(message);
    if (known) return void known.push(node);
    subjects.set(message, [node]);
    list.push({ component: AGENT, subject: '', message });
  };
  for (const { metadata, status } of observed.ciliumNodes) {
    for (const { type, status: state, reason, message } of status?.conditions ?? [])
      if (state === 'False')
        say(type === 'Accepted' ? report.warnings : report.errors, `${reason}: ${message}`, metadata.name);
  }
  for (const problem of [...report.errors, ...report.warnings]) {
    const where = subjects.get(problem.message);
    if (where) problem.subject = where.length > 2 ? `${where.length} nodes` : where.join(', ');
  }
  if (mode === 'unknown' || nodes === of || !observed.agent) return;
  const missing = `${of - nodes} of ${of} nodes`;
  const message = mode === 'Disabled' ? `${missing} still seal` : `${missing} cannot open and seal yet`;
  report.errors.push({ component: AGENT, subject: '', message });
}

/** What an agent that is not ready has said last in an Event. It comes first: the rest follows from it. */
function addIncidents(report: StatusReport, { pods, events, namespace }: Observed): void {
  for (const { metadata, spec, status } of pods) {
    if (metadata.namespace !== namespace || metadata.labels?.['k8s-app'] !== AGENT || isReady(status))
      continue;
    const began = Date.parse(status?.startTime ?? '');
    const [last] = events
      .filter(
        ({ type, reportingInstance, eventTime }) =>
          type === 'Warning' && reportingInstance === spec.nodeName && Date.parse(eventTime ?? '') >= began,
      )
      .sort((a, b) => (b.eventTime ?? '').localeCompare(a.eventTime ?? ''));
    if (last?.note)
      report.errors.unshift({ component: AGENT, subject: spec.nodeName ?? '', message: last.note });
  }
}

function isReady(status: Pod['status']): boolean {
  return status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
}

function addKeys(report: StatusReport, { keys, namespace }: Observed): void {
  if (!keys || keys === 'forbidden') return;
  const { name, secret } = keys;
  const add = (list: Problem[], message: string) => list.push({ component: AGENT, subject: name, message });
  if (!secret) add(report.errors, missingKey(namespace, name));
  else if ('problem' in secret) add(report.errors, badKey(namespace, name, secret.problem));
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
