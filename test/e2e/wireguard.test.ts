/** The main job from end to end: pods of a lab encrypted with WireGuard, with everything killed that can be killed. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Cluster, eventually, pod } from './cluster.ts';
import { say, startPing, watchUnderlay } from './traffic.ts';

const cluster = new Cluster(`e2e-${process.pid}`);
const captures = mkdtempSync(join(tmpdir(), 'pellicle-captures-'));
const captureFile = (name: string) => join(captures, `${name}.pcap`);
let address = '';

before(async () => {
  await cluster.up();
  await cluster.install();
  await cluster.apply(pod('left', cluster.worker));
  await cluster.apply(pod('right', cluster.worker2));
  await cluster.kubectl('wait', '--for=condition=Ready', 'pod/left', 'pod/right', '--timeout=60s');
  address = await cluster.kubectl('get', 'pod', 'right', '--template', '{{.status.podIP}}');
});

after(async () => {
  await cluster.down();
  rmSync(captures, { recursive: true });
});

test('the annotation is the key that the agent reports, and every other node is a peer', async () => {
  const key = await cluster.kubectl(
    'get',
    'ciliumnode',
    cluster.worker2,
    '-o',
    'jsonpath={.metadata.annotations.network\\.cilium\\.io/wg-pub-key}',
  );
  const status = await cluster.agent(cluster.worker2, 'cilium', 'status');
  const row = status.split('\n').find(line => line.startsWith('Encryption:'));
  assert.match(
    row ?? '',
    /^Encryption: +Wireguard +\[NodeEncryption: Disabled, cilium_wg0 \(Pubkey: [A-Za-z0-9+/]{43}=, Port: 51871, Peers: 2\)\]$/,
  );
  assert.ok(row?.includes(`Pubkey: ${key},`), `${row} does not have ${key}`);
});

test('pods reach each other, and what they say is not on the wire', async () => {
  const capture = await watchUnderlay(cluster, captureFile('sealed'));
  const marker = await say(cluster, address);
  const frames = await capture.stop();
  assert.equal(frames.includes(marker), false, 'the marker was seen in clear');
  assert.ok(await capture.count('udp port 51871'), 'no WireGuard datagram was seen');
});

test('a rollout and a kill -9 of agents lose no packet', async () => {
  const ping = await startPing(cluster, address);
  await cluster.kubectl('-n', 'kube-system', 'rollout', 'restart', 'ds/cilium');
  await cluster.kubectl('-n', 'kube-system', 'rollout', 'status', 'ds/cilium', '--timeout=120s');
  for (const node of [cluster.worker, cluster.worker2]) {
    const pids = await cluster.pids(node, 'cilium-agent');
    assert.ok(pids.length > 0, `no agent on ${node}`);
    for (const pid of pids) process.kill(pid, 'SIGKILL');
  }
  await cluster.must('cilium', 'status', '--wait', '--wait-duration', '60s');
  const { sent, received } = await ping.stop();
  assert.ok(sent > 20, `only ${sent} pings were sent`);
  assert.equal(received, sent);
});

test('a killed engine leaks nothing, and traffic comes back', async t => {
  const capture = await watchUnderlay(cluster, captureFile('engine-killed'));
  for (const node of [cluster.worker, cluster.worker2]) {
    const ping = await startPing(cluster, address);
    const pids = await cluster.pids(node, 'pellicle-engine');
    assert.ok(pids.length > 0, `no engine on ${node}`);
    for (const pid of pids) process.kill(pid, 'SIGKILL');
    await ping.beyond(60);
    const { longestGap } = await ping.stop();
    t.diagnostic(`${node}: its engine killed, no answer for ${longestGap.toFixed(2)} s at the longest`);
  }
  await capture.stop();
  // A kubelet goes on probing pods to which it has no way any more, and the lab's way out may answer in their name.
  const leaked = await capture.count('src net 10.244.0.0/16 and dst net 10.244.0.0/16');
  assert.equal(leaked, 0, 'packets from pods were seen on the underlay');
});

test('a pod that goes by the NodePort of its own node gets its answer, sealed', async () => {
  const selector = { app: 'web' };
  const web = pod('web', cluster.worker2) as { metadata: { labels: object }; spec: { containers: object[] } };
  web.metadata.labels = selector;
  web.spec.containers = [{ name: 'nginx', image: 'nginx' }];
  await cluster.apply(web);
  await cluster.apply({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'default' },
    spec: { type: 'NodePort', selector, ports: [{ port: 80, nodePort: 30080 }] },
  });
  await cluster.kubectl('wait', '--for=condition=Ready', 'pod/web', '--timeout=60s');
  const capture = await watchUnderlay(cluster, captureFile('nodeport'));
  for (const url of ['http://172.18.0.3:30080', 'http://web.default.svc.cluster.local']) {
    await eventually(`an answer from ${url}`, async () => {
      const page = await cluster.kubectl('exec', 'left', '--', 'curl', '-s', '-m', '2', url);
      return page.includes('nginx');
    });
  }
  await capture.stop();
  // A kubelet goes on probing pods to which it has no way any more, and the lab's way out may answer in their name.
  const leaked = await capture.count('src net 10.244.0.0/16 and dst net 10.244.0.0/16');
  assert.equal(leaked, 0, 'packets from pods were seen on the underlay');
  await cluster.kubectl('delete', 'pod/web', 'service/web');
});

test('every pod of a crowd gets an address of its own, and none leaks', async () => {
  const crowd = 12;
  const nodes = [cluster.worker, cluster.worker2];
  for (let round = 0; round < 2; round++) {
    const items = nodes.flatMap(node =>
      Array.from({ length: crowd }, (_, i) => pod(`crowd-${node}-${i}`, node)),
    );
    await cluster.apply({ apiVersion: 'v1', kind: 'List', items });
    const names = nodes.flatMap(node => Array.from({ length: crowd }, (_, i) => `pod/crowd-${node}-${i}`));
    await cluster.kubectl('wait', '--for=condition=Ready', '--timeout=120s', ...names);
    const addresses = (await cluster.kubectl('get', 'pods', '-o', 'jsonpath={.items[*].status.podIP}')).split(
      ' ',
    );
    assert.equal(addresses.length, 2 * crowd + 2);
    assert.equal(new Set(addresses).size, addresses.length);
    await cluster.kubectl('delete', '--wait=true', ...names);
  }
  for (const node of nodes) {
    const links = await cluster.agent(node, 'ip', '-o', 'link', 'show', 'type', 'veth');
    assert.equal(links.split('\n').filter(line => / lxc/.test(line)).length, 1, links);
  }
});

test('with encryption off the same look at the wire does find the marker, and on again it does not', async () => {
  await cluster.must('cilium', 'upgrade', '--reuse-values', '--set', 'encryption.enabled=false', '--wait');
  const open = await watchUnderlay(cluster, captureFile('open'));
  const seen = await eventually('traffic with encryption off', async () => say(cluster, address));
  assert.ok(
    (await open.stop()).includes(seen),
    'the control did not find its marker: the capture proves nothing',
  );

  await cluster.must('cilium', 'upgrade', '--reuse-values', '--set', 'encryption.enabled=true', '--wait');
  await eventually('traffic with encryption on again', async () => say(cluster, address));
  const sealed = await watchUnderlay(cluster, captureFile('sealed-again'));
  const hidden = await say(cluster, address);
  assert.equal((await sealed.stop()).includes(hidden), false, 'the marker was seen in clear');
});

test('uninstall and install again, while pods go on sending', async () => {
  await cluster.must('cilium', 'uninstall', '--wait');
  const { code } = await cluster.try('kubectl', 'get', 'ciliumnodes');
  assert.notEqual(code, 0);
  const capture = await watchUnderlay(cluster, captureFile('installed-again'));
  const sender = cluster.spawn('kubectl', 'exec', 'left', '--', 'ping', '-i', '0.01', address);
  await cluster.install();
  sender.kill();
  await capture.stop();
  // A kubelet goes on probing pods to which it has no way any more, and the lab's way out may answer in their name.
  const leaked = await capture.count('src net 10.244.0.0/16 and dst net 10.244.0.0/16');
  assert.equal(leaked, 0, 'packets from pods were seen on the underlay');
  await eventually('traffic after a new installation', async () => say(cluster, address));
});
