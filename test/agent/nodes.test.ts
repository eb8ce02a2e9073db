/** Both address families, and the nodes' own traffic sealed as well. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { until } from './holder.ts';
import { Rig } from './rig.ts';
import type { RigNode } from './rig-node.ts';

let rig: Rig;
let master: RigNode;
let a: RigNode;
let b: RigNode;
let podB: string[];

before(async () => {
  rig = await Rig.up({
    workers: 2,
    dual: true,
    config: { 'enable-wireguard': 'true', 'encrypt-node': 'true' },
  });
  [master, a, b] = rig.nodes as [RigNode, RigNode, RigNode];
  await rig.startAll();
  await a.addPod('pod-a');
  podB = await b.addPod('pod-b');
});
after(() => rig?.down());

for (const [family, index] of [
  ['IPv4', 0],
  ['IPv6', 1],
] as const) {
  test(`${family} between pods is sealed`, async () => {
    await until('traffic flows', async () => (await a.ping('pod-a', podB[index]!, 1)) === 1);
    assert.equal(await seen(() => a.ping('pod-a', podB[index]!, 3, '-p', marker)), false);
  });

  test(`${family} between nodes is sealed`, async () => {
    await until('traffic flows', async () => (await a.ping('', b.addresses[index]!, 1)) === 1);
    assert.equal(await seen(() => a.ping('', b.addresses[index]!, 3, '-p', marker)), false);
  });

  test(`${family} from a pod to another node is sealed`, async () => {
    assert.equal(await seen(() => a.ping('pod-a', b.addresses[index]!, 3, '-p', marker)), false);
  });

  test(`${family} to the control plane, which opted out, is not`, async () => {
    assert.equal(await seen(() => a.ping('', master.addresses[index]!, 3, '-p', marker)), true);
  });
}

test('who takes part is told by CiliumNode and status', async () => {
  const key = async (node: RigNode) => {
    const { spec } = await rig.kube('GET', `/apis/cilium.io/v2/ciliumnodes/${node.name}`);
    return (spec as { encryption: { key: number } }).encryption.key;
  };
  assert.deepEqual([await key(master), await key(a), await key(b)], [0, 255, 255]);
  assert.match((await master.cilium('status')).stdout, /NodeEncryption: OptedOut/);
  assert.match((await a.cilium('status')).stdout, /NodeEncryption: Enabled/);
});

const marker = randomBytes(16).toString('hex');

/** Whether the marker was in the clear on the wire, while all was answered. */
async function seen(ping: () => Promise<number>): Promise<boolean> {
  const wire = await rig.capture(async () => {
    assert.equal(await ping(), 3);
  });
  return wire.includes(Buffer.from(marker, 'hex'));
}
