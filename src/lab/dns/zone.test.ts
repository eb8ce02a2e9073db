import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { EndpointSlice, Service } from '../../kube/types.ts';
import { canonicalAddress, formatAddress } from '../../proto/ip/address.ts';
import { CLASS_IN, RCODE, type ResourceRecord, TYPE } from './message.ts';
import { Directory, dashed, undashed } from './records.ts';
import { addressOfReverse, resolve } from './zone.ts';

function service(name: string, spec: Service['spec'], namespace = 'default'): Service {
  return { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace }, spec };
}

function slice(
  service: string,
  endpoints: EndpointSlice['endpoints'],
  addressType: EndpointSlice['addressType'] = 'IPv4',
): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${service}-${addressType}`,
      namespace: 'default',
      labels: { 'kubernetes.io/service-name': service },
    },
    addressType,
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
    endpoints,
  };
}

const directory = new Directory(
  [
    service('web', {
      clusterIPs: ['10.96.0.20', 'fd00:10:96::20'],
      ports: [
        { name: 'http', port: 80, protocol: 'TCP' },
        { name: 'dns', port: 53, protocol: 'UDP' },
      ],
    }),
    service('db', { clusterIP: 'None', ports: [{ name: 'http', port: 8080 }] }),
    service('empty', { clusterIP: 'None', ports: [{ port: 1 }] }),
    service('far', { type: 'ExternalName', externalName: 'example.com.' }),
    service('kubernetes', { clusterIP: '10.96.0.1', ports: [{ name: 'https', port: 443 }] }),
  ],
  [
    slice('db', [
      { addresses: ['10.244.1.2'], hostname: 'db-0', conditions: { ready: true } },
      { addresses: ['10.244.2.3'], conditions: { ready: true } },
      { addresses: ['10.244.2.4'], conditions: { ready: false } },
    ]),
    slice('db', [{ addresses: ['fd00:10:244:1::2'], hostname: 'db-0' }], 'IPv6'),
  ],
  ['default', 'kube-system'],
);
const options = { domain: 'cluster.local', servers: ['10.96.0.10'], serial: 7 };

function ask(name: string, type: number) {
  return resolve(directory, { name, type, class: CLASS_IN }, options);
}

function show(records: readonly ResourceRecord[]): string[] {
  return records.map(({ data }) => {
    switch (data.kind) {
      case 'address':
        return formatAddress({ family: data.bytes.length === 4 ? 4 : 6, bytes: data.bytes });
      case 'name':
        return data.name;
      case 'srv':
        return `${data.port} ${data.target}`;
      default:
        return data.kind;
    }
  });
}

const answers = (name: string, type: number) => show(ask(name, type)!.answers);

test('a Service by its name, both families, however it is spelt', () => {
  assert.deepEqual(answers('web.default.svc.cluster.local', TYPE.A), ['10.96.0.20']);
  assert.deepEqual(answers('WEB.Default.svc.CLUSTER.local', TYPE.AAAA), ['fd00:10:96::20']);
  const { answers: records, rcode } = ask('Kubernetes.default.svc.cluster.local', TYPE.A)!;
  assert.equal(rcode, RCODE.ok);
  assert.equal(records[0]!.name, 'Kubernetes.default.svc.cluster.local');
  assert.equal(records[0]!.ttl, 30);
});

test('a headless Service: its ready pods, each by hostname or address', () => {
  assert.deepEqual(answers('db.default.svc.cluster.local', TYPE.A), ['10.244.1.2', '10.244.2.3']);
  assert.deepEqual(answers('db-0.db.default.svc.cluster.local', TYPE.A), ['10.244.1.2']);
  assert.deepEqual(answers('db-0.db.default.svc.cluster.local', TYPE.AAAA), ['fd00:10:244:1::2']);
  assert.deepEqual(answers('10-244-2-3.db.default.svc.cluster.local', TYPE.A), ['10.244.2.3']);
  assert.equal(ask('10-244-2-4.db.default.svc.cluster.local', TYPE.A)!.rcode, RCODE.nameError);
});

test('SRV: port and target, the addresses beside them', () => {
  const web = ask('_http._tcp.web.default.svc.cluster.local', TYPE.SRV)!;
  assert.deepEqual(show(web.answers), ['80 web.default.svc.cluster.local']);
  assert.deepEqual(show(web.additionals), ['10.96.0.20', 'fd00:10:96::20']);
  assert.deepEqual(answers('_dns._udp.web.default.svc.cluster.local', TYPE.SRV), [
    '53 web.default.svc.cluster.local',
  ]);
  assert.deepEqual(answers('_http._tcp.db.default.svc.cluster.local', TYPE.SRV), [
    '8080 db-0.db.default.svc.cluster.local',
    '8080 10-244-2-3.db.default.svc.cluster.local',
  ]);
  assert.equal(ask('_http._udp.web.default.svc.cluster.local', TYPE.SRV)!.rcode, RCODE.nameError);
});

test('PTR of a Service and of a headless endpoint; other addresses are asked elsewhere', () => {
  assert.deepEqual(answers('1.0.96.10.in-addr.arpa', TYPE.PTR), ['kubernetes.default.svc.cluster.local']);
  assert.deepEqual(answers('2.1.244.10.in-addr.arpa', TYPE.PTR), ['db-0.db.default.svc.cluster.local']);
  const v6 = [...'fd000010009600000000000000000020'].reverse().join('.');
  assert.deepEqual(answers(`${v6}.ip6.arpa`, TYPE.PTR), ['web.default.svc.cluster.local']);
  assert.equal(ask('8.8.8.8.in-addr.arpa', TYPE.PTR), undefined);
});

test('pods by address', () => {
  assert.deepEqual(answers('10-244-1-9.default.pod.cluster.local', TYPE.A), ['10.244.1.9']);
  assert.deepEqual(answers('fd00-10-244-1--9.default.pod.cluster.local', TYPE.AAAA), ['fd00:10:244:1::9']);
  assert.equal(ask('10-244-1-999.default.pod.cluster.local', TYPE.A)!.rcode, RCODE.nameError);
  assert.equal(ask('10-244-1-9.nowhere.pod.cluster.local', TYPE.A)!.rcode, RCODE.nameError);
});

test('no such name is NXDOMAIN with the SOA; a name without such records is empty with it', () => {
  for (const name of [
    'nothing.default.svc.cluster.local',
    'web.nowhere.svc.cluster.local',
    'x.cluster.local',
    'google.com.default.svc.cluster.local',
  ]) {
    const { rcode, answers, authorities } = ask(name, TYPE.A)!;
    assert.equal(rcode, RCODE.nameError, name);
    assert.deepEqual(answers, []);
    assert.equal(authorities[0]!.type, TYPE.SOA);
    assert.equal(authorities[0]!.name, 'cluster.local');
  }
  for (const name of [
    'kubernetes.default.svc.cluster.local',
    'default.svc.cluster.local',
    'svc.cluster.local',
    'empty.default.svc.cluster.local',
  ]) {
    const { rcode, answers, authorities } = ask(name, TYPE.AAAA)!;
    assert.equal(rcode, RCODE.ok, name);
    assert.deepEqual(answers, []);
    assert.equal(authorities.length, 1);
  }
});

test('the zone itself, and what is not in it', () => {
  assert.deepEqual(answers('cluster.local', TYPE.NS), ['ns.dns.cluster.local']);
  assert.deepEqual(answers('ns.dns.cluster.local', TYPE.A), ['10.96.0.10']);
  assert.equal(ask('dns-version.cluster.local', TYPE.TXT)!.answers.length, 1);
  assert.equal(ask('example.com', TYPE.A), undefined);
  assert.equal(ask('notcluster.local', TYPE.A), undefined);
});

test('an ExternalName is a CNAME whose addresses are to be chased', () => {
  const { answers: records, chase } = ask('far.default.svc.cluster.local', TYPE.A)!;
  assert.equal(records[0]!.type, TYPE.CNAME);
  assert.deepEqual(show(records), ['example.com']);
  assert.equal(chase, 'example.com');
});

test('an address and its dashed label are each other’s', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), text => {
      const address = canonicalAddress(text)!;
      fc.pre(!(address.includes(':') && address.includes('.')));
      assert.equal(undashed(dashed(address)), address);
    }),
  );
});

test('reverse names read back', () => {
  assert.equal(addressOfReverse(['1', '0', '96', '10', 'in-addr', 'arpa']), '10.96.0.1');
  assert.equal(addressOfReverse(['0', '96', '10', 'in-addr', 'arpa']), undefined);
  assert.equal(addressOfReverse(['256', '0', '96', '10', 'in-addr', 'arpa']), undefined);
});

test('any name at all has an answer or is somebody else’s', () => {
  const label = fc.constantFrom(
    'web',
    'db',
    'default',
    'svc',
    'pod',
    '_tcp',
    '_http',
    'dns',
    'ns',
    '10-0-0-1',
    'in-addr',
    'arpa',
    '\\000',
    'far',
    'x',
  );
  fc.assert(
    fc.property(
      fc.array(label, { maxLength: 8 }),
      fc.boolean(),
      fc.integer({ min: 0, max: 260 }),
      (labels, inside, type) => {
        const name = [...labels, ...(inside ? ['cluster', 'local'] : [])].join('.');
        const answer = ask(name, type);
        if (inside) assert.ok(answer);
      },
    ),
    { numRuns: 500 },
  );
});
