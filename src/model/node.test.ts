import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canonicalKey, isRefusal, PUBLIC_KEY_ANNOTATION, readNode } from './node.ts';

const KEY = Buffer.alloc(32, 7).toString('base64');

test('a whole CiliumNode is read', () => {
  const node = readNode({
    metadata: {
      name: 'n',
      creationTimestamp: '2026-01-01T00:00:00Z',
      annotations: { [PUBLIC_KEY_ANNOTATION]: KEY },
    },
    spec: {
      bootid: 'b',
      addresses: [
        { type: 'InternalIP', ip: 'fd00:0172:18::3' },
        { type: 'InternalIP', ip: '172.18.0.3' },
        { type: 'Hostname', ip: 'n' },
        { type: 'CiliumInternalIP', ip: '10.244.1.1' },
      ],
      encryption: { key: 255 },
      ipam: { podCIDRs: ['10.244.1.0/24'] },
    },
  });
  assert.deepEqual(node, {
    name: 'n',
    created: '2026-01-01T00:00:00Z',
    addresses: ['172.18.0.3', 'fd00:172:18::3'],
    internal: ['10.244.1.1'],
    podCIDRs: ['10.244.1.0/24'],
    publicKey: KEY,
    sealsNode: true,
    bootId: 'b',
  });
});

test('without InternalIP the ExternalIP is the address', () => {
  const node = readNode({
    metadata: { name: 'n' },
    spec: { addresses: [{ type: 'ExternalIP', ip: '192.0.2.1' }] },
  });
  assert.deepEqual(isRefusal(node) || node.addresses, ['192.0.2.1']);
});

for (const spec of [
  undefined,
  null,
  7,
  [],
  { addresses: 'x', ipam: [], encryption: 'y' },
  { addresses: [null, 3] },
]) {
  test(`a spec of ${JSON.stringify(spec)} is a node that has published nothing`, () => {
    const node = readNode({ metadata: { name: 'n' }, spec });
    assert.ok(!isRefusal(node));
    assert.deepEqual([node.addresses, node.podCIDRs, node.publicKey], [[], [], undefined]);
  });
}

for (const key of [
  'x',
  KEY.slice(1),
  `${KEY}=`,
  Buffer.alloc(32).toString('base64'),
  `${'A'.repeat(42)}B=`,
  `${KEY}\n`,
]) {
  test(`the key ${JSON.stringify(key)} is refused`, () => {
    const node = readNode({ metadata: { name: 'n', annotations: { [PUBLIC_KEY_ANNOTATION]: key } } });
    assert.ok(isRefusal(node) && node.reason === 'InvalidPublicKey');
    assert.equal(canonicalKey(key), undefined);
  });
}

test('an empty annotation is no advertisement, and no fault', () => {
  const node = readNode({ metadata: { name: 'n', annotations: { [PUBLIC_KEY_ANNOTATION]: '' } } });
  assert.ok(!isRefusal(node) && node.publicKey === undefined);
});

for (const ip of [
  '127.0.0.1',
  '0.0.0.0',
  '224.0.0.1',
  '255.255.255.255',
  'fe80::1',
  '::1',
  '::',
  '::ffff:1.2.3.4',
  '1.2.3',
  7,
]) {
  test(`the node address ${ip} is refused`, () => {
    const node = readNode({ metadata: { name: 'n' }, spec: { addresses: [{ type: 'InternalIP', ip }] } });
    assert.ok(isRefusal(node) && node.reason === 'InvalidAddress');
  });
}

for (const cidr of ['10.244.1.1/24', '10.244.1.0', 'banana', 7, '10.244.1.0/33']) {
  test(`the pod CIDR ${cidr} is refused`, () => {
    const node = readNode({ metadata: { name: 'n' }, spec: { ipam: { podCIDRs: [cidr] } } });
    assert.ok(isRefusal(node) && node.reason === 'InvalidPodCIDR');
  });
}

test('a refusal quotes no more than a line of what it was given', () => {
  const node = readNode({ metadata: { name: 'n' }, spec: { ipam: { podCIDRs: ['x'.repeat(5000)] } } });
  assert.ok(isRefusal(node) && node.message.length < 300);
});
