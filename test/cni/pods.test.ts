/** Pods through the shim: wiring, addresses, parallel and repeated calls. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { hostInterfaceName } from '../../src/cni/endpoint.ts';
import { deleteNetns } from '../../src/linux/netns.ts';
import { type Answer, DUAL, type Pod, TestNode, V4 } from './node.ts';

test('two pods of a node reach each other, the node and nobody by ARP, over both families', async t => {
  const node = await TestNode.create(t);
  await node.serve(DUAL);
  const [a, b] = [await node.pod(t), await node.pod(t)];
  const first = await node.call('ADD', a);
  const second = await node.call('ADD', b);
  assert.equal(first.status, 0, first.stdout);
  const host = hostInterfaceName(a.id, 'eth0');
  const { interfaces, ...rest } = first.json;
  assert.deepEqual(
    interfaces?.map(({ mac: _mac, ...each }) => each),
    [
      { name: host, mtu: 1420 },
      { name: 'eth0', mtu: 1420, sandbox: a.netns },
    ],
  );
  assert.deepEqual(rest, {
    cniVersion: '1.1.0',
    ips: [
      { address: '10.244.1.2/32', gateway: '10.244.1.1', interface: 1 },
      { address: 'fd00:10:244:1::2/128', gateway: 'fd00:10:244:1::1', interface: 1 },
    ],
    routes: [
      { dst: '10.244.1.1/32' },
      { dst: '0.0.0.0/0', gw: '10.244.1.1' },
      { dst: 'fd00:10:244:1::1/128' },
      { dst: '::/0', gw: 'fd00:10:244:1::1' },
    ],
    dns: {},
  });
  using inside = node.rtnetlink.inNetns(a.netns);
  const eth0 = await inside.link('eth0');
  assert.deepEqual([eth0?.mac, eth0?.mtu], [interfaces?.[1]?.mac, 1420]);
  const link = await node.rtnetlink.link(host);
  assert.equal(link?.alias, `pellicle:${a.id}:eth0:10.244.1.2,fd00:10:244:1::2:default/${a.id}`);
  for (const { address } of second.json.ips!) ping(a, address.split('/')[0]!);
  for (const gateway of DUAL.gateways) ping(a, gateway);
  const learned = (await inside.neighbours()).filter(
    ({ state }) => state !== 'permanent' && state !== 'noarp',
  );
  assert.deepEqual(learned, []);
});

test('a pod cannot send with the address of another', async t => {
  const node = await TestNode.create(t);
  await node.serve(V4);
  const [a, b] = [await node.pod(t), await node.pod(t)];
  await node.call('ADD', a);
  await node.call('ADD', b);
  using inside = node.rtnetlink.inNetns(a.netns);
  ping(a, '10.244.1.3');
  await inside.replaceAddress({ address: '10.244.1.77/32', device: 'eth0' });
  const forged = spawnSync('nsenter', [
    `--net=${a.netns}`,
    'ping',
    '-c1',
    '-W1',
    '-I10.244.1.77',
    '10.244.1.3',
  ]);
  assert.equal(forged.status, 1);
});

test('ADD twice is an error and leaves the first as it is; DEL twice is none', async t => {
  const node = await TestNode.create(t);
  await node.serve(V4);
  const pod = await node.pod(t);
  assert.equal((await node.call('ADD', pod)).status, 0);
  const again = await node.call('ADD', pod);
  assert.deepEqual([again.status, again.json.code], [1, 100], again.stdout);
  ping(pod, '10.244.1.1');
  for (let i = 0; i < 2; i++) {
    const del = await node.call('DEL', pod);
    assert.deepEqual([del.status, del.stdout], [0, '']);
  }
  assert.deepEqual((await node.attached()).links, []);
});

test('ADD fails when the pod has such an interface, and touches nothing', async t => {
  const node = await TestNode.create(t);
  await node.serve(V4);
  const pod = await node.pod(t);
  using inside = node.rtnetlink.inNetns(pod.netns);
  const foreign = await inside.addLink({ kind: 'veth', name: 'eth0', peer: { name: 'other' } });
  const answer = await node.call('ADD', pod);
  assert.deepEqual([answer.status, answer.json.code], [1, 100], answer.stdout);
  assert.equal((await inside.link('eth0'))?.mac, foreign.mac);
  assert.deepEqual((await node.attached()).links, []);
});

test('DEL succeeds when the namespace is gone, or was never there', async t => {
  const node = await TestNode.create(t);
  await node.serve(V4);
  const pod = await node.pod(t);
  await node.call('ADD', pod);
  await deleteNetns(pod.netns);
  assert.equal((await node.call('DEL', pod)).status, 0);
  assert.equal((await node.call('DEL', pod, {}, { CNI_NETNS: undefined })).status, 0);
  assert.equal((await node.call('DEL', { id: 'never', netns: '/nowhere' })).status, 0);
  assert.deepEqual((await node.attached()).links, []);
});

test('twenty pods at once, ten times: every one gets its address, none leaks', async t => {
  const node = await TestNode.create(t);
  await node.serve(V4);
  const pods = await Promise.all(Array.from({ length: 20 }, () => node.pod(t)));
  const times: number[] = [];
  let last = new Set<string>();
  for (let round = 0; round < 10; round++) {
    const answers = await Promise.all(pods.map(pod => node.call('ADD', pod)));
    for (const answer of answers) assert.equal(answer.status, 0, answer.stdout);
    const addresses = new Set(answers.map(addressOf));
    assert.equal(addresses.size, pods.length, 'no address twice');
    assert.deepEqual(
      [...addresses].filter(address => last.has(address)),
      [],
      'none is reused at once',
    );
    assert.deepEqual((await node.attached()).routes, [...addresses].sort());
    last = addresses;
    times.push(...answers.map(({ milliseconds }) => milliseconds));
    const gone = await Promise.all(pods.map(pod => node.call('DEL', pod)));
    for (const answer of gone) assert.equal(answer.status, 0, answer.stdout);
    assert.deepEqual(await node.attached(), { links: [], routes: [] });
  }
  times.sort((x, y) => x - y);
  t.diagnostic(
    `ADD, twenty at once: median ${times[100]?.toFixed(1)} ms, longest ${times.at(-1)?.toFixed(1)} ms`,
  );
});

test('one ADD and its DEL, in milliseconds', async t => {
  const node = await TestNode.create(t);
  await node.serve(DUAL);
  const pod = await node.pod(t);
  const add: number[] = [];
  for (let i = 0; i < 20; i++) {
    add.push((await node.call('ADD', pod)).milliseconds);
    await node.call('DEL', pod);
  }
  add.sort((x, y) => x - y);
  t.diagnostic(
    `ADD through the shim: median ${add[10]?.toFixed(1)} ms, longest ${add.at(-1)?.toFixed(1)} ms`,
  );
  assert.ok(add[10]! < 100, 'far from a second even on a busy machine');
});

test('commands for one container wait for each other', async t => {
  const node = await TestNode.create(t);
  await node.serve(V4);
  const pod = await node.pod(t);
  const commands = Array.from({ length: 20 }, (_, i) => node.call(i % 2 ? 'DEL' : 'ADD', pod));
  const answers = await Promise.all(commands);
  for (const { json } of answers)
    assert.ok(json.code === undefined || json.code === 100, JSON.stringify(json));
  await node.call('DEL', pod);
  assert.equal((await node.call('ADD', pod)).status, 0);
  assert.equal((await node.attached()).links.length, 1);
});

test('a node without free addresses says so and recovers', async t => {
  const node = await TestNode.create(t);
  await node.serve({ podCIDRs: ['10.244.1.0/30'], gateways: ['10.244.1.1'], mtu: 1420 });
  const [a, b] = [await node.pod(t), await node.pod(t)];
  assert.equal((await node.call('ADD', a)).status, 0);
  const full = await node.call('ADD', b);
  assert.equal(full.json.code, 101);
  assert.match(full.json.msg!, /all addresses of 10\.244\.1\.0\/30 are in use: delete pods/);
  await node.call('DEL', a);
  assert.equal(addressOf(await node.call('ADD', b)), '10.244.1.2/32');
});

test('an address and a MAC can be asked for', async t => {
  const node = await TestNode.create(t);
  await node.serve(V4);
  const [a, b] = [await node.pod(t), await node.pod(t)];
  const runtimeConfig = { ips: ['10.244.1.200/24'], mac: '02:00:00:00:00:2a' };
  const answer = await node.call('ADD', a, { runtimeConfig });
  assert.equal(addressOf(answer), '10.244.1.200/32');
  assert.equal(answer.json.interfaces?.[1]?.mac, '02:00:00:00:00:2a');
  ping(a, '10.244.1.1');
  const taken = await node.call('ADD', b, { runtimeConfig });
  assert.equal(taken.json.code, 101, taken.stdout);
  const outside = await node.call('ADD', b, { runtimeConfig: { ips: ['10.9.9.9'] } });
  assert.equal(outside.json.code, 101, outside.stdout);
});

test('in a chain the previous result comes first', async t => {
  const node = await TestNode.create(t);
  await node.serve(V4);
  const prevResult = {
    cniVersion: '1.1.0',
    interfaces: [{ name: 'other0' }],
    ips: [{ address: '192.0.2.9/24', interface: 0 }],
  };
  const answer = await node.call('ADD', await node.pod(t), { prevResult });
  assert.deepEqual(
    answer.json.ips?.map(ip => [ip.address, ip.interface]),
    [
      ['192.0.2.9/24', 0],
      ['10.244.1.2/32', 2],
    ],
  );
});

function ping(pod: Pod, address: string): void {
  execFileSync('nsenter', [`--net=${pod.netns}`, 'ping', '-c1', '-W2', address], { stdio: 'pipe' });
}

function addressOf({ json, stdout }: Answer): string {
  assert.ok(json.ips?.[0], stdout);
  return json.ips[0].address;
}
