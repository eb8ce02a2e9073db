import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AgentConfig, parseConfig } from './config.ts';
import { type NodeObject, PUBLIC_KEY_ANNOTATION } from './node.ts';
import { judge, type Membership } from './snapshot.ts';

const KEY_A = Buffer.alloc(32, 1).toString('base64');
const KEY_B = Buffer.alloc(32, 2).toString('base64');

interface Sketch {
  name: string;
  created?: string;
  key?: string;
  ips?: string[];
  internal?: string[];
  cidrs?: string[];
}

test('nodes with nothing in common are all members', () => {
  const { members, refused } = of(
    { name: 'a', key: KEY_A, cidrs: ['10.244.1.0/24'] },
    { name: 'b', key: KEY_B, cidrs: ['10.244.2.0/24'] },
  );
  assert.deepEqual(
    members.map(({ name }) => name),
    ['a', 'b'],
  );
  assert.deepEqual(refused, []);
});

test('of two with one key the older object keeps it, and the other hears what to do', () => {
  const { members, refused } = of(
    { name: 'a', key: KEY_A, created: '2026-01-02T00:00:00Z' },
    { name: 'b', key: KEY_A },
  );
  assert.deepEqual(
    members.map(({ name }) => name),
    ['b'],
  );
  assert.equal(refused[0]?.name, 'a');
  assert.equal(refused[0]?.reason, 'DuplicatePublicKey');
  assert.match(refused[0]?.message ?? '', /public key of b.*delete .*cilium_wg0.key on a/);
});

test('of two made in the same second the first by name wins', () => {
  assert.deepEqual(
    of({ name: 'b', key: KEY_A }, { name: 'a', key: KEY_A }).members.map(({ name }) => name),
    ['a'],
  );
});

test('an object without a creation time is the youngest', () => {
  const nodes = [object({ name: 'a', key: KEY_A }), object({ name: 'b', key: KEY_A })];
  delete nodes[0]!.metadata.creationTimestamp;
  assert.deepEqual(
    members(nodes).members.map(({ name }) => name),
    ['b'],
  );
});

for (const [older, younger] of [
  ['10.244.2.0/23', '10.244.3.0/24'],
  ['10.244.3.0/24', '10.244.2.0/23'],
  ['10.244.2.0/24', '10.244.2.0/25'],
  ['10.244.2.0/24', '10.244.2.0/24'],
  ['10.244.2.128/25', '10.244.2.0/24'],
  ['10.244.0.0/16', '10.244.200.0/24'],
] as const) {
  test(`a pod CIDR ${younger} that overlaps ${older} is refused`, () => {
    const { refused } = of(
      { name: 'a', cidrs: [older] },
      { name: 'b', cidrs: [younger], created: '2026-02-01T00:00:00Z' },
    );
    assert.deepEqual(
      refused.map(({ name, reason }) => [name, reason]),
      [['b', 'PodCIDROverlap']],
    );
  });
}

test('neighbouring pod CIDRs do not overlap', () => {
  const cidrs = ['10.244.2.0/24', '10.244.4.0/24', '10.244.3.0/24', '10.244.1.0/24'];
  assert.deepEqual(of(...cidrs.map((cidr, i) => ({ name: `n${i}`, cidrs: [cidr] }))).refused, []);
});

test('a node whose own pod CIDRs overlap is refused', () => {
  assert.equal(
    of({ name: 'a', cidrs: ['10.244.2.0/23', '10.244.2.0/24'] }).refused[0]?.reason,
    'PodCIDROverlap',
  );
});

test('a refused node keeps nothing from others', () => {
  const outside = { name: 'a', cidrs: ['10.9.0.0/24'], key: KEY_A };
  const { members, refused } = of(outside, {
    name: 'b',
    key: KEY_A,
    cidrs: ['10.244.2.0/24'],
    created: '2026-02-01T00:00:00Z',
  });
  assert.deepEqual(
    members.map(({ name }) => name),
    ['b'],
  );
  assert.equal(refused[0]?.reason, 'PodCIDROutsideCluster');
});

test('two nodes cannot have one address, and none inside the pod CIDR', () => {
  assert.equal(
    of({ name: 'a', ips: ['172.18.0.3'] }, { name: 'b', ips: ['172.18.0.3'] }).refused[0]?.reason,
    'DuplicateAddress',
  );
  assert.equal(of({ name: 'a', ips: ['10.244.7.7'] }).refused[0]?.reason, 'InvalidAddress');
});

test('a CiliumInternalIP outside the own pod CIDR is refused', () => {
  const stray = { name: 'a', cidrs: ['10.244.2.0/24'], internal: ['10.244.3.1'] };
  assert.equal(of(stray).refused[0]?.reason, 'InvalidAddress');
});

test('pod CIDRs of a family that is switched off do not count', () => {
  const { members, refused } = of({ name: 'a', cidrs: ['10.244.2.0/24', 'fd01::/64'] });
  assert.deepEqual(refused, []);
  assert.deepEqual(members[0]?.podCIDRs, ['10.244.2.0/24']);
});

function of(...sketches: Sketch[]): Membership {
  return members(sketches.map(object));
}

function members(nodes: NodeObject[]): Membership {
  const { config } = parseConfig({ 'enable-wireguard': 'true' }) as { config: AgentConfig };
  return judge({ config, clusterPodCIDRs: ['10.244.0.0/16'], nodes });
}

function object({
  name,
  created = '2026-01-01T00:00:00Z',
  key,
  ips = [],
  internal = [],
  cidrs = [],
}: Sketch): NodeObject {
  return {
    metadata: {
      name,
      creationTimestamp: created,
      ...(key === undefined ? {} : { annotations: { [PUBLIC_KEY_ANNOTATION]: key } }),
    },
    spec: {
      addresses: [
        ...ips.map(ip => ({ type: 'InternalIP', ip })),
        ...internal.map(ip => ({ type: 'CiliumInternalIP', ip })),
      ],
      ipam: { podCIDRs: cidrs },
    },
  };
}
