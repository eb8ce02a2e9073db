/** Pods. */
import {
  clone,
  count,
  equal,
  isObject,
  type JsonObject,
  type KubeObject,
  objects,
  record,
  text,
} from '../object.ts';
import { typeNamed } from '../schema/schema.ts';
import { type FieldError, forbiddenValue } from '../status.ts';
import { duration } from '../table.ts';
import { AGE, column, NAME, NONE, wide } from './columns.ts';
import { allContainers, defaultPodSpec, validatePodSpec } from './podspec.ts';
import { type Resource, resource, type Strategy } from './resource.ts';

const strategy: Strategy = {
  defaults(pod) {
    const spec = record(pod, 'spec');
    pod.spec = spec;
    if (spec.enableServiceLinks === undefined) spec.enableServiceLinks = true;
    defaultPodSpec(spec);
    for (const container of allContainers(spec)) {
      const resources = record(container, 'resources');
      if (!isObject(resources.limits)) continue;
      resources.requests = { ...clone(resources.limits), ...record(resources, 'requests') };
    }
  },
  create(pod) {
    pod.status = { phase: 'Pending', qosClass: qosClass(pod) };
  },
  update(pod, old) {
    const node = text(old, 'spec', 'nodeName');
    const spec = record(pod, 'spec');
    if (node && !text(spec, 'nodeName')) spec.nodeName = node;
  },
  updateStatus(pod, old) {
    const status = record(pod, 'status');
    status.qosClass = record(old, 'status').qosClass ?? qosClass(old);
    mirrorAddresses(status);
    pod.status = status;
  },
  validate(pod, old) {
    const errors = validatePodSpec(record(pod, 'spec'), 'spec');
    if (old) errors.push(...changed(pod, old));
    return errors;
  },
  fields: pod => ({
    'spec.nodeName': text(pod, 'spec', 'nodeName'),
    'spec.restartPolicy': text(pod, 'spec', 'restartPolicy'),
    'spec.schedulerName': text(pod, 'spec', 'schedulerName'),
    'spec.serviceAccountName': text(pod, 'spec', 'serviceAccountName'),
    'spec.hostNetwork': String(record(pod, 'spec').hostNetwork === true),
    'status.phase': text(pod, 'status', 'phase'),
    'status.podIP': text(pod, 'status', 'podIP'),
    'status.podIPs': text(pod, 'status', 'podIP'),
    'status.nominatedNodeName': text(pod, 'status', 'nominatedNodeName'),
  }),
  grace(pod, requested) {
    const phase = text(pod, 'status', 'phase');
    if (!text(pod, 'spec', 'nodeName') || phase === 'Succeeded' || phase === 'Failed') return 0;
    return Math.max(0, requested ?? count(pod, 'spec', 'terminationGracePeriodSeconds'));
  },
  generation: false,
};

export const pods: Resource = resource({
  version: 'v1',
  kind: 'Pod',
  plural: 'pods',
  schema: typeNamed('Pod'),
  status: true,
  shortNames: ['po'],
  categories: ['all'],
  strategy,
  subresources: [
    { name: 'attach', kind: 'PodAttachOptions', verbs: ['create', 'get'] },
    { name: 'binding', kind: 'Binding', verbs: ['create'] },
    { name: 'eviction', kind: 'Eviction', group: 'policy', version: 'v1', verbs: ['create'] },
    { name: 'exec', kind: 'PodExecOptions', verbs: ['create', 'get'] },
    { name: 'log', kind: 'Pod', verbs: ['get'] },
    { name: 'portforward', kind: 'PodPortForwardOptions', verbs: ['create', 'get'] },
  ],
  columns: [
    NAME,
    column('Ready', pod => readiness(pod)),
    column('Status', pod => podStatus(pod)),
    column('Restarts', (pod, now) => restarts(pod, now)),
    AGE,
    wide('IP', pod => text(pod, 'status', 'podIP') || NONE),
    wide('Node', pod => text(pod, 'spec', 'nodeName') || NONE),
    wide('Nominated Node', pod => text(pod, 'status', 'nominatedNodeName') || NONE),
    wide('Readiness Gates', pod => readinessGates(pod)),
  ],
});

/** podIP and podIPs, hostIP and hostIPs tell the same: the first of the list is the single one. */
function mirrorAddresses(status: JsonObject): void {
  for (const [single, many] of [
    ['podIP', 'podIPs'],
    ['hostIP', 'hostIPs'],
  ] as const) {
    const first = text(status, single);
    const listed = objects(status, many);
    if (first && listed[0]?.ip !== first) status[many] = [{ ip: first }];
    else if (!first && listed.length) status[single] = listed[0]?.ip;
  }
}

function changed(pod: KubeObject, old: KubeObject): FieldError[] {
  const comparable = (given: KubeObject) => {
    const spec = clone(record(given, 'spec'));
    for (const list of ['containers', 'initContainers'])
      for (const container of objects(spec, list)) delete container.image;
    for (const key of ['activeDeadlineSeconds', 'tolerations', 'ephemeralContainers', 'schedulingGates'])
      delete spec[key];
    return spec;
  };
  if (equal(comparable(pod), comparable(old))) return [];
  const nodeBound = !text(old, 'spec', 'nodeName') && text(pod, 'spec', 'nodeName');
  const gated = objects(old, 'spec', 'schedulingGates').length > 0;
  if (nodeBound || gated) {
    const without = (spec: JsonObject) => ({ ...spec, nodeName: '', nodeSelector: {}, affinity: {} });
    if (gated && equal(without(comparable(pod)), without(comparable(old)))) return [];
  }
  return [
    forbiddenValue(
      'spec',
      'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,' +
        '`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),' +
        '`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
    ),
  ];
}

/** Guaranteed, Burstable or BestEffort, by requests and limits of cpu and memory. */
export function qosClass(pod: KubeObject): string {
  const containers = [...objects(pod, 'spec', 'containers'), ...objects(pod, 'spec', 'initContainers')];
  const names = ['cpu', 'memory'];
  const given = (container: JsonObject, what: string) => record(container, 'resources', what);
  const isSet = (resources: JsonObject, name: string) =>
    resources[name] !== undefined && resources[name] !== '0';
  const any = containers.some(item =>
    names.some(name => isSet(given(item, 'requests'), name) || isSet(given(item, 'limits'), name)),
  );
  if (!any) return 'BestEffort';
  const all = containers.every(item =>
    names.every(
      name =>
        isSet(given(item, 'limits'), name) &&
        (given(item, 'requests')[name] ?? given(item, 'limits')[name]) === given(item, 'limits')[name],
    ),
  );
  return all ? 'Guaranteed' : 'Burstable';
}

const sidecar = (container: JsonObject | undefined) => container?.restartPolicy === 'Always';

function readiness(pod: KubeObject): string {
  const inits = objects(pod, 'spec', 'initContainers');
  const sidecars = inits.filter(sidecar).map(item => item.name);
  const total = objects(pod, 'spec', 'containers').length + sidecars.length;
  const ready = [
    ...objects(pod, 'status', 'containerStatuses').filter(
      item => item.ready === true && isObject(record(item, 'state').running),
    ),
    ...objects(pod, 'status', 'initContainerStatuses').filter(
      item => sidecars.includes(item.name) && item.ready === true && item.started === true,
    ),
  ];
  return `${ready.length}/${total}`;
}

/** The STATUS column of kubectl. */
export function podStatus(pod: KubeObject): string {
  const status = record(pod, 'status');
  let reason = text(status, 'reason') || text(status, 'phase');
  for (const condition of objects(status, 'conditions'))
    if (condition.type === 'PodScheduled' && condition.reason === 'SchedulingGated')
      reason = 'SchedulingGated';
  const initial = initializing(pod);
  if (initial) reason = initial;
  else {
    let running = false;
    for (const item of objects(status, 'containerStatuses').reverse()) {
      const state = record(item, 'state');
      const waiting = text(state, 'waiting', 'reason');
      const ended = record(state, 'terminated');
      if (waiting) reason = waiting;
      else if (isObject(state.terminated) && text(ended, 'reason')) reason = text(ended, 'reason');
      else if (isObject(state.terminated))
        reason = count(ended, 'signal')
          ? `Signal:${count(ended, 'signal')}`
          : `ExitCode:${count(ended, 'exitCode')}`;
      else if (item.ready === true && isObject(state.running)) running = true;
    }
    if (reason === 'Completed' && running) reason = isReady(pod) ? 'Running' : 'NotReady';
  }
  if (pod.metadata.deletionTimestamp && status.reason === 'NodeLost') return 'Unknown';
  if (pod.metadata.deletionTimestamp && !['Succeeded', 'Failed'].includes(text(status, 'phase')))
    return 'Terminating';
  return reason;
}

function isReady(pod: KubeObject): boolean {
  return objects(pod, 'status', 'conditions').some(item => item.type === 'Ready' && item.status === 'True');
}

function initializing(pod: KubeObject): string | undefined {
  const specs = new Map(objects(pod, 'spec', 'initContainers').map(item => [item.name, item]));
  const statuses = objects(pod, 'status', 'initContainerStatuses');
  for (const [index, item] of statuses.entries()) {
    const state = record(item, 'state');
    const ended = record(state, 'terminated');
    if (isObject(state.terminated) && count(ended, 'exitCode') === 0) continue;
    if (sidecar(specs.get(item.name)) && item.started === true) continue;
    if (isObject(state.terminated)) {
      if (text(ended, 'reason')) return `Init:${text(ended, 'reason')}`;
      return count(ended, 'signal')
        ? `Init:Signal:${count(ended, 'signal')}`
        : `Init:ExitCode:${count(ended, 'exitCode')}`;
    }
    const waiting = text(state, 'waiting', 'reason');
    if (waiting && waiting !== 'PodInitializing') return `Init:${waiting}`;
    return `Init:${index}/${specs.size}`;
  }
  return undefined;
}

function restarts(pod: KubeObject, now: Date): string {
  const inits = objects(pod, 'status', 'initContainerStatuses');
  const mains = objects(pod, 'status', 'containerStatuses');
  const specs = new Map(objects(pod, 'spec', 'initContainers').map(item => [item.name, item]));
  const starting = initializing(pod) !== undefined;
  const counted = starting ? inits : [...inits.filter(item => sidecar(specs.get(item.name))), ...mains];
  const total = counted.reduce((sum, item) => sum + count(item, 'restartCount'), 0);
  const ends = counted
    .map(item => Date.parse(text(item, 'lastState', 'terminated', 'finishedAt')))
    .filter(time => time > 0);
  if (!total || !ends.length) return String(total);
  return `${total} (${duration((now.getTime() - Math.max(...ends)) / 1000)} ago)`;
}

function readinessGates(pod: KubeObject): string {
  const gates = objects(pod, 'spec', 'readinessGates').map(gate => gate.conditionType);
  if (!gates.length) return NONE;
  const met = objects(pod, 'status', 'conditions').filter(
    item => gates.includes(item.type) && item.status === 'True',
  );
  return `${met.length}/${gates.length}`;
}
