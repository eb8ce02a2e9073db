/** The same without encryption: it works, and everything that the encrypted cluster hides can be seen. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { settled, withoutLoss } from './epochs.ts';
import { until } from './holder.ts';
import { Rig } from './rig.ts';
import type { RigNode } from './rig-node.ts';

let rig: Rig;
let a: RigNode;
let b: RigNode;
let podB: string;

before(async () => {
  rig = await Rig.up({ workers: 1, config: {} });
  [a, b] = rig.nodes as [RigNode, RigNode];
  for (const node of rig.nodes) node.startAgent();
  await Promise.all(rig.nodes.map(node => node.whenReady()));
  await a.addPod('pod-a');
  [podB] = (await b.addPod('pod-b')) as [string];
  await until('traffic flows', async () => (await a.ping('pod-a', podB, 1)) === 1);
});
after(() => rig?.down());

test('pods of two nodes talk by vxlan, and the wire shows what they say', async () => {
  const marker = randomBytes(16);
  const wire = await rig.capture(async () => {
    assert.equal(await a.ping('pod-a', podB, 3, '-p', marker.toString('hex')), 3);
  });
  assert.equal(wire.includes(marker), true);
});

test('a large packet fits the tunnel', async () => {
  assert.equal(await a.ping('pod-a', podB, 2, '-M', 'do', '-s', String(1450 - 28)), 2);
});

test('what comes in by the underlay is delivered here: the guard belongs to encryption', async () => {
  await rig.onSwitch(`ip addr add 10.244.2.77/32 dev lo && ip route add 10.244.1.0/24 via ${b.addresses[0]}`);
  await b.listen('pod-b');
  await rig.onSwitch(`ping -n -c 3 -i 0.2 -W 1 -I 10.244.2.77 ${podB} || true`);
  await until('it is heard', async () => b.printed('listener').includes('10.244.2.77 > '));
  await b.kill('listener');
});

test('a pod that nobody has is unreachable, not sent away', async () => {
  const wire = await rig.capture(async () => {
    const marker = randomBytes(16).toString('hex');
    assert.equal(await a.ping('pod-a', '10.244.200.9', 1, '-p', marker), 0);
  });
  assert.equal(wire.includes(Buffer.from([10, 244, 200, 9])), false);
});

test('the status says that nothing is encrypted', async () => {
  assert.match((await a.cilium('status')).stdout, /^Encryption: +Disabled$/m);
  assert.equal((await a.cilium('encrypt', 'status')).stdout, 'Encryption: Disabled                  \n');
});

test('encryption switched on while the cluster runs takes over without a gap, and nothing is in the clear any more', async () => {
  await withoutLoss([{ from: a, pod: 'pod-a', to: podB }], async () => {
    await rig.setConfig({ 'enable-wireguard': 'true' });
    await until('it waits for an engine', async () => (await a.cilium('status')).stdout.includes('engine'));
    for (const node of rig.nodes) node.startEngine();
    await settled(rig, 'wireguard');
  });
  await until(
    'its device is gone',
    async () => (await a.try('ip', 'link', 'show', 'cilium_vxlan')).code !== 0,
  );
  const marker = randomBytes(16);
  const wire = await rig.capture(async () => {
    assert.equal(await a.ping('pod-a', podB, 3, '-p', marker.toString('hex')), 3);
  });
  assert.equal(wire.includes(marker), false);
});
