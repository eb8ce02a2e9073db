/** Agents, engines and pods of three nodes, encrypted with IPsec, on real packets. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { agentStatus, newKey, settled, withoutLoss } from './epochs.ts';
import { until } from './holder.ts';
import { Rig } from './rig.ts';
import type { RigNode } from './rig-node.ts';

const READY = 'http://127.0.0.1:9879/readyz';

let rig: Rig;
let a: RigNode;
let b: RigNode;
let c: RigNode;
let podA: string;
let podB: string;
let podC: string;
const keys = [newKey(3)];

before(async () => {
  rig = await Rig.up({ workers: 2, config: { 'enable-ipsec': 'true' } });
  [a, b, c] = rig.nodes as [RigNode, RigNode, RigNode];
  for (const node of rig.nodes) {
    node.startEngine();
    node.startAgent();
  }
});
after(() => rig?.down());

test('without a Secret no node is ready, and the sentence says what to create; the guards stand', async () => {
  await until('it says so', async () =>
    /the Secret kube-system\/cilium-ipsec-keys is not there: create it with .*create secret generic/.test(
      (await a.try('curl', '-s', READY)).stdout,
    ),
  );
  const { stdout } = await a.run('sh', '-c', 'ip rule; ip route show table 2110');
  assert.match(stdout, /100:.*blackhole/);
  assert.match(stdout, /unreachable default/);
});

test('with the Secret all nodes come up and seal for each other', async () => {
  await rig.setKeys(keys[0]!);
  await Promise.all(rig.nodes.map(node => node.whenReady()));
  await settled(rig, 'ipsec/3');
  [podA] = (await a.addPod('pod-a')) as [string];
  [podB] = (await b.addPod('pod-b')) as [string];
  [podC] = (await c.addPod('pod-c')) as [string];
});

test('pods of two nodes talk: ESP on cilium_vxlan, nothing readable on the wire', async () => {
  const marker = randomBytes(16);
  const wire = await rig.capture(async () => {
    assert.equal(await a.ping('pod-a', podB, 5, '-p', marker.toString('hex')), 5);
    assert.equal(await a.ping('', podB, 5, '-p', marker.toString('hex')), 5);
  });
  assert.equal(wire.includes(marker), false);
  let isShown = false;
  const filter = 'esp and src 10.244.0.1 and dst 10.244.1.1';
  const shown = b
    .try('timeout', '20', 'tcpdump', '-n', '-l', '-i', 'cilium_vxlan', '-c', '1', filter)
    .finally(() => (isShown = true));
  while (!isShown) assert.equal(await a.ping('pod-a', podB, 1), 1);
  assert.match(
    (await shown).stdout,
    /10\.244\.0\.1 > 10\.244\.1\.1: ESP\(spi=0x00000003,seq=0x[0-9a-f]+\), length \d+/,
  );
});

test("the pods' MTU is Cilium's, and fits", async () => {
  assert.equal((await a.inPod('pod-a', 'cat', '/sys/class/net/eth0/mtu')).stdout.trim(), '1373');
  assert.equal(await a.ping('pod-a', podB, 3, '-M', 'do', '-s', String(1373 - 28)), 3);
});

test('a quiet cluster shows heartbeats through the tunnel', async () => {
  const nodes = await until('the heartbeats of both are answered', async () => {
    const { cluster } = await agentStatus(a);
    return cluster.nodes.length === 3 && cluster.nodes.every(({ reachable }) => reachable) && cluster.nodes;
  });
  assert.deepEqual(nodes.map(({ address }) => address).sort(), ['10.244.1.1', '10.244.2.1', '172.18.0.2']);
});

test('the command line tells of it in the words of Cilium', async () => {
  assert.match((await b.cilium('status')).stdout, /^Encryption: +IPsec$/m);
  assert.match(
    (await b.cilium('encrypt', 'status')).stdout,
    /^Encryption: IPsec {21}\nDecryption interface\(s\): \nKeys in use: 4 {25}\nMax Seq\. Number: 0x[0-9a-f]+\/0xffffffffffffffff\nErrors: 0 {25}\n/,
  );
  const state = JSON.parse((await b.cilium('encrypt', 'status', '-o', 'json')).stdout);
  assert.equal(state.mode, 'IPsec');
  assert.equal(state.ipsec['keys-in-use'], 4);
  const metrics = (await b.run('curl', '-s', 'http://127.0.0.1:9962/metrics')).stdout;
  assert.match(metrics, /^cilium_ipsec_keys 4$/m);
  assert.match(metrics, /^cilium_ipsec_xfrm_states\{direction="in"\} 2$/m);
  assert.match(metrics, /^cilium_ipsec_xfrm_error\{type="inbound",error="no_state"\} \d+$/m);
});

test('both ends have the same keys, no two directions share one, and only dump-xfrm shows them', async () => {
  type State = { encrypt: boolean; src: string; dst: string; spi: number; aead_key: string };
  const dumps = await Promise.all(
    rig.nodes.map(async node => JSON.parse((await node.cilium('encrypt', 'dump-xfrm')).stdout) as State[]),
  );
  const out = dumps.flat().filter(({ encrypt }) => encrypt);
  const inn = dumps.flat().filter(({ encrypt }) => !encrypt);
  assert.equal(out.length, 6);
  assert.equal(new Set(out.map(({ aead_key }) => aead_key)).size, 6);
  for (const { src, dst, spi, aead_key } of out) {
    assert.ok(
      inn.some(
        state => state.src === src && state.dst === dst && state.spi === spi && state.aead_key === aead_key,
      ),
    );
  }
  const everything =
    (await b.cilium('debuginfo', '-o', 'json')).stdout +
    (await b.cilium('status', '-o', 'json')).stdout +
    b.log;
  const secrets = [...dumps.flat().map(({ aead_key }) => aead_key), keys[0]!.split(' ')[2]!];
  for (const secret of secrets) assert.equal(everything.includes(secret.replace(/^0x/, '')), false);
});

test('a rotation loses nothing and ends within 10 s of the patch', async () => {
  keys.push(newKey(4));
  const marker = randomBytes(16).toString('hex');
  let took = 0;
  const wire = await rig.capture(() =>
    withoutLoss(everyWay(), async () => {
      await rig.setKeys(keys[1]!);
      const patched = performance.now();
      await settled(rig, 'ipsec/4');
      took = performance.now() - patched;
      assert.equal(await a.ping('pod-a', podB, 3, '-p', marker), 3);
    }),
  );
  assert.ok(took < 10_000, `${took} ms`);
  assert.equal(wire.includes(Buffer.from(marker, 'hex')), false);
  const { encryption } = await agentStatus(a);
  assert.deepEqual([encryption.ipsec?.['keys-in-use'], encryption.ipsec?.['error-count']], [4, 0]);
});

test('a Secret that cannot be taken changes nothing and is told of everywhere, and a good one mends it', async () => {
  const bad = `5+ rfc4106(gcm(aes)) ${randomBytes(7).toString('hex')} 128`;
  const sentence = /the Secret kube-system\/cilium-ipsec-keys is refused: line 1, field 3: .*hex digits/;
  await withoutLoss(everyWay(), async () => {
    await rig.setKeys(bad);
    await until('the condition is there', async () => sentence.test((await condition(b))?.message ?? ''));
    assert.match((await b.cilium('status')).stdout, sentence);
    const items = await until('Events tell of it', async () => {
      const { items } = (await rig.kube('GET', '/apis/events.k8s.io/v1/events')) as never as {
        items: { reason: string; note: string; regarding: { kind: string } }[];
      };
      const told = items.filter(({ reason, note }) => reason === 'IPsecKeyRefused' && sentence.test(note));
      const kinds = new Set(told.map(({ regarding }) => regarding.kind));
      return kinds.has('CiliumNode') && kinds.has('Secret') && items;
    });
    const everything = JSON.stringify(items) + JSON.stringify(await agentStatus(b)) + b.log;
    assert.equal(everything.includes(bad.split(' ')[2]!), false);
    await settled(rig, 'ipsec/4');
    await rig.setKeys(keys[1]!);
    await until('the condition is gone', async () => (await condition(b)) === undefined);
  });
});

test('the same id with another key is refused, also by an agent that has just started', async () => {
  await rig.setKeys(newKey(4));
  await until('it is refused', async () =>
    /in use with another key/.test((await condition(b))?.message ?? ''),
  );
  await b.kill('agent');
  b.startAgent();
  await b.whenReady();
  await settled(rig, 'ipsec/4');
  await until('it says so', async () =>
    /in use with another key/.test((await agentStatus(b)).encryption.msg),
  );
  assert.equal(await b.ping('pod-b', podA), 3);
  await rig.setKeys(keys[1]!);
  await until('it is taken', async () => (await agentStatus(b)).encryption.msg === '');
});

test('a Secret that is deleted is missed, and nothing else; an agent that starts without it goes on', async () => {
  await withoutLoss(everyWay(), async () => {
    await rig.deleteKeys();
    await until('it is missed', async () => /is not there/.test((await agentStatus(a)).encryption.msg));
    await a.kill('agent');
    a.startAgent();
    await a.whenReady();
    await settled(rig, 'ipsec/4');
  });
  await rig.setKeys(keys[1]!);
  await until('it is taken', async () => (await agentStatus(a)).encryption.msg === '');
});

test('an agent that restarts loses nothing', async () => {
  await withoutLoss(everyWay(), async () => {
    await a.kill('agent', 'SIGTERM');
    await b.kill('agent', 'SIGKILL');
    for (const node of [a, b]) node.startAgent();
    for (const node of [a, b]) await node.whenReady();
    await settled(rig, 'ipsec/4');
  });
});

test('an engine that dies leaks nothing; a new one has a new run, other keys, and traffic soon', async () => {
  const run = async () =>
    (await rig.kube('GET', `/apis/cilium.io/v2/ciliumnodes/${a.name}`))['spec'] as { bootid: string };
  const before = (await run()).bootid;
  const marker = randomBytes(16).toString('hex');
  const wire = await rig.capture(async () => {
    await a.kill('engine');
    assert.equal(await a.ping('pod-a', podB, 5, '-p', marker), 0);
    assert.equal(await b.ping('pod-b', podA, 5, '-p', marker), 0);
    a.startEngine();
    const started = performance.now();
    await until('traffic is back', async () => (await a.ping('pod-a', podB, 1, '-p', marker)) === 1);
    const seconds = (performance.now() - started) / 1000;
    assert.ok(seconds < 6, `back after ${seconds} s`);
  });
  assert.equal(wire.includes(Buffer.from(marker, 'hex')), false);
  assert.notEqual((await run()).bootid, before);
  await settled(rig, 'ipsec/4');
});

test('flushed states come back by themselves', async () => {
  assert.match((await b.cilium('encrypt', 'flush', '--spi', '9')).stdout, /Deleted 0 XFRM states/);
  assert.match(
    (await b.cilium('encrypt', 'flush', '--stale')).stdout,
    /No stale XFRM states or policies found\./,
  );
  assert.match(
    (await b.cilium('encrypt', 'flush', '-f')).stdout,
    /All XFRM states and policies have been deleted\./,
  );
  await until('traffic is back', async () => (await b.ping('pod-b', podC, 1)) === 1);
  await settled(rig, 'ipsec/4');
});

test('a rotation goes on while the API server comes and goes', async () => {
  keys.push(newKey(5));
  await withoutLoss(everyWay(), async () => {
    await rig.setKeys(keys[2]!);
    await rig.withoutApi(async () => {
      for (let i = 0; i < 3; i++) assert.equal(await a.ping('pod-a', podB, 20), 20);
    });
    await settled(rig, 'ipsec/5');
  });
});

test('uninstalling leaves nothing: no states, no annotations', async () => {
  await rig.setConfig({ 'pellicle-uninstall': 'true' });
  const bootId = (await a.run('cat', '/proc/sys/kernel/random/boot_id')).stdout.trim();
  for (const node of rig.nodes) {
    await until(`${node.name} is cleaned up`, async () => {
      const { metadata } = await rig.kube('GET', `/apis/cilium.io/v2/ciliumnodes/${node.name}`);
      return metadata.annotations?.['pellicle.io/cleaned-up'] === bootId;
    });
    const { metadata } = await rig.kube('GET', `/apis/cilium.io/v2/ciliumnodes/${node.name}`);
    assert.deepEqual(Object.keys(metadata.annotations ?? {}), ['pellicle.io/cleaned-up']);
  }
  const { stdout } = await a.run(
    'sh',
    '-c',
    'ip rule; ip route show table all; nft list ruleset; ip -br addr',
  );
  assert.doesNotMatch(stdout, /2110|2112|unreachable|blackhole|pellicle|10\.244\.0\.1\//);
});

function everyWay() {
  return [
    { from: a, pod: 'pod-a', to: podB },
    { from: b, pod: 'pod-b', to: podC },
    { from: c, pod: 'pod-c', to: podA },
  ];
}

async function condition(node: RigNode): Promise<{ message: string } | undefined> {
  const { status } = (await rig.kube('GET', `/apis/cilium.io/v2/ciliumnodes/${node.name}`)) as never as {
    status?: { conditions?: { type: string; message: string }[] };
  };
  return status?.conditions?.find(({ type }) => type === 'IPsecKey');
}
