/** Network and coordination: Ingress, NetworkPolicy, EndpointSlice, Lease, and events.k8s.io's view of events. */
import {
  at,
  count,
  isObject,
  type JsonObject,
  type KubeObject,
  list,
  objects,
  preset,
  record,
  strings,
  text,
} from '../object.ts';
import { typeNamed } from '../schema/schema.ts';
import { invalidValue, requiredValue, unsupportedValue } from '../status.ts';
import { AGE, column, NAME, NONE, selectorText, shortened, UNSET } from './columns.ts';
import { eventColumns, eventFields } from './core.ts';
import { type Resource, resource } from './resource.ts';

type More = Partial<Resource> & { status?: boolean };
const of = (group: string, kind: string, plural: string, more: More) =>
  resource({ group, version: 'v1', kind, plural, schema: typeNamed(kind), ...more });

const ingresses = of('networking.k8s.io', 'Ingress', 'ingresses', {
  status: true,
  shortNames: ['ing'],
  strategy: { generation: true },
  columns: [
    NAME,
    column('Class', object => text(object, 'spec', 'ingressClassName') || NONE),
    column('Hosts', object => {
      const hosts = objects(object, 'spec', 'rules')
        .map(rule => text(rule, 'host'))
        .filter(host => host);
      return hosts.length ? shortened(hosts) : '*';
    }),
    column('Address', object =>
      objects(object, 'status', 'loadBalancer', 'ingress')
        .map(item => text(item, 'ip') || text(item, 'hostname'))
        .join(','),
    ),
    column('Ports', object => (list(object, 'spec', 'tls').length ? '80, 443' : '80')),
    AGE,
  ],
});

const ingressclasses = of('networking.k8s.io', 'IngressClass', 'ingressclasses', {
  namespaced: false,
  strategy: { generation: true },
  columns: [
    NAME,
    column('Controller', object => text(object, 'spec', 'controller')),
    column('Parameters', object => {
      const parameters = record(object, 'spec', 'parameters');
      if (!text(parameters, 'name')) return NONE;
      const group = text(parameters, 'apiGroup');
      return `${text(parameters, 'kind')}${group ? `.${group}` : ''}/${text(parameters, 'name')}`;
    }),
    AGE,
  ],
});

const networkpolicies = of('networking.k8s.io', 'NetworkPolicy', 'networkpolicies', {
  shortNames: ['netpol'],
  strategy: {
    generation: true,
    defaults(policy) {
      const spec = record(policy, 'spec');
      policy.spec = spec;
      preset(spec, 'policyTypes', list(spec, 'egress').length ? ['Ingress', 'Egress'] : ['Ingress']);
      for (const rule of [...objects(spec, 'ingress'), ...objects(spec, 'egress')])
        for (const port of objects(rule, 'ports')) preset(port, 'protocol', 'TCP');
    },
  },
  columns: [NAME, column('Pod-Selector', policy => selectorText(record(policy, 'spec', 'podSelector'))), AGE],
});

const endpointslices = of('discovery.k8s.io', 'EndpointSlice', 'endpointslices', {
  strategy: {
    defaults(slice) {
      preset(slice, 'endpoints', []);
      for (const port of objects(slice, 'ports')) {
        preset(port, 'name', '');
        preset(port, 'protocol', 'TCP');
      }
    },
    create(slice) {
      slice.metadata.generation = 1;
    },
    validate(slice, old) {
      const types = ['IPv4', 'IPv6', 'FQDN'];
      if (!text(slice, 'addressType')) return [requiredValue('addressType')];
      if (!types.includes(text(slice, 'addressType')))
        return [unsupportedValue('addressType', slice.addressType, types)];
      if (old && old.addressType !== slice.addressType)
        return [invalidValue('addressType', slice.addressType, 'field is immutable')];
      return [];
    },
  },
  columns: [
    NAME,
    column('AddressType', slice => text(slice, 'addressType')),
    column('Ports', slice => {
      const ports = objects(slice, 'ports').map(port => String(port.port ?? '*'));
      return ports.length ? shortened(ports) : UNSET;
    }),
    column('Endpoints', slice => {
      const addresses = objects(slice, 'endpoints').flatMap(item => strings(item, 'addresses'));
      return addresses.length ? shortened(addresses) : UNSET;
    }),
    AGE,
  ],
});

const leases = of('coordination.k8s.io', 'Lease', 'leases', {
  strategy: {
    upsert: true,
    validate(lease) {
      const seconds = at(lease, 'spec', 'leaseDurationSeconds');
      if (typeof seconds === 'number' && seconds <= 0)
        return [invalidValue('spec.leaseDurationSeconds', seconds, 'must be greater than 0')];
      return [];
    },
  },
  columns: [NAME, column('Holder', lease => text(lease, 'spec', 'holderIdentity')), AGE],
});

/** Fields of core/v1 events, and their names in events.k8s.io/v1. */
const EVENT_NAMES: readonly (readonly [string, string])[] = [
  ['involvedObject', 'regarding'],
  ['message', 'note'],
  ['source', 'deprecatedSource'],
  ['firstTimestamp', 'deprecatedFirstTimestamp'],
  ['lastTimestamp', 'deprecatedLastTimestamp'],
  ['count', 'deprecatedCount'],
  ['reportingComponent', 'reportingController'],
];

function renamed(object: KubeObject, apiVersion: string, forward: boolean): KubeObject {
  const names = new Map(EVENT_NAMES.map(([core, other]) => (forward ? [core, other] : [other, core])));
  const out: JsonObject = {};
  for (const [key, value] of Object.entries(object)) out[names.get(key) ?? key] = value;
  return { ...out, kind: 'Event', apiVersion, metadata: object.metadata };
}

const toCore = (event: KubeObject) => renamed(event, 'v1', false);

const events: Resource = {
  ...of('events.k8s.io', 'Event', 'events', {
    schema: typeNamed('events.Event'),
    shortNames: ['ev'],
    storage: 'events',
    strategy: {
      upsert: true,
      validate(event, old) {
        const namespace = text(event, 'regarding', 'namespace');
        const errors = [];
        if (namespace && namespace !== event.metadata.namespace)
          errors.push(invalidValue('regarding.namespace', namespace, 'does not match event.namespace'));
        if (old || !text(event, 'eventTime')) return errors;
        for (const field of ['reportingController', 'reportingInstance', 'action', 'reason'])
          if (!text(event, field)) errors.push(requiredValue(field));
        if (!['Normal', 'Warning'].includes(text(event, 'type')))
          errors.push(invalidValue('type', event.type ?? '', 'has invalid value'));
        if (isObject(event.series) && count(event, 'series', 'count') < 2)
          errors.push(invalidValue('series.count', count(event, 'series', 'count'), 'should be at least 2'));
        return errors;
      },
      fields(event) {
        const fields = eventFields(toCore(event));
        const regarding = Object.entries(fields).map(([key, value]) => [
          key.replace('involvedObject', 'regarding'),
          value,
        ]);
        return { ...Object.fromEntries(regarding), reportingController: text(event, 'reportingController') };
      },
    },
    columns: eventColumns.map(item => ({
      ...item,
      value: (event: KubeObject, now: Date) => item.value(toCore(event), now),
    })),
  }),
  fromStorage: event => renamed(event, 'events.k8s.io/v1', true),
  toStorage: toCore,
};

export const networkResources: readonly Resource[] = [
  leases,
  endpointslices,
  events,
  ingressclasses,
  ingresses,
  networkpolicies,
];
