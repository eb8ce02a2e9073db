/** The agent is killed in the middle of things: nothing leaks, nothing that was whole is touched. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { deleteNetns, pinNetns } from '../../src/linux/netns.ts';
import { DUAL, TestNode, V4 } from './node.ts';

const STEPS = [
  'veth',
  'host-settings',
  'pod-address',
  'pod-routes',
  'host-routes',
  'commit',
  'hook',
  'answer',
];

for (const step of STEPS) {
  test(`killed before the step "${step}" of an ADD`, async t => {
    const node = await TestNode.create(t);
    await node.serve(DUAL);
    const [old, pod] = [await node.pod(t), await node.pod(t)];
    const kept = (await node.call('ADD', old)).json.ips!.map(({ address }) => address);
    await node.kill();

    await node.serve(DUAL, step);
    const broken = await node.call('ADD', pod);
    assert.deepEqual([broken.status, broken.json.code], [1, 11], broken.stdout);
    await node.serverGone();
    execFileSync('nsenter', [`--net=${old.netns}`, 'ping', '-c1', '-W2', '10.244.1.1'], { stdio: 'pipe' });

    await node.serve(DUAL);
    assert.equal((await node.call('DEL', pod)).status, 0);
    assert.deepEqual((await node.attached()).routes, kept, 'as before');
    const again = await node.call('ADD', pod);
    assert.equal(again.status, 0, again.stdout);
    assert.equal((await node.attached()).links.length, 2);
    await node.call('DEL', pod);
    await node.call('DEL', old);
    assert.deepEqual(await node.attached(), { links: [], routes: [] });
  });
}

test('what the runtime never deletes, a restart or GC removes', async t => {
  const node = await TestNode.create(t);
  for (const step of ['pod-address', 'answer']) {
    await node.serve(V4, step);
    await node.call('ADD', await node.pod(t));
    await node.serverGone();
  }
  await node.serve(V4);
  assert.equal((await node.attached()).links.length, 1, 'the half-made one is gone, the whole one is there');
  const collected = await node.call('GC', {}, { 'cni.dev/valid-attachments': [] });
  assert.equal(collected.status, 0, collected.stdout);
  assert.deepEqual(await node.attached(), { links: [], routes: [] });
});

test('a restart forgets no address, and pods stay reachable meanwhile', async t => {
  const node = await TestNode.create(t);
  await node.serve(V4);
  const pods = await Promise.all(Array.from({ length: 5 }, () => node.pod(t)));
  for (const pod of pods.slice(0, 3)) await node.call('ADD', pod);
  await node.call('DEL', pods[1]!);
  await node.kill();
  execFileSync('nsenter', [`--net=${pods[0]!.netns}`, 'ping', '-c1', '-W2', '10.244.1.4'], { stdio: 'pipe' });
  await node.serve(V4);
  const next = await node.call('ADD', pods[3]!);
  assert.equal(next.json.ips?.[0]?.address, '10.244.1.5/32');
  assert.deepEqual((await node.attached()).routes, ['10.244.1.2/32', '10.244.1.4/32', '10.244.1.5/32']);
  const again = await node.call('ADD', pods[0]!);
  assert.equal(again.json.code, 100, 'it is known as before');
});

test('on SIGTERM the socket goes and the pods stay', async t => {
  const node = await TestNode.create(t);
  await node.serve(V4);
  const pod = await node.pod(t);
  await node.call('ADD', pod);
  await node.kill('SIGTERM');
  const down = await node.call('DEL', pod);
  assert.deepEqual([down.status, down.json.code], [1, 11]);
  assert.match(down.json.details!, /No such file/);
  assert.equal((await node.attached()).links.length, 1);
});

test('without an agent, DEL of a pod whose namespace is gone succeeds, and its address is free again', async t => {
  const node = await TestNode.create(t);
  assert.equal((await node.deleteOnNode({ id: 'never' })).status, 0);
  const one = { podCIDRs: ['10.244.1.0/30'], gateways: ['10.244.1.1'], mtu: 1420 };
  await node.serve(one);
  const [pod, next] = [await node.pod(t), await node.pod(t)];
  assert.equal((await node.call('ADD', pod)).status, 0);
  await node.kill();
  assert.equal((await node.deleteOnNode(pod)).json.code, 11, 'the namespace is there');
  const { netns, ...nameless } = pod;
  assert.equal((await node.deleteOnNode(nameless)).json.code, 11, 'it is there, though not told');

  const elsewhere = `${netns}-elsewhere`;
  t.after(() => deleteNetns(elsewhere));
  await pinNetns(netns, elsewhere);
  await deleteNetns(netns);
  assert.equal((await node.deleteOnNode(pod)).json.code, 11, 'it lives on under another name');
  await deleteNetns(elsewhere);
  const deadline = Date.now() + 20_000;
  while ((await node.attached()).links.length > 0) {
    assert.ok(Date.now() < deadline, 'the kernel ends the namespace');
    await new Promise(resolve => setTimeout(resolve, 20));
  }
  for (const gone of [pod, nameless]) {
    const { status, stdout } = await node.deleteOnNode(gone);
    assert.deepEqual([status, stdout], [0, '']);
  }
  await node.serve(one);
  assert.equal((await node.call('ADD', next)).status, 0, 'the one address is free');
});
