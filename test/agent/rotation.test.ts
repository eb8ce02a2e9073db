/** What happens to a cluster in the middle of a rotation, and what brings one about: nothing is lost that need not be. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { agentStatus, newKey, settled, withoutLoss } from './epochs.ts';
import { until } from './holder.ts';
import { Rig } from './rig.ts';
import type { RigNode } from './rig-node.ts';

let rig: Rig;
let a: RigNode;
let b: RigNode;
let c: RigNode;
let podA: string;
let podB: string;

before(async () => {
  rig = await Rig.up({ workers: 2, config: { 'enable-ipsec': 'true' } });
  [a, b, c] = rig.nodes as [RigNode, RigNode, RigNode];
  await rig.setKeys(newKey(3));
  // The third comes later.
  for (const node of [a, b]) {
    node.startEngine();
    node.startAgent();
  }
  await Promise.all([a, b].map(node => node.whenReady()));
  [podA] = (await a.addPod('pod-a')) as [string];
  [podB] = (await b.addPod('pod-b')) as [string];
  await until('traffic flows', async () => (await a.ping('pod-a', podB, 1)) === 1);
});
after(() => rig?.down());

test('a node that joins in mid-rotation takes part in it', async () => {
  await withoutLoss(bothWays(), async () => {
    await rig.setKeys(newKey(4));
    c.startEngine();
    c.startAgent();
    await c.whenReady();
    await settled(rig, 'ipsec/4');
  });
  await c.addPod('pod-c');
  await until('traffic flows', async () => (await c.ping('pod-c', podA, 1)) === 1);
});

test('a node that comes back with a new run in mid-rotation does, too, and the others lose nothing', async () => {
  await withoutLoss(bothWays(), async () => {
    await rig.setKeys(newKey(5));
    await Promise.all([c.kill('agent'), c.kill('engine')]);
    c.startEngine();
    c.startAgent();
    await c.whenReady();
    await settled(rig, 'ipsec/5');
  });
  await until('traffic flows', async () => (await c.ping('pod-c', podA, 1)) === 1);
});

test('two rotations at once come to the second key', async () => {
  await withoutLoss(bothWays(), async () => {
    await rig.setKeys(newKey(6));
    await rig.setKeys(newKey(7));
    await settled(rig, 'ipsec/7');
  });
});

test('a rotation to another algorithm is one like any other', async () => {
  const hex = (bytes: number) => Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))).toString('hex');
  await withoutLoss(bothWays(), async () => {
    await rig.setKeys(`8+ hmac(sha256) ${hex(32)} cbc(aes) ${hex(32)}`);
    await settled(rig, 'ipsec/8');
    await rig.setKeys(`9+ rfc4106(gcm(aes)) ${hex(36)} 128`);
    await settled(rig, 'ipsec/9');
  });
  const { encryption } = await agentStatus(a);
  assert.equal(encryption.ipsec?.key?.algorithm, 'rfc4106(gcm(aes)) 256');
  assert.equal(encryption.ipsec['error-count'], 0);
});

test('a key that has sealed as much as it should is told of in the CiliumNode, until there is another', async () => {
  const due = async () =>
    (await rig.kube('GET', `/apis/cilium.io/v2/ciliumnodes/${a.name}`)).metadata.annotations?.[
      'pellicle.io/key-due'
    ];
  assert.equal(await due(), undefined);
  await withoutLoss(bothWays(), async () => {
    await rig.setConfig({ 'ipsec-key-packet-limit': '100' });
    await until('a new key is asked for', async () => (await due())?.startsWith('ipsec/9/'));
    assert.match(
      (await a.run('curl', '-s', 'http://127.0.0.1:9962/metrics')).stdout,
      /^cilium_ipsec_key_due 1$/m,
    );
    await rig.setConfig({ 'ipsec-key-packet-limit': '0' });
    await rig.setKeys(newKey(10));
    await until('it is refused, as it is shorter', async () =>
      /is shorter/.test((await agentStatus(a)).encryption.msg),
    );
    const long = Buffer.from(crypto.getRandomValues(new Uint8Array(36))).toString('hex');
    await rig.setKeys(`10+ rfc4106(gcm(aes)) ${long} 128`);
    await settled(rig, 'ipsec/10');
    await until('nothing is asked for any more', async () => (await due()) === undefined);
  });
});

test('what somebody does to the annotation of a node harms nobody, and is put right', async () => {
  const path = `/apis/cilium.io/v2/ciliumnodes/${a.name}`;
  const epochs = async () => (await rig.kube('GET', path)).metadata.annotations?.['pellicle.io/epochs'];
  await withoutLoss(bothWays(), async () => {
    for (const text of ['nonsense', null, 'serial=0 opens=none seals=none']) {
      const body = { metadata: { annotations: { 'pellicle.io/epochs': text } } };
      await rig.kube('PATCH', path, body, 'application/merge-patch+json');
      await until('it is put right', async () => /^serial=\d+ opens=ipsec\/10/.test((await epochs()) ?? ''));
    }
    await settled(rig, 'ipsec/10');
  });
});

test('without the watcher a new key is taken when the agents start', async () => {
  await rig.setConfig({ 'enable-ipsec-key-watcher': 'false' });
  await until('all know', async () => {
    const configs = await Promise.all(rig.nodes.map(node => node.status('/v1/config')));
    return configs.every(config => (config['ipsec'] as { keyWatcher: boolean }).keyWatcher === false);
  });
  const long = Buffer.from(crypto.getRandomValues(new Uint8Array(36))).toString('hex');
  await withoutLoss(bothWays(), async () => {
    await rig.setKeys(`11+ rfc4106(gcm(aes)) ${long} 128`);
    await settled(rig, 'ipsec/10');
    for (const node of rig.nodes) {
      await node.kill('agent');
      node.startAgent();
      await node.whenReady();
    }
    await settled(rig, 'ipsec/11');
  });
});

function bothWays() {
  return [
    { from: a, pod: 'pod-a', to: podB },
    { from: b, pod: 'pod-b', to: podA },
  ];
}
