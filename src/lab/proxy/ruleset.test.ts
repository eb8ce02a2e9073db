import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { EndpointSlice, Service } from '../../kube/types.ts';
import { renderRemoval, renderRuleset } from './ruleset.ts';
import { targetsOf } from './targets.ts';

export function service(name: string, spec: Partial<Service['spec']>): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default' },
    spec: { clusterIP: '10.96.0.20', ports: [{ port: 80, protocol: 'TCP' }], ...spec },
  };
}

export function slice(
  name: string,
  addresses: string[],
  extra: Partial<EndpointSlice> & { conditions?: object; nodeName?: string } = {},
): EndpointSlice {
  const { conditions, nodeName, ...rest } = extra;
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: `${name}-x`, namespace: 'default', labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    ports: [{ name: '', port: 8080, protocol: 'TCP' }],
    endpoints: addresses.map(address => ({
      addresses: [address],
      conditions: { ready: true, ...conditions },
      ...(nodeName && { nodeName }),
    })),
    ...rest,
  };
}

const render = (services: Service[], slices: EndpointSlice[]) =>
  renderRuleset(targetsOf(services, slices, 'here'));

test('a Service with two pods: one map entry, an even choice, one chain for each pod', () => {
  const text = render([service('web', {})], [slice('web', ['10.244.1.2', '10.244.2.2'])]);
  assert.match(text, /10\.96\.0\.20 \. tcp \. 80 : goto svc-[0-9a-f]{12}/);
  assert.match(
    text,
    /numgen random mod 2 vmap \{ 0 : goto pod-\w+, 1 : goto pod-\w+ \} comment "default\/web:80"/,
  );
  assert.match(text, /meta l4proto tcp dnat to 10\.244\.1\.2:8080/);
  assert.match(text, /10\.244\.2\.2 \. 10\.244\.2\.2/);
});

test('a Service without pods is in no map but its address is refused', () => {
  const text = render([service('web', {})], [slice('web', [])]);
  assert.doesNotMatch(text, /goto svc-/);
  assert.match(text, /set service-addresses \{\n {4}type ipv4_addr\n {4}elements = \{ 10\.96\.0\.20 \}/);
});

test('headless and external Services are left alone', () => {
  const services = [
    service('a', { clusterIP: 'None' }),
    service('b', { type: 'ExternalName', externalName: 'example.com' }),
  ];
  assert.deepEqual(targetsOf(services, [slice('a', ['10.244.1.2'])], 'here'), []);
});

test('pods that are not ready count only when nothing else is left and they still serve while they go', () => {
  const gone = { ready: false, serving: true, terminating: true };
  const targets = (slices: EndpointSlice[]) => targetsOf([service('web', {})], slices, 'here')[0]!.endpoints;
  const going = slice('web', ['10.244.1.2'], { conditions: gone });
  assert.deepEqual(targets([going]), [{ address: '10.244.1.2', port: 8080 }]);
  assert.deepEqual(targets([going, slice('web', ['10.244.1.3'])]), [{ address: '10.244.1.3', port: 8080 }]);
  const dead = slice('web', ['10.244.1.2'], {
    conditions: { ready: false, serving: false, terminating: true },
  });
  assert.deepEqual(targets([dead]), []);
});

test('a node port leads to every pod with the client hidden, or only to those here with it shown', () => {
  const slices = [
    slice('web', ['10.244.1.2'], { nodeName: 'here' }),
    slice('web', ['10.244.2.2'], { nodeName: 'there' }),
  ];
  const ports = [{ port: 80, nodePort: 30080, protocol: 'TCP' as const }];
  const [cluster] = targetsOf([service('web', { type: 'NodePort', ports })], slices, 'here');
  assert.deepEqual(cluster!.external.masquerade, true);
  assert.equal(cluster!.external.endpoints.length, 2);
  const spec = { type: 'NodePort' as const, ports, externalTrafficPolicy: 'Local' };
  const [local] = targetsOf([service('web', spec)], slices, 'here');
  assert.deepEqual(local!.external, {
    masquerade: false,
    endpoints: [{ address: '10.244.1.2', port: 8080 }],
  });
  assert.equal(local!.endpoints.length, 2);
  const elsewhere = renderRuleset(targetsOf([service('web', spec)], slices, 'nowhere'));
  assert.match(elsewhere, /set dead-node-ports \{\n.*\n {4}elements = \{ tcp \. 30080 \}/);
});

test('named ports find their own number, each family its own table', () => {
  const dual = service('web', {
    clusterIPs: ['10.96.0.20', 'fd00:10:96::20'],
    ports: [
      { name: 'http', port: 80 },
      { name: 'dns', port: 53, protocol: 'UDP' },
    ],
  });
  const ports = [
    { name: 'http', port: 8080, protocol: 'TCP' as const },
    { name: 'dns', port: 5353, protocol: 'UDP' as const },
  ];
  const text = render(
    [dual],
    [
      slice('web', ['10.244.1.2'], { ports }),
      slice('web', ['fd00:10:244:1::2'], { ports, addressType: 'IPv6' }),
    ],
  );
  assert.match(text, /meta l4proto udp dnat to 10\.244\.1\.2:5353/);
  assert.match(text, /meta l4proto tcp dnat to \[fd00:10:244:1::2\]:8080/);
  assert.match(text, /fd00:10:96::20 \. udp \. 53 : goto/);
});

test('ClientIP affinity chooses by the client', () => {
  const text = render([service('web', { sessionAffinity: 'ClientIP' })], [slice('web', ['10.244.1.2'])]);
  assert.match(text, /jhash ip saddr mod 1/);
});

test('the same cluster in any order gives the same text, and what stands in names cannot break out of it', () => {
  const names = fc.uniqueArray(fc.stringMatching(/^[a-z"\\{};]{1,8}$/), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(names, fc.infiniteStream(fc.nat()), (all, stream) => {
      const services = all.map((name, index) => service(name, { clusterIP: `10.96.1.${index}` }));
      const slices = all.map((name, index) => slice(name, [`10.244.1.${index + 2}`, '10.244.2.2']));
      const text = render(services, slices);
      const shuffle = <T>(items: T[]): T[] =>
        items
          .map(item => [stream.next().value as number, item] as const)
          .sort(([a], [b]) => a - b)
          .map(([, item]) => item);
      assert.equal(render(shuffle(services), shuffle(slices)), text);
      for (const [, comment] of text.matchAll(/comment (.*)$/gm)) assert.match(comment!, /^"[^"\\]*"$/);
    }),
    { numRuns: 100 },
  );
});

test('removal names both tables and works where they are not', () => {
  assert.equal(renderRemoval().match(/delete table/g)?.length, 2);
});
