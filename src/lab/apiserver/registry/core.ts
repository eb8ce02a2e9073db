/** The other kinds of core/v1. */
import {
  clone,
  count,
  equal,
  isObject,
  type KubeObject,
  list,
  objects,
  preset,
  put,
  record,
  strings,
  text,
} from '../object.ts';
import { typeNamed } from '../schema/schema.ts';
import { type FieldError, forbiddenValue, invalidValue, requiredValue } from '../status.ts';
import { age } from '../table.ts';
import { AGE, CREATED, column, NAME, NONE, shortened, UNKNOWN, wide } from './columns.ts';
import { type Resource, resource, type Strategy } from './resource.ts';
import { volumeResources } from './volumes.ts';

const of = (kind: string, plural: string, more: Partial<Resource> & { status?: boolean }) =>
  resource({ version: 'v1', kind, plural, schema: typeNamed(kind), ...more });

const keys = (object: KubeObject, ...fields: string[]) =>
  fields.reduce((sum, field) => sum + Object.keys(record(object, field)).length, 0);

const namespaces = of('Namespace', 'namespaces', {
  namespaced: false,
  status: true,
  shortNames: ['ns'],
  verbs: ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'],
  subresources: [{ name: 'finalize', kind: 'Namespace', verbs: ['update'] }],
  strategy: {
    names: 'label',
    defaults(namespace) {
      const { metadata } = namespace;
      if (metadata.name)
        metadata.labels = { ...metadata.labels, 'kubernetes.io/metadata.name': metadata.name };
    },
    create(namespace) {
      const spec = record(namespace, 'spec');
      namespace.spec = { ...spec, finalizers: [...new Set([...strings(spec, 'finalizers'), 'kubernetes'])] };
      namespace.status = { phase: 'Active' };
    },
    update(namespace, old) {
      namespace.spec = old.spec;
    },
    fields: namespace => ({ 'status.phase': text(namespace, 'status', 'phase') }),
  },
  columns: [NAME, column('Status', namespace => text(namespace, 'status', 'phase')), AGE],
});

function nodeStatus(node: KubeObject): string {
  const words = objects(node, 'status', 'conditions')
    .filter(condition => condition.type === 'Ready')
    .map((condition): string => (condition.status === 'True' ? 'Ready' : 'NotReady'));
  if (!words.length) words.push('Unknown');
  if (record(node, 'spec').unschedulable === true) words.push('SchedulingDisabled');
  return words.join(',');
}

function nodeRoles(node: KubeObject): string {
  const roles = Object.entries(node.metadata.labels ?? {}).flatMap(([key, value]) => {
    if (key.startsWith('node-role.kubernetes.io/')) return [key.slice('node-role.kubernetes.io/'.length)];
    return key === 'kubernetes.io/role' && value ? [value] : [];
  });
  return roles.length ? roles.sort().join(',') : NONE;
}

const nodeAddress = (type: string) => (node: KubeObject) =>
  text(
    objects(node, 'status', 'addresses').find(item => item.type === type),
    'address',
  ) || NONE;
const nodeInfo = (field: string) => (node: KubeObject) => text(node, 'status', 'nodeInfo', field) || UNKNOWN;

const nodes = of('Node', 'nodes', {
  namespaced: false,
  status: true,
  shortNames: ['no'],
  strategy: {
    defaults(node) {
      const spec = record(node, 'spec');
      node.spec = spec;
      const [first] = strings(spec, 'podCIDRs');
      if (text(spec, 'podCIDR') && !first) spec.podCIDRs = [spec.podCIDR];
      else if (first && !text(spec, 'podCIDR')) spec.podCIDR = first;
      const status = record(node, 'status');
      if (isObject(status.capacity) && !isObject(status.allocatable))
        status.allocatable = clone(status.capacity);
    },
    validate(node, old) {
      const before = old ? text(old, 'spec', 'podCIDR') : '';
      if (before && before !== text(node, 'spec', 'podCIDR'))
        return [
          forbiddenValue('spec.podCIDRs', 'node updates may not change podCIDR except from "" to valid'),
        ];
      return [];
    },
    fields: node => ({ 'spec.unschedulable': String(record(node, 'spec').unschedulable === true) }),
  },
  columns: [
    NAME,
    column('Status', nodeStatus),
    column('Roles', nodeRoles),
    AGE,
    column('Version', node => text(node, 'status', 'nodeInfo', 'kubeletVersion')),
    wide('Internal-IP', nodeAddress('InternalIP')),
    wide('External-IP', nodeAddress('ExternalIP')),
    wide('OS-Image', nodeInfo('osImage')),
    wide('Kernel-Version', nodeInfo('kernelVersion')),
    wide('Container-Runtime', nodeInfo('containerRuntimeVersion')),
  ],
});

const DATA_KEY = /^[-._a-zA-Z0-9]+$/;

function dataProblems(
  object: KubeObject,
  old: KubeObject | undefined,
  fields: readonly string[],
): FieldError[] {
  const errors: FieldError[] = [];
  let size = 0;
  for (const field of fields)
    for (const [key, value] of Object.entries(record(object, field))) {
      if (!DATA_KEY.test(key) || key.length > 253 || key === '.' || key.startsWith('..'))
        errors.push(
          invalidValue(
            `${field}[${key}]`,
            key,
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
          ),
        );
      size += String(value).length;
    }
  if (size > (1 << 20) * 1.4)
    errors.push({
      field: fields[0] as string,
      reason: 'FieldValueTooLong',
      message: 'Too long: may not be more than 1048576 bytes',
    });
  if (old?.immutable === true) {
    if (object.immutable !== true)
      errors.push(forbiddenValue('immutable', 'field is immutable when `immutable` is set'));
    for (const field of fields)
      if (!equal(object[field] ?? {}, old[field] ?? {}))
        errors.push(forbiddenValue(field, 'field is immutable when `immutable` is set'));
  }
  return errors;
}

/** Keys that secrets of a type have to have. */
const SECRET_KEYS = new Map([
  ['kubernetes.io/tls', ['tls.crt', 'tls.key']],
  ['kubernetes.io/dockerconfigjson', ['.dockerconfigjson']],
  ['kubernetes.io/dockercfg', ['.dockercfg']],
  ['kubernetes.io/ssh-auth', ['ssh-privatekey']],
]);

const secretStrategy: Strategy = {
  defaults(secret) {
    preset(secret, 'type', 'Opaque');
    const plain = record(secret, 'stringData');
    if (Object.keys(plain).length) {
      const data = { ...record(secret, 'data') };
      for (const [key, value] of Object.entries(plain))
        put(data, key, Buffer.from(String(value)).toString('base64'));
      secret.data = data;
    }
    delete secret.stringData;
  },
  validate(secret, old) {
    const errors = dataProblems(secret, old, ['data']);
    for (const key of SECRET_KEYS.get(text(secret, 'type')) ?? [])
      if (record(secret, 'data')[key] === undefined) errors.push(requiredValue(`data[${key}]`));
    if (old && old.type !== secret.type) errors.push(invalidValue('type', secret.type, 'field is immutable'));
    return errors;
  },
  fields: secret => ({ type: text(secret, 'type') }),
};

const secrets = of('Secret', 'secrets', {
  strategy: secretStrategy,
  columns: [
    NAME,
    column('Type', secret => text(secret, 'type')),
    column('Data', secret => keys(secret, 'data'), 'integer'),
    AGE,
  ],
});

const configmaps = of('ConfigMap', 'configmaps', {
  shortNames: ['cm'],
  strategy: {
    validate(map, old) {
      const errors = dataProblems(map, old, ['data', 'binaryData']);
      for (const key of Object.keys(record(map, 'data')))
        if (Object.hasOwn(record(map, 'binaryData'), key))
          errors.push(invalidValue('data', key, 'duplicate of key present in binaryData'));
      return errors;
    },
  },
  columns: [NAME, column('Data', map => keys(map, 'data', 'binaryData'), 'integer'), AGE],
});

const serviceaccounts = of('ServiceAccount', 'serviceaccounts', {
  shortNames: ['sa'],
  subresources: [
    { name: 'token', kind: 'TokenRequest', group: 'authentication.k8s.io', version: 'v1', verbs: ['create'] },
  ],
  columns: [NAME, column('Secrets', account => list(account, 'secrets').length, 'integer'), AGE],
});

export function endpointText(endpoints: KubeObject): string {
  const found = objects(endpoints, 'subsets').flatMap(subset => {
    const addresses = objects(subset, 'addresses').map(item => text(item, 'ip'));
    const ports = objects(subset, 'ports').map(item => item.port);
    if (!ports.length) return addresses;
    return ports.flatMap(port =>
      addresses.map(ip => (ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`)),
    );
  });
  return shortened(found);
}

const endpoints = of('Endpoints', 'endpoints', {
  shortNames: ['ep'],
  strategy: {
    upsert: true,
    defaults(object) {
      for (const subset of objects(object, 'subsets'))
        for (const port of objects(subset, 'ports')) preset(port, 'protocol', 'TCP');
    },
  },
  columns: [NAME, column('Endpoints', endpointText), AGE],
});

const EVENT_FIELDS = ['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'];

export const eventFields = (event: KubeObject) => ({
  ...Object.fromEntries(
    EVENT_FIELDS.map(field => [`involvedObject.${field}`, text(event, 'involvedObject', field)]),
  ),
  reason: text(event, 'reason'),
  reportingComponent: text(event, 'reportingComponent'),
  source: text(event, 'source', 'component') || text(event, 'reportingComponent'),
  type: text(event, 'type'),
});

/** When an event was first and last seen, and how often. */
function seen(event: KubeObject): { first: string; last: string; count: number } {
  const first = text(event, 'firstTimestamp') || text(event, 'eventTime');
  if (isObject(event.series))
    return {
      first,
      last: text(event, 'series', 'lastObservedTime') || first,
      count: count(event, 'series', 'count'),
    };
  return { first, last: text(event, 'lastTimestamp') || first, count: count(event, 'count') || 1 };
}

function sourceText(event: KubeObject): string {
  const component = text(event, 'source', 'component') || text(event, 'reportingComponent');
  const host =
    text(event, 'source', 'host') ||
    (text(event, 'source', 'component') ? '' : text(event, 'reportingInstance'));
  return host ? `${component}, ${host}` : component;
}

function involved(event: KubeObject): string {
  const kind = text(event, 'involvedObject', 'kind').toLowerCase();
  const name = text(event, 'involvedObject', 'name');
  return name ? `${kind}/${name}` : kind;
}

export const eventColumns = [
  column('Last Seen', (event: KubeObject, now: Date) => age(seen(event).last || undefined, now)),
  column('Type', (event: KubeObject) => text(event, 'type')),
  column('Reason', (event: KubeObject) => text(event, 'reason')),
  column('Object', involved),
  wide('Subobject', (event: KubeObject) => text(event, 'involvedObject', 'fieldPath')),
  wide('Source', sourceText),
  column('Message', (event: KubeObject) => text(event, 'message').trim()),
  wide('First Seen', (event: KubeObject, now: Date) => age(seen(event).first || undefined, now)),
  wide('Count', (event: KubeObject) => seen(event).count, 'integer'),
  { ...NAME, wide: true },
];

const events = of('Event', 'events', {
  shortNames: ['ev'],
  strategy: {
    upsert: true,
    validate(event) {
      const namespace = text(event, 'involvedObject', 'namespace');
      if (namespace && namespace !== event.metadata.namespace)
        return [invalidValue('involvedObject.namespace', namespace, 'does not match event.namespace')];
      return [];
    },
    fields: eventFields,
  },
  columns: eventColumns,
});

const replicationcontrollers = of('ReplicationController', 'replicationcontrollers', {
  status: true,
  shortNames: ['rc'],
  categories: ['all'],
  strategy: { generation: true },
  columns: [
    NAME,
    column('Desired', object => count(object, 'spec', 'replicas'), 'integer'),
    column('Current', object => count(object, 'status', 'replicas'), 'integer'),
    column('Ready', object => count(object, 'status', 'readyReplicas'), 'integer'),
    AGE,
  ],
});

const resourcequotas = of('ResourceQuota', 'resourcequotas', {
  status: true,
  shortNames: ['quota'],
  columns: [
    NAME,
    AGE,
    column('Request', quota =>
      Object.entries(record(quota, 'spec', 'hard'))
        .map(([name, hard]) => `${name}: ${text(quota, 'status', 'used', name) || '0'}/${hard}`)
        .join(', '),
    ),
  ],
});

const limitranges = of('LimitRange', 'limitranges', { shortNames: ['limits'], columns: [NAME, CREATED] });
const podtemplates = of('PodTemplate', 'podtemplates', { columns: [NAME] });

export const coreResources: readonly Resource[] = [
  configmaps,
  endpoints,
  events,
  limitranges,
  namespaces,
  nodes,
  ...volumeResources,
  podtemplates,
  replicationcontrollers,
  resourcequotas,
  secrets,
  serviceaccounts,
];
