/** What goes wrong on a node while its pods talk: nothing of theirs is in the clear, it is told, and it mends. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { until } from './holder.ts';
import { Rig } from './rig.ts';
import type { RigNode } from './rig-node.ts';

let rig: Rig;
let a: RigNode;
let b: RigNode;
let podB: string;

before(async () => {
  rig = await Rig.up({ workers: 1, config: { 'enable-wireguard': 'true' } });
  [a, b] = rig.nodes as [RigNode, RigNode];
  await rig.startAll();
  await a.addPod('pod-a');
  [podB] = (await b.addPod('pod-b')) as [string];
  await talking();
});
after(() => rig?.down());

test('rules and routes that somebody removes while no agent runs open nothing', async () => {
  await a.kill('agent');
  await a.run('ip', 'rule', 'del', 'pref', '110');
  await a.run('ip', 'route', 'flush', 'table', '2110');
  const marker = randomBytes(16);
  const wire = await rig.capture(async () => {
    assert.equal(await a.ping('pod-a', podB, 5, '-p', marker.toString('hex')), 0);
    assert.equal(await a.ping('', podB, 5, '-p', marker.toString('hex')), 0);
  });
  assert.equal(wire.includes(marker), false);
  a.startAgent();
  await a.whenReady();
  await talking();
});

test('a peer or a key that somebody takes from the engine is put back within seconds', async () => {
  const key = (await b.run('wg', 'show', 'cilium_wg0', 'public-key')).stdout.trim();
  const has = async (what: string, text: string) =>
    (await a.run('wg', 'show', 'cilium_wg0', what)).stdout.includes(text);
  await a.whileAgentStands(async () => {
    await a.run('wg', 'set', 'cilium_wg0', 'peer', key, 'remove');
    assert.equal(await has('peers', key), false);
  });
  await until('the peer is back', () => has('peers', key), 9000);
  const own = (await a.run('wg', 'show', 'cilium_wg0', 'public-key')).stdout.trim();
  await a.whileAgentStands(async () => {
    await a.run('wg', 'set', 'cilium_wg0', 'private-key', '/dev/null');
    assert.equal(await has('public-key', own), false);
  });
  await until('the key is back', () => has('public-key', own), 9000);
  await talking();
});

test('without an engine a node is not ready but alive; with a taken port it says which, and by an Event', async () => {
  await a.kill('engine');
  await until('it says so', async () =>
    /the WireGuard engine at .* is not there/.test((await a.try('curl', '-s', READY)).stdout),
  );
  assert.notEqual((await a.try('curl', '-sf', READY)).code, 0);
  assert.equal((await a.try('curl', '-sf', 'http://127.0.0.1:9879/healthz')).code, 0);

  a.spawn('thief', process.execPath, ['-e', "require('dgram').createSocket('udp4').bind(51871)"]);
  await until('the port is taken', async () => (await a.run('ss', '-uln')).stdout.includes(':51871'));
  a.startEngine();
  const told = /UDP port 51871 of this node is taken: stop what listens on it \(ss -lunp 'sport = :51871'\)/;
  await until('it says so', async () => told.test((await a.try('curl', '-s', READY)).stdout));
  await until('an Event says so', async () => {
    const { items } = (await rig.kube('GET', '/apis/events.k8s.io/v1/events')) as never as {
      items: { reason: string; note: string; regarding: { kind: string; name: string } }[];
    };
    return items.some(
      ({ reason, note, regarding }) =>
        reason === 'PortTaken' &&
        told.test(note) &&
        regarding.kind === 'CiliumNode' &&
        regarding.name === a.name,
    );
  });

  await a.kill('thief');
  await until('it is ready', async () => (await a.try('curl', '-sf', READY)).code === 0, 8000);
  await talking();
});

test('pods that outlive an uninstall are connected again behind the guards, and not before an install', async () => {
  const bootId = (await a.run('cat', '/proc/sys/kernel/random/boot_id')).stdout.trim();
  const marker = randomBytes(16);
  const ping = ['ping', '-n', '-q', '-i', '0.01', '-p', marker.toString('hex'), podB];
  a.spawn('sender', 'ip', ['netns', 'exec', 'pod-a', ...ping]);
  const events = a.spawn('monitor', 'sh', ['-c', 'exec ip -o monitor link rule >> /run/monitor']);
  const wire = await rig.capture(async () => {
    await rig.setConfig({ 'pellicle-uninstall': 'true' });
    for (const node of rig.nodes) {
      await until(`${node.name} is cleaned up`, async () => {
        const { metadata } = await rig.kube('GET', `/apis/cilium.io/v2/ciliumnodes/${node.name}`);
        return metadata.annotations?.['pellicle.io/cleaned-up'] === bootId;
      });
    }

    await a.run('truncate', '-s', '0', '/run/monitor');
    await a.kill('agent');
    a.startAgent();
    await until('the new agent found it so', async () =>
      /everything of ours is off this node/.test(a.log.split('cilium-agent starts').at(-1)!),
    );
    assert.doesNotMatch(await monitored(), UP);

    for (const node of rig.nodes) {
      await node.kill('agent');
      await node.kill('engine');
    }
    await rig.setConfig({ 'pellicle-uninstall': 'false' });
    for (const node of rig.nodes) {
      node.startEngine();
      node.startAgent();
    }
    await Promise.all(rig.nodes.map(node => node.whenReady()));
    await talking();
  });
  await a.kill('sender');
  assert.equal(wire.includes(marker), false);
  const lines = (await monitored()).split('\n');
  const guarded = lines.findIndex(line => /^(?!Deleted).*lookup 2110/.test(line));
  const up = lines.findIndex(line => UP.test(line));
  assert.ok(guarded !== -1 && guarded < up, lines.join('\n'));
  assert.equal(events.exitCode, null);
});

const READY = 'http://127.0.0.1:9879/readyz';
/** `ip monitor` of a pod's link on the host that is set up. */
const UP = /lxc[^<]*<[^>]*\bUP\b/;

async function monitored(): Promise<string> {
  return (await a.run('cat', '/run/monitor')).stdout;
}

async function talking(): Promise<void> {
  await until('traffic flows', async () => (await a.ping('pod-a', podB, 1)) === 1);
}
