/** The other half of the main job: pods encrypted with IPsec, keys that change under traffic, types that change too. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Cluster, eventually, pod } from './cluster.ts';
import { say, startPing, watchUnderlay } from './traffic.ts';

const cluster = new Cluster(`ipsec-${process.pid}`);
const captures = mkdtempSync(join(tmpdir(), 'pellicle-captures-'));
const captureFile = (name: string) => join(captures, `${name}.pcap`);
const SECRET = ['-n', 'kube-system', 'secret', 'cilium-ipsec-keys'];
let address = '';

before(async () => {
  await cluster.up();
  const flags = ['--set', 'encryption.enabled=true', '--set', 'encryption.type=ipsec'];
  const early = await cluster.try('cilium', 'install', ...flags);
  assert.equal(early.code, 1);
  assert.match(early.stderr, /make it first with cilium encryption create-key/);
  await cluster.must('cilium', 'encryption', 'create-key');
  await cluster.install(...flags);
  await cluster.apply(pod('left', cluster.worker));
  await cluster.apply(pod('right', cluster.worker2));
  await cluster.kubectl('wait', '--for=condition=Ready', 'pod/left', 'pod/right', '--timeout=60s');
  address = await cluster.kubectl('get', 'pod', 'right', '--template', '{{.status.podIP}}');
});

after(async () => {
  await cluster.down();
  rmSync(captures, { recursive: true });
});

const keyStatus = async () =>
  JSON.parse(await cluster.must('cilium', 'encryption', 'key-status', '-o', 'json')) as {
    id: number;
    algorithm: string;
    fingerprint: string;
  };
const agents = async () =>
  JSON.parse(await cluster.must('cilium', 'encryption', 'status', '-o', 'json')) as Record<string, unknown>;
const events = async (reason: string) =>
  cluster.kubectl(
    'get',
    'events',
    '-A',
    '--field-selector',
    `reason=${reason}`,
    '-o',
    'jsonpath={.items[*].note}{.items[*].message}',
  );
const internal = async (node: string) =>
  cluster.kubectl(
    'get',
    'ciliumnode',
    node,
    '-o',
    "jsonpath={.spec.addresses[?(@.type=='CiliumInternalIP')].ip}",
  );
const change = (...set: string[]) =>
  cluster.must('cilium', 'upgrade', '--reuse-values', '--wait', ...set.flatMap(value => ['--set', value]));
/** What was written while this ran: nothing of it on the wire but inside vxlan. */
async function unseen(name: string, what: () => Promise<unknown>): Promise<void> {
  const capture = await watchUnderlay(cluster, captureFile(name));
  await what();
  const marker = await say(cluster, address);
  assert.equal((await capture.stop()).includes(marker), false, 'the marker was seen in clear');
  assert.equal(await capture.count('net 10.244.0.0/16'), 0, 'pod addresses were seen on the underlay');
}

test('ESP between the CiliumInternalIPs on both sides of cilium_vxlan, UDP 8472 and nothing else on the wire', async () => {
  const [a, b] = await Promise.all([internal(cluster.worker), internal(cluster.worker2)]);
  const watch = (node: string) =>
    cluster.agent(
      node,
      'timeout',
      '10',
      'tcpdump',
      '-n',
      '-c',
      '10',
      '-i',
      'cilium_vxlan',
      `esp and host ${a} and host ${b}`,
    );
  const ping = await startPing(cluster, address);
  const seen = await Promise.all([watch(cluster.worker), watch(cluster.worker2)]);
  for (const lines of seen)
    for (const [source, destination] of [
      [a, b],
      [b, a],
    ])
      assert.ok(lines.includes(`IP ${source} > ${destination}: ESP(spi=0x00000001,seq=0x`), lines);
  await ping.stop();

  const capture = await watchUnderlay(cluster, captureFile('sealed'));
  const marker = await say(cluster, address);
  assert.equal((await capture.stop()).includes(marker), false, 'the marker was seen in clear');
  assert.ok(await capture.count('udp port 8472'), 'no vxlan was seen');
  assert.equal(await capture.count('net 10.244.0.0/16 or esp'), 0, 'pod packets were seen outside vxlan');
});

test('keys and algorithms change under a ping that loses nothing', async t => {
  const ping = await startPing(cluster, address);
  await unseen('rotated', async () => {
    for (const [id, ...algorithm] of [
      [2],
      [3, '--auth-algo', 'cbc-aes-sha256'],
      [4, '--auth-algo', 'rfc4106-gcm-aes-256'],
      [5, '--auth-algo', 'rfc7539esp-chacha20-poly1305'],
    ] as const) {
      const began = performance.now();
      const said = await cluster.must(
        'cilium',
        'encryption',
        'rotate-key',
        ...algorithm,
        '--wait',
        '--timeout',
        '60s',
      );
      t.diagnostic(`key ${id} everywhere after ${((performance.now() - began) / 1000).toFixed(1)} s`);
      assert.match(said, new RegExp(`new key SPI: ${id}\nEvery node seals with key ${id}, `));
      await ping.beyond(5);
    }
  });
  const { sent, received } = await ping.stop();
  assert.equal(received, sent);
  assert.equal((await keyStatus()).algorithm, 'rfc7539esp(chacha20,poly1305)');
  const { 'ipsec-key-rotation-in-progress': moving, 'ipsec-err-count': errors, ...rest } = await agents();
  assert.equal(moving, false);
  assert.equal(errors, 0);
  assert.deepEqual(rest['ipsec-keys-in-use-node-count'], { '4': 3 });
});

test('a bad Secret is told everywhere, a missing one too, and neither harms what is in use', async () => {
  const ping = await startPing(cluster, address);
  const good = await cluster.kubectl('get', ...SECRET, '-o', 'jsonpath={.data.keys}');
  const key = Buffer.from(good, 'base64').toString();
  const hex = key.split(' ')[2] ?? '';
  const patch = (keys: string) =>
    cluster.kubectl('patch', ...SECRET, '-p', JSON.stringify({ stringData: { keys } }));
  for (const [bad, why] of [
    [key.slice(0, -3), /the length of the tag|too few fields|no tag of/],
    [key.replace(/^5\+/, '16+'), /the key id is 16/],
    [key.replace(hex, hex.replace(/^../, hex.startsWith('00') ? '01' : '00')), /in use with another key/],
    [`6+ rfc4106(gcm(aes)) ${'0f1e2d3c4b'.repeat(4)} 128`, /is shorter than key 5/],
  ] as const) {
    await patch(bad);
    const told = await eventually('cilium status tells of the bad key', async () => {
      const { stdout } = await cluster.try('cilium', 'status');
      return why.test(stdout) && stdout;
    });
    assert.match(told, /Cilium: +\d error/);
    assert.ok(!told.includes(bad.split(' ')[2] ?? '?'), 'the status has key material');
  }
  await patch(key);
  await cluster.must('cilium', 'status', '--wait', '--wait-duration', '30s');

  await cluster.kubectl('delete', ...SECRET);
  await eventually('cilium status tells of the missing Secret', async () =>
    (await cluster.try('cilium', 'status')).stdout.includes(
      'there is no Secret kube-system/cilium-ipsec-keys',
    ),
  );
  assert.equal((await cluster.try('cilium', 'encryption', 'rotate-key')).code, 1);
  const again = await cluster.must(
    'cilium',
    'encryption',
    'create-key',
    '--auth-algo',
    'rfc4106-gcm-aes-256',
  );
  assert.match(again, /new key SPI: 6$/);
  await eventually(
    'all nodes seal with the key of the new Secret',
    async () => (await agents())['ipsec-key-rotation-in-progress'] === false,
  );
  await cluster.must('cilium', 'status', '--wait', '--wait-duration', '30s');
  const { sent, received } = await ping.stop();
  assert.equal(received, sent);
  const logs = await cluster.kubectl('-n', 'kube-system', 'logs', '-l', 'k8s-app=cilium', '--tail=-1');
  assert.ok(!logs.includes(hex), 'a log has key material');
});

test('the operator rotates by use and by age', async () => {
  const ping = await startPing(cluster, address);
  // With a fresh key: else it would be due at once.
  await cluster.must('cilium', 'encryption', 'rotate-key', '--wait', '--timeout', '60s');
  await change('encryption.ipsec.keyPacketLimit=9000');
  const { id } = await keyStatus();
  const wear = cluster.spawn('kubectl', 'exec', 'left', '--', 'ping', '-q', '-f', '-c', '9500', address);
  const ended = once(wear, 'close');
  const worn = await eventually('a new key because of use', async () => {
    const now = await keyStatus();
    return now.id !== id && now;
  });
  await ended;
  assert.match(await events('KeyRotationStarted'), /comes to its end/);
  await change('encryption.ipsec.keyPacketLimit=0', 'encryption.ipsec.keyRotationInterval=30s');
  const { id: before } = await keyStatus();
  await eventually('a new key because of age', async () => (await keyStatus()).id !== before, 90);
  assert.match(await events('KeyRotationStarted'), /the key is \d+ s old, of 30 at the most/);
  await change('encryption.ipsec.keyRotationInterval=');
  await eventually(
    'the rotation is done',
    async () => (await agents())['ipsec-key-rotation-in-progress'] === false,
  );
  const { sent, received } = await ping.stop();
  assert.equal(received, sent);
  assert.notEqual(worn.id, id);
});

test('to WireGuard and back, off and on, under a ping that loses nothing', async () => {
  const engines = async () =>
    (
      await Promise.all([cluster.worker, cluster.worker2].map(node => cluster.pids(node, 'pellicle-engine')))
    ).flat();
  const running = await engines();
  const ping = await startPing(cluster, address);
  await unseen('types', async () => {
    await change('encryption.type=wireguard');
    await ping.beyond(5);
    await change('encryption.type=ipsec');
    await ping.beyond(5);
  });
  assert.deepEqual(await engines(), running, 'an engine was started anew');
  await change('encryption.enabled=false');
  await ping.beyond(5);
  const open = await watchUnderlay(cluster, captureFile('open'));
  const marker = await say(cluster, address);
  assert.ok(
    (await open.stop()).includes(marker),
    'the control did not find its marker: captures prove nothing',
  );
  await change('encryption.enabled=true');
  await unseen('on-again', () => ping.beyond(5));
  const { sent, received } = await ping.stop();
  assert.equal(received, sent);
});

test('uninstall leaves nothing but the Secret', async () => {
  await cluster.must('cilium', 'uninstall', '--wait');
  for (const node of [cluster.worker, cluster.worker2, `${cluster.name}-control-plane`]) {
    const status = JSON.parse(
      await cluster.must('pellicle', 'lab', 'status', '--name', cluster.name, '-o', 'json'),
    ) as {
      nodes: { name: string; pid: number }[];
    };
    const inside = ['nsenter', '-t', String(status.nodes.find(({ name }) => name === node)?.pid), '-a'];
    const links = await cluster.must(inside[0]!, ...inside.slice(1), 'ip', '-o', 'link');
    assert.doesNotMatch(links, /cilium_/, `${node} still has devices`);
    const rules = await cluster.must(inside[0]!, ...inside.slice(1), 'ip', 'rule');
    assert.doesNotMatch(rules, /lookup 211|blackhole/, `${node} still has rules`);
  }
  await cluster.kubectl('get', ...SECRET);
  await cluster.install('--set', 'encryption.type=ipsec');
  await eventually('traffic after a new installation', async () => say(cluster, address));
});
