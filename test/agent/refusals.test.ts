/** What the agent says, and how it ends, when a node cannot do what is asked for. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { until } from './holder.ts';
import { Rig } from './rig.ts';
import type { RigNode } from './rig-node.ts';

let rig: Rig;
let node: RigNode;

before(async () => {
  rig = await Rig.up({ workers: 0, config: { 'enable-wireguard': 'true' } });
  [node] = rig.nodes as [RigNode];
});
after(() => rig?.down());

test('a taken UDP port: one sentence with the remedy, exit code 1, nothing done', async () => {
  const { pid } = node.spawn('thief', process.execPath, [
    '-e',
    "require('dgram').createSocket('udp4').bind(51871)",
  ]);
  await until('the port is taken', async () => (await node.run('ss', '-uln')).stdout.includes(':51871'));
  node.startAgent();
  assert.equal(await node.ended('agent'), 1);
  assert.match(
    node.log,
    /UDP port 51871 is taken by another program: find it with "ss -ulpn sport = :51871" and stop it\n/,
  );
  const { stdout } = await node.run('sh', '-c', 'ip rule; ip -br link; ls /run/cni');
  assert.doesNotMatch(stdout, /2110|cilium|conflist/);
  assert.ok(pid);
  await node.kill('thief');
});

test('a missing capability: one sentence with the remedy, exit code 1', async () => {
  node.spawn('agent', 'capsh', ['--drop=cap_net_admin', '--', '-c', `exec ${node.agentCommand().join(' ')}`]);
  assert.equal(await node.ended('agent'), 1);
  assert.match(node.log, /CAP_NET_ADMIN.*NET_ADMIN/);
});

test('a second agent on the node is turned away', async () => {
  node.startEngine();
  node.startAgent();
  await node.whenReady();
  const { code, stderr } = await node.try(node.agentCommand()[0]!, ...node.agentCommand().slice(1));
  assert.equal(code, 1);
  assert.match(stderr, /another agent answers on .*cilium.sock: only one can run on a node/);
});

test('a bad cilium-config: the agent says what to write, and goes on once it is written', async () => {
  await rig.setConfig({ 'enable-wireguard': 'maybe' });
  await until('the status tells', async () => {
    const { cilium } = (await node.status()) as { cilium: { state: string; msg: string } };
    return (
      cilium.state === 'Warning' && /enable-wireguard is "maybe": write "true" or "false"/.test(cilium.msg)
    );
  });
  await rig.setConfig({ 'enable-wireguard': 'true' });
  await until(
    'all is well',
    async () => ((await node.status()) as { cilium: { state: string } }).cilium.state === 'Ok',
  );
});

test('without an agent the command line says what to look at', async () => {
  await node.kill('agent');
  const { code, stderr } = await node.cilium('status').then(
    () => assert.fail('it answered'),
    (error: { code: number; stderr: string }) => error,
  );
  assert.equal(code, 1);
  assert.match(
    stderr,
    /^Error: the agent does not run on this node .*kubectl -n kube-system get pods -l k8s-app=cilium/,
  );
});
