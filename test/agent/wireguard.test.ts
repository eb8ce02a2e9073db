/** Agents, engines and pods of three nodes, encrypted with WireGuard, on real packets. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { until } from './holder.ts';
import { Rig } from './rig.ts';
import type { RigNode } from './rig-node.ts';

let rig: Rig;
let a: RigNode;
let b: RigNode;
let c: RigNode;
let podA: string;
let podB: string;

before(async () => {
  rig = await Rig.up({ workers: 2, config: { 'enable-wireguard': 'true' } });
  [a, b, c] = rig.nodes as [RigNode, RigNode, RigNode];
  await rig.startAll();
  for (const node of rig.nodes) await peersRouted(node, 2);
});
after(() => rig?.down());

test('the tunnel is silent before there are pods', async () => {
  const { stdout, stderr } = await b.try('timeout', '4', 'tcpdump', '-n', '-i', 'cilium_wg0', '-c', '1');
  assert.match(stderr, /listening on/);
  assert.equal(stdout.trim(), '');
});

test('the CiliumNode advertises the key of the device', async () => {
  const { metadata, spec } = await ciliumNode(b);
  const { stdout } = await b.run('wg', 'show', 'cilium_wg0', 'public-key');
  assert.equal(metadata.annotations?.['network.cilium.io/wg-pub-key'], stdout.trim());
  assert.deepEqual((spec as { ipam: unknown }).ipam, { podCIDRs: b.podCIDRs });
  const mode = (await b.run('stat', '-c', '%a %s', '/run/cilium/state/cilium_wg0.key')).stdout.trim();
  assert.equal(mode, '600 32');
});

test('pods of two nodes talk, and the wire shows only WireGuard', async () => {
  [podA] = (await a.addPod('pod-a')) as [string];
  [podB] = (await b.addPod('pod-b')) as [string];
  const marker = randomBytes(16);
  const wire = await rig.capture(async () => {
    assert.equal(await a.ping('pod-a', podB, 5, '-p', marker.toString('hex')), 5);
  });
  assert.equal(wire.includes(marker), false);
  assert.ok(wireguardDatagrams(wire) >= 10, `${wireguardDatagrams(wire)} WireGuard datagrams`);
});

test('a CiliumEndpoint tells of each pod, and goes with it', async () => {
  const path = '/apis/cilium.io/v2/namespaces/default/ciliumendpoints/pod-c';
  await rig.kube('POST', '/api/v1/namespaces/default/pods', podObject('pod-c', c));
  const [address] = await c.addPod('pod-c');
  const found = await until('the CiliumEndpoint', () => rig.kube('GET', path).catch(() => undefined));
  assert.deepEqual(found['status'] && (found['status'] as { networking: unknown }).networking, {
    addressing: [{ ipv4: address }],
    node: c.addresses[0],
  });
  await c.deletePod('pod-c');
  await until('the CiliumEndpoint goes', () =>
    rig.kube('GET', path).then(
      () => false,
      () => true,
    ),
  );
});

test('what a node sends to a pod elsewhere, and the answers, are sealed too', async () => {
  const marker = randomBytes(16);
  const wire = await rig.capture(async () => {
    const { stdout } = await c.try(
      'ping',
      '-c',
      '3',
      '-i',
      '0.1',
      '-W',
      '1',
      '-p',
      marker.toString('hex'),
      podB,
    );
    assert.match(stdout, /3 received/);
  });
  assert.equal(wire.includes(marker), false);
});

test('a pod reaches the world with the address of its node', async () => {
  assert.equal(await a.ping('pod-a', '172.18.0.1'), 3);
});

test('a packet that comes in unsealed is not delivered, whoever it says it is from', async () => {
  const sources = ['10.244.2.77', '203.0.113.9'];
  const addresses = sources.map(source => `ip addr add ${source}/32 dev lo`).join(' && ');
  await rig.onSwitch(`${addresses} && ip route add 10.244.1.0/24 via ${b.addresses[0]}`);
  await b.listen('pod-b');
  for (const source of sources) {
    await rig.onSwitch(`ping -n -c 3 -i 0.2 -W 1 -I ${source} ${podB} || true`);
  }
  // Whatever came before this is heard when this is.
  assert.equal(await a.ping('pod-a', podB, 1), 1);
  await until('it is heard', async () => b.printed('listener').includes(`${podA} > ${podB}`));
  await b.kill('listener');
  for (const source of sources) assert.ok(!b.printed('listener').includes(source), b.printed('listener'));
});

test('no packet is lost to an agent that restarts, politely or not', async () => {
  const pinging = b.inPod('pod-b', 'ping', '-n', '-c', '100', '-i', '0.05', '-W', '1', podA);
  await a.kill('agent', 'SIGTERM');
  a.startAgent();
  await a.whenReady();
  await b.kill('agent', 'SIGKILL');
  b.startAgent();
  await b.whenReady();
  assert.match((await pinging).stdout, /100 received/);
});

test('a restarted agent finds everything right, touches nothing, and says once that it is back', async () => {
  const logged = a.log.split('cilium-agent starts').at(-1)!;
  assert.doesNotMatch(logged, /(added|removed|made|set|up|changed)"/);
  assert.ok((logged.match(/written"/g) ?? []).length <= 1, logged);
});

test('an engine that dies leaks nothing, and traffic is back soon after it is', async () => {
  const marker = randomBytes(16);
  const wire = await rig.capture(async () => {
    await a.kill('engine');
    assert.equal(await a.ping('pod-a', podB, 5, '-p', marker.toString('hex')), 0);
    assert.equal(await b.ping('pod-b', podA, 5, '-p', marker.toString('hex')), 0);
    a.startEngine();
    const started = performance.now();
    await until(
      'traffic is back',
      async () => (await a.ping('pod-a', podB, 1, '-p', marker.toString('hex'))) === 1,
    );
    const seconds = (performance.now() - started) / 1000;
    assert.ok(seconds < 3, `back after ${seconds} s`);
  });
  assert.equal(wire.includes(marker), false);
});

test('a guard that somebody removes is put back', async () => {
  await a.run('ip', 'rule', 'del', 'pref', '110');
  await a.run('ip', 'route', 'flush', 'table', '2110');
  await until('rule and routes are back', async () => {
    const { stdout } = await a.run('sh', '-c', 'ip rule; ip route show table 2110');
    return (
      /110:.*lookup 2110/.test(stdout) && /unreachable default/.test(stdout) && /cilium_wg0/.test(stdout)
    );
  });
  assert.equal(await a.ping('pod-a', podB), 3);
});

test('a CiliumNode with what it must not have is refused by condition and Event, and nobody else suffers', async () => {
  const advertised = (await ciliumNode(b)).metadata.annotations?.['network.cilium.io/wg-pub-key'] ?? '';
  const bad = {
    'bad-key': { key: 'garbage', cidr: '10.244.50.0/24', ip: '172.18.0.50', reason: 'InvalidPublicKey' },
    'same-key': { key: advertised, cidr: '10.244.51.0/24', ip: '172.18.0.51', reason: 'DuplicatePublicKey' },
    overlap: { key: randomKey(), cidr: b.podCIDRs[0]!, ip: '172.18.0.52', reason: 'PodCIDROverlap' },
    outside: { key: randomKey(), cidr: '10.99.0.0/24', ip: '172.18.0.53', reason: 'PodCIDROutsideCluster' },
  };
  for (const [name, { key, cidr, ip }] of Object.entries(bad)) {
    await rig.kube('POST', '/apis/cilium.io/v2/ciliumnodes', {
      apiVersion: 'cilium.io/v2',
      kind: 'CiliumNode',
      metadata: { name, annotations: { 'network.cilium.io/wg-pub-key': key } },
      spec: { addresses: [{ type: 'InternalIP', ip }], ipam: { podCIDRs: [cidr] } },
    });
  }
  for (const [name, { reason }] of Object.entries(bad)) {
    await until(`${name} is told why`, async () => {
      const { status } = (await rig.kube('GET', `/apis/cilium.io/v2/ciliumnodes/${name}`)) as never as {
        status?: { conditions?: { type: string; status: string; reason: string; message: string }[] };
      };
      const condition = status?.conditions?.find(({ type }) => type === 'Accepted');
      return condition?.status === 'False' && condition.reason === reason && condition.message.length > 20;
    });
  }
  await until('an Event tells of each', async () => {
    const events = (await rig.kube('GET', '/apis/events.k8s.io/v1/events')) as never as {
      items: { reason: string }[];
    };
    const reasons = new Set(events.items.map(({ reason }) => reason));
    return Object.values(bad).every(({ reason }) => reasons.has(reason));
  });
  await peersRouted(a, 2);
  assert.equal(await a.ping('pod-a', podB), 3);
  const { stdout } = await a.run('wg', 'show', 'cilium_wg0', 'peers');
  assert.equal(stdout.trim().split('\n').length, 2);
  for (const name of Object.keys(bad)) await rig.kube('DELETE', `/apis/cilium.io/v2/ciliumnodes/${name}`);
});

test('a node whose key was lost takes its old one back first, and traffic goes on with the new', async () => {
  const old = (await ciliumNode(c)).metadata.annotations?.['network.cilium.io/wg-pub-key'];
  await c.kill('agent');
  await c.kill('engine');
  await c.run('rm', '/run/cilium/state/cilium_wg0.key');
  c.startAgent();
  await until('the old key is gone', async () => {
    const { metadata } = await ciliumNode(c);
    return metadata.annotations?.['network.cilium.io/wg-pub-key'] === undefined;
  });
  c.startEngine();
  await c.whenReady();
  const renewed = (await ciliumNode(c)).metadata.annotations?.['network.cilium.io/wg-pub-key'];
  assert.ok(renewed !== undefined && renewed !== old);
  await c.addPod('pod-c2');
  await until('traffic flows', async () => (await c.ping('pod-c2', podB, 1)) === 1);
});

test('the command line inside the agent tells all this', async () => {
  const { stdout } = await b.cilium('status');
  const key = (await ciliumNode(b)).metadata.annotations?.['network.cilium.io/wg-pub-key'];
  assert.ok(
    stdout.includes(
      `Wireguard       [NodeEncryption: Disabled, cilium_wg0 (Pubkey: ${key}, Port: 51871, Peers: 2)]`,
    ),
    stdout,
  );
  assert.match(
    (await b.cilium('encrypt', 'status')).stdout,
    /Interface: cilium_wg0\n\tPublic key: .*\n\tNumber of peers: 2\n/,
  );
  const info = JSON.parse((await b.cilium('debuginfo', '-o', 'json')).stdout);
  assert.equal(info.encryption.wireguard.interfaces[0]['peer-count'], 2);
  assert.match(
    (await b.run('curl', '-s', 'http://127.0.0.1:9962/metrics')).stdout,
    /cilium_tunnel_sent_bytes_total\{peer="kind-control-plane",driver="engine"\} \d+/,
  );
  const everything = (await b.cilium('debuginfo', '-o', 'json')).stdout + b.log;
  const secret = (
    await b.run(
      'sh',
      '-c',
      'base64 -w0 /run/cilium/state/cilium_wg0.key; echo; xxd -p -c 64 /run/cilium/state/cilium_wg0.key',
    )
  ).stdout;
  for (const form of secret.trim().split('\n')) assert.equal(everything.includes(form), false);
});

test('uninstalling leaves nothing of the agent on a node, and says so', async () => {
  await rig.setConfig({ 'pellicle-uninstall': 'true' });
  const bootId = (await a.run('cat', '/proc/sys/kernel/random/boot_id')).stdout.trim();
  for (const node of rig.nodes) {
    await until(`${node.name} is cleaned up`, async () => {
      const { metadata } = await ciliumNode(node);
      return metadata.annotations?.['pellicle.io/cleaned-up'] === bootId;
    });
  }
  const { stdout } = await a.run(
    'sh',
    '-c',
    'ip rule; ip route show table all; ip -br link; nft list ruleset; ls /run/cni/net.d /run/cilium/state',
  );
  assert.doesNotMatch(stdout, /cilium_|2110|2111|unreachable|blackhole|pellicle|conflist|\.key|lxc.* UP /);
});

async function peersRouted(node: RigNode, count: number): Promise<void> {
  await until(`${node.name} has ${count} peers`, async () => {
    const { peers } = (await node.status()) as { peers: { state: string }[] };
    return peers.filter(({ state }) => state === 'routed').length === count;
  });
}

function ciliumNode(node: RigNode) {
  return rig.kube('GET', `/apis/cilium.io/v2/ciliumnodes/${node.name}`);
}

/** UDP to port 51871, found by the bytes of ports and of message type 4 after the UDP header. */
function wireguardDatagrams(wire: Buffer): number {
  const ports = Buffer.from('ca9fca9f', 'hex');
  let count = 0;
  for (let at = wire.indexOf(ports); at !== -1; at = wire.indexOf(ports, at + 4)) {
    if (wire.readUInt32LE(at + 8) === 4) count++;
  }
  return count;
}

function randomKey(): string {
  return randomBytes(32).toString('base64');
}

function podObject(name: string, node: RigNode) {
  const containers = [{ name: 'c', image: 'busybox' }];
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: { nodeName: node.name, containers } };
}
