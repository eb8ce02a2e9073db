/** IPv6 beside IPv4, and the nodes' own traffic sealed too. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Cluster, eventually, pod } from './cluster.ts';
import { say, watchUnderlay } from './traffic.ts';

const cluster = new Cluster(`dual-${process.pid}`);
const captures = mkdtempSync(join(tmpdir(), 'pellicle-captures-'));
let addresses: string[] = [];

before(async () => {
  await cluster.up('--ip-family', 'dual');
  await cluster.install('--set', 'ipv6.enabled=true', '--set', 'encryption.nodeEncryption=true');
  await cluster.apply(pod('left', cluster.worker));
  await cluster.apply(pod('right', cluster.worker2));
  await cluster.kubectl('wait', '--for=condition=Ready', 'pod/left', 'pod/right', '--timeout=60s');
  const ips = await cluster.kubectl('get', 'pod', 'right', '-o', 'jsonpath={.status.podIPs[*].ip}');
  addresses = ips.split(' ');
});

after(async () => {
  await cluster.down();
  rmSync(captures, { recursive: true });
});

test('both families are sealed', async () => {
  assert.equal(addresses.length, 2);
  for (const [index, address] of addresses.entries()) {
    const capture = await watchUnderlay(cluster, join(captures, `family-${index}.pcap`));
    const marker = await say(cluster, address);
    assert.equal(
      (await capture.stop()).includes(marker),
      false,
      `the marker was seen in clear to ${address}`,
    );
    assert.ok(await capture.count('udp port 51871'), 'no WireGuard datagram was seen');
  }
});

test('workers seal what they say themselves, the control plane has opted out', async () => {
  const encryption = async (node: string) =>
    /NodeEncryption: (\w+)/.exec(await cluster.agent(node, 'cilium', 'status'))?.[1];
  assert.equal(await encryption(cluster.worker), 'Enabled');
  assert.equal(await encryption(`${cluster.name}-control-plane`), 'OptedOut');

  const capture = await watchUnderlay(cluster, join(captures, 'nodes.pcap'));
  await eventually('the workers reach each other', async () =>
    cluster.agent(cluster.worker, 'ping', '-c', '3', '-i', '0.2', '172.18.0.4'),
  );
  await cluster.agent(cluster.worker, 'ping', '-c', '3', '-i', '0.2', '172.18.0.2');
  await capture.stop();
  assert.equal(await capture.count('icmp and host 172.18.0.3 and host 172.18.0.4'), 0);
  assert.ok(
    await capture.count('icmp and host 172.18.0.3 and host 172.18.0.2'),
    'the capture sees no ICMP at all',
  );
});

test('a pod that is on no node is unreachable, and not by the default route', async () => {
  const capture = await watchUnderlay(cluster, join(captures, 'nobody.pcap'));
  for (const nobody of ['10.244.77.7', 'fd00:10:244:77::7']) {
    const { code } = await cluster.try('kubectl', 'exec', 'left', '--', 'ping', '-c', '2', '-W', '1', nobody);
    assert.equal(code, 1, `${nobody} answered`);
  }
  await capture.stop();
  assert.equal(await capture.count('net 10.244.0.0/16 or net fd00:10:244::/48'), 0);
});
