import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AgentConfig, type ConfigData, parseConfig } from './config.ts';
import { type NodeObject, PUBLIC_KEY_ANNOTATION } from './node.ts';
import { type NodePlan, plan } from './plan.ts';
import type { SelfNode } from './snapshot.ts';

const KEY = Buffer.alloc(32, 7).toString('base64');
const self: SelfNode = {
  name: 'kind-worker',
  podCIDRs: ['10.244.1.0/24'],
  addresses: ['172.18.0.3'],
  publicKey: Buffer.alloc(32, 1).toString('base64'),
  optedOut: false,
  underlay: { devices: ['eth0'], mtu: 1500 },
};

test('WireGuard: the ground and one peer, in full', () => {
  const { ground, wireguard, paths, network } = of({ 'enable-wireguard': 'true' }, [peer()]);
  assert.deepEqual(network, { podCIDRs: ['10.244.1.0/24'], gateways: ['10.244.1.1'], mtu: 1420 });
  assert.deepEqual(ground.links, [
    { kind: 'veth', name: 'cilium_host', peer: 'cilium_net', mtu: 1500 },
    { kind: 'wireguard', name: 'cilium_wg0', mtu: 1420 },
  ]);
  assert.deepEqual(ground.absentLinks, ['cilium_vxlan']);
  assert.deepEqual(
    ground.addresses,
    ['cilium_host', 'cilium_wg0'].map(device => ({ device, addresses: ['10.244.1.1/32'] })),
  );
  assert.deepEqual(ground.rules, [
    { family: 4, priority: 100, action: 'blackhole', iif: 'eth0', from: '10.244.0.0/16' },
    { family: 4, priority: 110, action: 'lookup', to: '10.244.0.0/16', table: 2110 },
  ]);
  assert.deepEqual(ground.routes, [
    { destination: '0.0.0.0/0', table: 2110, type: 'unreachable' },
    { destination: '10.244.1.0/24', table: 254, type: 'unreachable' },
    { destination: '10.244.1.0/24', table: 2110, type: 'throw' },
  ]);
  assert.deepEqual(wireguard, {
    device: 'cilium_wg0',
    listenPort: 51_871,
    mark: 0xe00,
    peers: [
      {
        name: 'kind-worker2',
        publicKey: KEY,
        endpoint: { address: '172.18.0.4', port: 51_871 },
        allowedIPs: ['10.244.2.0/24', '172.18.0.4/32'],
        persistentKeepalive: 0,
      },
    ],
  });
  assert.deepEqual(paths.routes, [
    {
      destination: '10.244.2.0/24',
      table: 2110,
      type: 'unicast',
      device: 'cilium_wg0',
      source: '10.244.1.1',
    },
  ]);
});

test('disabled: vxlan with a static neighbour and forwarding entry for each peer', () => {
  const { ground, wireguard, paths, network } = of({}, [peer()]);
  assert.equal(wireguard, undefined);
  assert.equal(network.mtu, 1450);
  const mac = '0a:58:0a:f4:01:01';
  assert.deepEqual(ground.links[1], {
    ...{ kind: 'vxlan', name: 'cilium_vxlan', id: 2, port: 8472, local: '172.18.0.3', mac, mtu: 1450 },
  });
  assert.deepEqual(
    ground.rules.map(({ priority }) => priority),
    [110],
  );
  assert.deepEqual(paths, {
    routes: [
      {
        ...{ destination: '10.244.2.0/24', table: 2110, type: 'unicast', device: 'cilium_vxlan' },
        ...{ via: '10.244.2.1', source: '10.244.1.1' },
      },
    ],
    neighbours: [{ device: 'cilium_vxlan', address: '10.244.2.1', mac: '0a:58:0a:f4:02:01' }],
    fdb: [{ device: 'cilium_vxlan', mac: '0a:58:0a:f4:02:01', destination: '172.18.0.4' }],
  });
});

test('a peer waits, with the reason, until it has published what is needed', () => {
  const state = (object: NodeObject) => of({ 'enable-wireguard': 'true' }, [object]).peers[0];
  assert.match(state(peer({ key: '' }))?.reason ?? '', /has not advertised its public key yet/);
  assert.match(state(peer({ ip: '' }))?.reason ?? '', /has published no address yet/);
  assert.match(
    state(peer({ ip: 'fd00:172:18::4' }))?.reason ?? '',
    /no address of a family that this node has/,
  );
  assert.match(state(peer({ cidr: '' }))?.reason ?? '', /no pod CIDR yet/);
  assert.equal(state(peer())?.state, 'routed');
});

test('node encryption: a rule past the own mark, and routes to the nodes that take part', () => {
  const config = { 'enable-wireguard': 'true', 'encrypt-node': 'true' };
  const { ground, paths } = of(config, [
    peer({ seals: true }),
    peer({ name: 'x', ip: '172.18.0.9', cidr: '10.244.9.0/24', key: other(9) }),
  ]);
  assert.deepEqual(
    ground.rules.find(({ priority }) => priority === 105),
    { family: 4, priority: 105, action: 'lookup', mark: 0xe00, mask: 0xf00, invert: true, table: 2111 },
  );
  assert.deepEqual(
    paths.routes.filter(({ table }) => table === 2111),
    [
      {
        destination: '172.18.0.4/32',
        table: 2111,
        type: 'unicast',
        device: 'cilium_wg0',
        source: '172.18.0.3',
      },
    ],
  );
  assert.ok(ground.sysctls.some(({ key, value }) => key === 'net/ipv4/conf/eth0/rp_filter' && value === '2'));
});

test('dual stack: both families have their guards, routes and addresses', () => {
  const dual = { ...self, podCIDRs: ['10.244.1.0/24', 'fd00:10:244:1::/64'] };
  const config = { 'enable-wireguard': 'true', 'enable-ipv6': 'true' };
  const { ground, paths } = of(config, [peer({ cidr: '10.244.2.0/24,fd00:10:244:2::/64' })], dual);
  assert.deepEqual(
    ground.rules.map(({ family, priority }) => [family, priority]),
    [
      [4, 100],
      [6, 100],
      [4, 110],
      [6, 110],
    ],
  );
  assert.deepEqual(ground.addresses[0]?.addresses, ['10.244.1.1/32', 'fd00:10:244:1::1/128']);
  assert.deepEqual(
    paths.routes.map(({ destination, source }) => [destination, source]),
    [
      ['10.244.2.0/24', '10.244.1.1'],
      ['fd00:10:244:2::/64', 'fd00:10:244:1::1'],
    ],
  );
});

test('arriving: pods speak with their own addresses, and with encryption on nothing comes straight off the wire', () => {
  const off = of({}, []).ground.nft.script;
  const on = of({ 'enable-wireguard': 'true' }, []).ground.nft.script;
  const wire = /iifname != \{ "lo", "cilium_\*", "lxc\*" \} ip daddr 10\.244\.0\.0\/16 drop/;
  for (const script of [off, on])
    assert.match(script, /iifname "lxc\*" meta nfproto ipv4 fib saddr \. iif oif eq 0 drop/);
  assert.match(on, wire);
  assert.doesNotMatch(off, wire);
});

test('guard: with encryption on, nothing for a pod goes out onto the wire, of either family', () => {
  const dual = { ...self, podCIDRs: ['10.244.1.0/24', 'fd00:10:244:1::/64'] };
  const script = (encryption: string) =>
    of({ 'enable-wireguard': encryption, 'enable-ipv6': 'true' }, [], dual).ground.nft.script;
  const hook = /chain guard \{\n +type filter hook postrouting priority filter; policy accept;\n/;
  assert.match(script('true'), hook);
  for (const daddr of ['ip daddr 10.244.0.0/16', 'ip6 daddr fd00:10:244::/56']) {
    const line = `oifname != { "lo", "cilium_*", "lxc*" } ${daddr} drop\n`;
    assert.ok(script('true').includes(line), script('true'));
    assert.ok(!script('false').includes(line));
  }
});

test('masquerade: pods that leave the cluster, and the node itself when it goes through the tunnel', () => {
  const { script, version } = of({ 'enable-wireguard': 'true' }, []).ground.nft;
  assert.match(
    script,
    /oifname != \{ "lo", "cilium_\*", "lxc\*" \} ip saddr \{ 10\.244\.1\.0\/24 \} ip daddr != \{ 10\.244\.0\.0\/16 \} masquerade/,
  );
  assert.match(
    script,
    /oifname \{ "cilium_wg0", "cilium_vxlan" \} ip saddr != \{ 10\.244\.0\.0\/16 \} .* snat ip to 10\.244\.1\.1/,
  );
  const off = of({ 'enable-wireguard': 'true', 'enable-ipv4-masquerade': 'false' }, []).ground.nft;
  assert.doesNotMatch(off.script, / masquerade\n/);
  assert.notEqual(off.version, version);
});

interface PeerSketch {
  name?: string;
  key?: string;
  ip?: string;
  cidr?: string;
  seals?: boolean;
}

function peer(sketch: PeerSketch = {}): NodeObject {
  const {
    name = 'kind-worker2',
    key = KEY,
    ip = '172.18.0.4',
    cidr = '10.244.2.0/24',
    seals = false,
  } = sketch;
  const podCIDRs = cidr.split(',').filter(text => text !== '');
  return {
    metadata: { name, annotations: { [PUBLIC_KEY_ANNOTATION]: key } },
    spec: {
      addresses: [
        ...(ip ? [{ type: 'InternalIP', ip }] : []),
        ...podCIDRs.map(text => ({ type: 'CiliumInternalIP', ip: text.replace(/0\/24$|\/64$/, '1') })),
      ],
      ipam: { podCIDRs },
      encryption: { key: seals ? 255 : 0 },
    },
  };
}

function other(n: number): string {
  return Buffer.alloc(32, n).toString('base64');
}

function of(data: ConfigData, nodes: NodeObject[], node = self): NodePlan {
  const { config } = parseConfig(data) as { config: AgentConfig };
  return plan({ config, clusterPodCIDRs: ['10.244.0.0/16', 'fd00:10:244::/56'], nodes }, node);
}
