/** A live cluster changes its mind: from any protocol to any other, and back, without losing a packet. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { newKey, settled, withoutLoss } from './epochs.ts';
import { until } from './holder.ts';
import { Rig } from './rig.ts';
import type { RigNode } from './rig-node.ts';

let rig: Rig;
let a: RigNode;
let b: RigNode;
let podA: string;
let podB: string;

const ON = {
  wireguard: { 'enable-wireguard': 'true', 'enable-ipsec': 'false' },
  ipsec: { 'enable-wireguard': 'false', 'enable-ipsec': 'true' },
  none: { 'enable-wireguard': 'false', 'enable-ipsec': 'false' },
};

before(async () => {
  rig = await Rig.up({ workers: 1, config: ON.wireguard });
  [a, b] = rig.nodes as [RigNode, RigNode];
  await rig.setKeys(newKey(3));
  await rig.startAll();
  [podA] = (await a.addPod('pod-a')) as [string];
  [podB] = (await b.addPod('pod-b')) as [string];
  await settled(rig, 'wireguard');
});
after(() => rig?.down());

const MOVES = [
  { to: 'ipsec', epoch: 'ipsec/3', mtu: '1373', sealed: true },
  { to: 'wireguard', epoch: 'wireguard', mtu: '1420', sealed: true },
  { to: 'none', epoch: 'none', mtu: '1450', sealed: false },
  { to: 'ipsec', epoch: 'ipsec/3', mtu: '1373', sealed: true },
  { to: 'none', epoch: 'none', mtu: '1450', sealed: false },
  { to: 'wireguard', epoch: 'wireguard', mtu: '1420', sealed: true },
] as const;

for (const [i, { to, epoch, mtu, sealed }] of MOVES.entries()) {
  test(`${i + 1}: to ${to}`, async () => {
    const ways = [
      { from: a, pod: 'pod-a', to: podB },
      { from: b, pod: 'pod-b', to: podA },
    ];
    const marker = randomBytes(16).toString('hex');
    const answers = (...options: string[]) =>
      until('a ping is answered', async () => (await a.ping('pod-a', podB, 1, ...options)) === 1);
    await withoutLoss(ways, async () => {
      await rig.setConfig(ON[to]);
      await settled(rig, epoch);
      const wire = await rig.capture(async () => {
        await answers('-p', marker);
      });
      assert.equal(wire.includes(Buffer.from(marker, 'hex')), !sealed);
    });
    await until('the interface of the pod follows', async () => {
      return (await a.inPod('pod-a', 'cat', '/sys/class/net/eth0/mtu')).stdout.trim() === mtu;
    });
    await answers('-M', 'do', '-s', String(Number(mtu) - 28));
  });
}

test('what the cluster was asked for before leaves nothing behind', async () => {
  const { metadata } = await rig.kube('GET', `/apis/cilium.io/v2/ciliumnodes/${a.name}`);
  assert.match(
    metadata.annotations?.['pellicle.io/epochs'] ?? '',
    /^serial=\d+ opens=wireguard seals=wireguard$/,
  );
  await until('it is taken away', async () => {
    const { stdout } = await a.run(
      'sh',
      '-c',
      'ip rule; ip route show table all; ip -br addr show cilium_esp0',
    );
    return !/2112|10\.244\.0\.1\/32.*esp0|cilium_vxlan/.test(stdout);
  });
});
