import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeClient } from '../kube/client.ts';
import { ApiError } from '../kube/errors.ts';
import type { CiliumNode, KubeObject, Node } from '../kube/types.ts';
import { type AgentConfig, type ConfigData, parseConfig } from '../model/config.ts';
import { isRefusal, readNode } from '../model/node.ts';
import { type OwnNode, ownNode, publishOwnNode, saying, sayingAgain } from './own-node.ts';

const KEY = Buffer.alloc(32, 7).toString('base64');

function advertisement(data: ConfigData = {}, more: Partial<OwnNode> = {}): OwnNode {
  const { config } = parseConfig({ 'enable-wireguard': 'true', ...data }) as { config: AgentConfig };
  return {
    node: { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n', uid: 'u1' } } as Node,
    self: {
      ...{ name: 'n', podCIDRs: ['10.244.1.0/24'], addresses: ['172.18.0.3'], optedOut: false },
      underlay: { devices: ['eth0'], mtu: 1500 },
    },
    config,
    said: { incarnation: 'b1', text: 'serial=1' },
    ...more,
  };
}

test('what is published is what the others read', () => {
  const read = readNode(ownNode(advertisement({}, { publicKey: KEY })));
  assert.ok(!isRefusal(read));
  assert.deepEqual(
    [read.addresses, read.internal, read.podCIDRs, read.publicKey, read.sealsNode, read.bootId],
    [['172.18.0.3'], ['10.244.1.1'], ['10.244.1.0/24'], KEY, false, 'b1'],
  );
});

test('node encryption is told of only together with a key, and not when opted out', () => {
  const on = { 'encrypt-node': 'true' };
  const key = (more: Partial<OwnNode>) => ownNode(advertisement(on, more)).spec.encryption?.key;
  assert.equal(key({ publicKey: KEY }), 255);
  assert.equal(key({}), 0);
  assert.equal(key({ publicKey: KEY, self: { ...advertisement().self, optedOut: true } }), 0);
});

test('pod CIDRs that the operator hands out are left to it', () => {
  assert.equal('ipam' in ownNode(advertisement({ ipam: 'cluster-pool' })).spec, false);
});

test('the object belongs to its Node', () => {
  assert.deepEqual(ownNode(advertisement()).metadata.ownerReferences, [
    { apiVersion: 'v1', kind: 'Node', name: 'n', uid: 'u1' },
  ]);
});

test('it is written when it differs, and only then', async () => {
  const applied: KubeObject[] = [];
  const client = {
    apply: async (_: unknown, object: KubeObject) => void applied.push(object),
  } as unknown as KubeClient;
  const wanted = ownNode(advertisement({}, { publicKey: KEY }));
  assert.equal(await publishOwnNode(client, undefined, wanted), 'written');
  const there = structuredClone({
    ...wanted,
    status: {},
    spec: { ...wanted.spec, health: { ipv4: '1.2.3.4' } },
  }) as CiliumNode;
  there.metadata.annotations!['someone/else'] = 'x';
  assert.equal(await publishOwnNode(client, there, wanted), 'unchanged');
  for (const change of [
    (node: CiliumNode) => delete node.metadata.annotations!['network.cilium.io/wg-pub-key'],
    (node: CiliumNode) => (node.metadata.annotations!['pellicle.io/cleaned-up'] = 'b1'),
    (node: CiliumNode) => (node.metadata.annotations!['pellicle.io/epochs'] = 'serial=0'),
    (node: CiliumNode) => (node.metadata.annotations!['pellicle.io/key-due'] = 'ipsec/3'),
    (node: CiliumNode) => (node.spec.bootid = 'b0'),
    (node: CiliumNode) => node.spec.addresses!.pop(),
    (node: CiliumNode) => (node.metadata.ownerReferences = []),
  ]) {
    const differs = structuredClone(there);
    change(differs);
    assert.equal(await publishOwnNode(client, differs, wanted), 'written');
  }
  assert.equal(applied.length, 8);
});

test('it is written over the object that was seen and no other', async () => {
  const seen: unknown[] = [];
  const client = {
    apply: async (_: unknown, { metadata }: KubeObject) => {
      seen.push(metadata.resourceVersion);
      throw new ApiError({ code: 409, reason: 'Conflict', message: 'the object has been modified' });
    },
  } as unknown as KubeClient;
  const wanted = ownNode(advertisement({}, { publicKey: KEY }));
  const there = { ...ownNode(advertisement()), metadata: { name: 'n', resourceVersion: '7' } };
  assert.equal(await publishOwnNode(client, there, wanted), 'overtaken');
  assert.deepEqual(seen, ['7']);
});

test('epochs and their run are written together, or again as they stand', () => {
  const incarnation = '11111111-2222-3333-4444-555555555555';
  const said = saying({ incarnation, serial: 2, opens: ['wireguard'], seals: [], refuses: [] });
  const object = ownNode(advertisement({}, { said, keyId: 3 }));
  assert.equal(object.spec.bootid, incarnation);
  assert.equal(object.spec.encryption?.key, 3);
  assert.deepEqual(sayingAgain(object, 'another run'), { incarnation, text: 'serial=2 opens=wireguard' });
  assert.deepEqual(sayingAgain(undefined, 'another run'), { incarnation: 'another run' });
});
