import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { EndpointSlice, Pod, Service } from '../../kube/types.ts';
import { hasEndpoints, legacyEndpoints, planSlices } from './serviceendpoints.ts';

interface PodState {
  ip?: string;
  ready?: boolean;
  deleting?: boolean;
  phase?: 'Pending' | 'Running' | 'Succeeded' | 'Failed';
  port?: number;
  hostname?: string;
  labels?: Record<string, string>;
}

function pod(name: string, state: PodState = {}): Pod {
  const {
    ip = '10.244.1.2',
    ready = true,
    deleting,
    phase = 'Running',
    port = 8080,
    hostname,
    labels,
  } = state;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: 'default',
      uid: name,
      labels: labels ?? { app: 'web' },
      ...(deleting && { deletionTimestamp: '2026-01-01T00:00:00Z' }),
    },
    spec: {
      nodeName: 'kind-worker',
      containers: [{ name: 'c', ports: [{ name: 'http', containerPort: port }] }],
      ...(hostname && { hostname, subdomain: 'web' }),
    },
    status: {
      phase,
      podIP: ip,
      podIPs: [{ ip }, ...(ip ? [{ ip: `fd00::${ip.split('.')[3]}` }] : [])],
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
    },
  };
}

function service(spec: Partial<Service['spec']> = {}): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'default', uid: 's' },
    spec: {
      clusterIP: '10.96.0.20',
      selector: { app: 'web' },
      ports: [{ name: 'http', port: 80, targetPort: 'http' }],
      ...spec,
    },
  };
}

let serial = 0;

/** Applies the plan until it has nothing to do, and answers the slices. */
function settle(wanted: Service, pods: readonly Pod[], slices: EndpointSlice[] = []): EndpointSlice[] {
  for (let round = 0; round < 5; round++) {
    const plan = planSlices(wanted, pods, slices, () => `web-${serial++}`);
    if (plan.create.length + plan.update.length + plan.remove.length === 0) return slices;
    const updated = new Map(plan.update.map(each => [each.metadata.name, each]));
    slices = [
      ...slices
        .filter(each => !plan.remove.includes(each))
        .map(each => updated.get(each.metadata.name) ?? each),
      ...plan.create,
    ];
  }
  return assert.fail('the slices never settle');
}

const addresses = (slices: readonly EndpointSlice[]) =>
  slices.flatMap(slice => slice.endpoints.flatMap(each => each.addresses));

test('selected pods with an address, by the port that each gives the name', () => {
  const pods = [
    pod('a'),
    pod('b', { ip: '10.244.1.3', port: 9090 }),
    pod('c', { labels: { app: 'other' } }),
    pod('d', { ip: '' }),
  ];
  const slices = settle(service(), pods);
  assert.deepEqual(
    slices.map(slice => [slice.ports?.[0]?.port, addresses([slice])]),
    [
      [8080, ['10.244.1.2']],
      [9090, ['10.244.1.3']],
    ],
  );
  const [first] = slices;
  assert.equal(first!.metadata.labels?.['kubernetes.io/service-name'], 'web');
  assert.deepEqual(first!.endpoints[0]!.targetRef, {
    kind: 'Pod',
    name: 'a',
    namespace: 'default',
    uid: 'a',
  });
  assert.equal(first!.endpoints[0]!.nodeName, 'kind-worker');
});

test('ready, serving and terminating tell the whole truth; publishNotReadyAddresses calls all ready', () => {
  const pods = [pod('a', { ready: false }), pod('b', { ip: '10.244.1.3', deleting: true })];
  const conditions = (spec = {}) =>
    settle(service(spec), pods).flatMap(slice => slice.endpoints.map(each => each.conditions));
  assert.deepEqual(conditions(), [
    { ready: false, serving: false, terminating: false },
    { ready: false, serving: true, terminating: true },
  ]);
  assert.deepEqual(
    conditions({ publishNotReadyAddresses: true }).map(each => each?.ready),
    [true, true],
  );
});

test('ended pods are no endpoints; a service without pods has one empty slice', () => {
  const slices = settle(service(), [pod('a', { phase: 'Succeeded' })]);
  assert.equal(slices.length, 1);
  assert.deepEqual(slices[0]!.endpoints, []);
});

test('dual stack: a slice for each family', () => {
  const slices = settle(service({ ipFamilies: ['IPv4', 'IPv6'] }), [pod('a')]);
  assert.deepEqual(
    slices.map(slice => [slice.addressType, ...addresses([slice])]),
    [
      ['IPv4', '10.244.1.2'],
      ['IPv6', 'fd00::2'],
    ],
  );
});

test('hostnames of a headless service’s pods', () => {
  const slices = settle(service({ clusterIP: 'None' }), [pod('a', { hostname: 'a' })]);
  assert.equal(slices[0]!.endpoints[0]!.hostname, 'a');
  assert.equal(slices[0]!.metadata.labels?.['service.kubernetes.io/headless'], '');
});

test('no more than a hundred in a slice, and no address lost or doubled, whatever comes and goes', () => {
  const count = fc.integer({ min: 0, max: 250 });
  fc.assert(
    fc.property(fc.array(count, { minLength: 1, maxLength: 4 }), counts => {
      let slices: EndpointSlice[] = [];
      for (const many of counts) {
        const pods = Array.from({ length: many }, (_, index) =>
          pod(`p${String(index).padStart(3, '0')}`, { ip: `10.244.1.${index}` }),
        );
        slices = settle(service(), pods, slices);
        assert.ok(slices.every(slice => slice.endpoints.length <= 100));
        assert.deepEqual(new Set(addresses(slices)), new Set(pods.map(each => each.status!.podIP)));
        assert.equal(addresses(slices).length, many);
      }
    }),
    { numRuns: 30 },
  );
});

test('the older Endpoints say the same', () => {
  const pods = [
    pod('a'),
    pod('b', { ip: '10.244.1.3', ready: false }),
    pod('c', { ip: '10.244.1.4', deleting: true }),
  ];
  const { subsets } = legacyEndpoints(service(), pods);
  assert.deepEqual(
    subsets?.map(subset => [
      subset.addresses?.map(each => each.ip),
      subset.notReadyAddresses?.map(each => each.ip),
    ]),
    [[['10.244.1.2'], ['10.244.1.3']]],
  );
  assert.deepEqual(subsets?.[0]?.ports, [{ name: 'http', port: 8080, protocol: 'TCP' }]);
  assert.deepEqual(legacyEndpoints(service(), []).subsets, []);
});

test('who has endpoints', () => {
  assert.equal(hasEndpoints(service()), true);
  assert.equal(hasEndpoints(service({ selector: {} })), false);
  assert.equal(hasEndpoints(service({ type: 'ExternalName' })), false);
});
