import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AgentConfig, type ConfigData, parseConfig } from './config.ts';
import { EMPTY_PLANE, type Plane } from './epochs/plane.ts';
import { type NodeObject, PUBLIC_KEY_ANNOTATION } from './node.ts';
import { type NodePlan, plan } from './plan.ts';
import type { SelfNode } from './snapshot.ts';
import { KEY3, KEY4, RUN, restingPlane } from './testplanes.ts';

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
  assert.deepEqual(ground.absentLinks, ['cilium_esp0', 'cilium_vxlan']);
  assert.deepEqual(ground.addresses, [
    ...['cilium_host', 'cilium_wg0'].map(device => ({ device, addresses: ['10.244.1.1/32'] })),
    ...['cilium_esp0', 'cilium_vxlan'].map(device => ({ device, addresses: [] })),
  ]);
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

test('IPsec: ESP between CiliumInternalIPs, carried by vxlan', () => {
  const { ground, ipsec, wireguard, paths, network, peers } = of({ 'enable-ipsec': 'true' }, [peer()]);
  assert.equal(wireguard, undefined);
  assert.equal(network.mtu, 1373);
  assert.deepEqual(
    ground.links.map(({ name, mtu }) => [name, mtu]),
    [
      ['cilium_host', 1500],
      ['cilium_esp0', 1373],
      ['cilium_vxlan', 1450],
    ],
  );
  assert.deepEqual(ground.absentLinks, ['cilium_wg0']);
  assert.deepEqual(ground.rules, [
    { family: 4, priority: 100, action: 'blackhole', iif: 'eth0', from: '10.244.0.0/16' },
    {
      ...{ family: 4, priority: 104, action: 'lookup', mark: 0xe00, mask: 0xf00 },
      ...{ to: '10.244.0.0/16', table: 2112 },
    },
    { family: 4, priority: 110, action: 'lookup', to: '10.244.0.0/16', table: 2110 },
  ]);
  assert.ok(
    ground.routes.some(
      ({ table, destination, type }) =>
        table === 2112 && destination === '0.0.0.0/0' && type === 'unreachable',
    ),
  );
  const opening = { incarnation: RUN, epoch: KEY3 };
  assert.deepEqual(ipsec, {
    device: 'cilium_esp0',
    local: ['10.244.1.0/24'],
    peers: [
      {
        name: 'kind-worker2',
        tunnel: { local: '10.244.1.1', remote: '10.244.2.1' },
        cidrs: ['10.244.2.0/24'],
        openings: [opening],
        seals: opening,
      },
    ],
  });
  const [device, source] = ['cilium_vxlan', '10.244.1.1'];
  assert.deepEqual(paths, {
    routes: [
      { destination: '10.244.2.0/24', table: 2110, type: 'unicast', source, device: 'cilium_esp0' },
      { destination: '10.244.2.1/32', table: 2112, type: 'unicast', device, source },
    ],
    neighbours: [{ device, address: '10.244.2.1', mac: '0a:58:0a:f4:02:01' }],
    fdb: [{ device, mac: '0a:58:0a:f4:02:01', destination: '172.18.0.4' }],
  });
  assert.deepEqual([peers[0]?.state, peers[0]?.epoch], ['routed', KEY3]);
});

test('IPsec on a cluster of IPv6 alone', () => {
  const six = { ...self, podCIDRs: ['fd00:10:244:1::/64'], addresses: ['fd00:172:18::3'] };
  const config = { 'enable-ipsec': 'true', 'enable-ipv4': 'false', 'enable-ipv6': 'true' };
  const other = peer({ ip: 'fd00:172:18::4', cidr: 'fd00:10:244:2::/64' });
  const { ground, ipsec, paths, network } = of(config, [other], six);
  assert.equal(network.mtu, 1353);
  assert.deepEqual(ipsec?.peers[0]?.tunnel, { local: 'fd00:10:244:1::1', remote: 'fd00:10:244:2::1' });
  assert.deepEqual(
    paths.routes.map(({ destination, device }) => [destination, device]),
    [
      ['fd00:10:244:2::/64', 'cilium_esp0'],
      ['fd00:10:244:2::1/128', 'cilium_vxlan'],
    ],
  );
  assert.deepEqual(
    ground.rules.map(({ family, priority }) => [family, priority]),
    [
      [6, 100],
      [6, 104],
      [6, 110],
    ],
  );
});

test('a rotation: both keys are opened, and the old one seals until the plane says otherwise', () => {
  const opens = [KEY3, KEY4].map(epoch => ({ peer: 'kind-worker2', incarnation: RUN, epoch }));
  const sealedBy = (epoch: typeof KEY3) => {
    const plane = { ...EMPTY_PLANE, opens, seals: [{ peer: 'kind-worker2', incarnation: RUN, epoch }] };
    return of({ 'enable-ipsec': 'true' }, [peer()], self, plane);
  };
  const [before, after] = [sealedBy(KEY3), sealedBy(KEY4)];
  assert.deepEqual(
    before.ipsec?.peers[0]?.openings.map(({ epoch }) => epoch),
    [KEY3, KEY4],
  );
  assert.equal(before.ipsec?.peers[0]?.seals?.epoch, KEY3);
  assert.equal(after.ipsec?.peers[0]?.seals?.epoch, KEY4);
  assert.deepEqual(
    [after.ground, after.paths],
    [before.ground, before.paths],
    'the kernel sees nothing of it',
  );
});

test('from IPsec to WireGuard: the devices of both, until the old one has no use', () => {
  const way = (epoch: Plane['seals'][number]['epoch']) => ({ peer: 'kind-worker2', incarnation: RUN, epoch });
  const at = (plane: Partial<Plane>) =>
    of({ 'enable-wireguard': 'true' }, [peer()], self, { ...EMPTY_PLANE, ...plane });
  const both = [way(KEY3), way('wireguard')];
  const names = (made: NodePlan) => made.ground.links.map(({ name }) => name).slice(1);
  const device = (made: NodePlan) => made.paths.routes.find(({ table }) => table === 2110)?.device;

  const opened = at({ opens: both, seals: [way(KEY3)] });
  assert.deepEqual(names(opened), ['cilium_wg0', 'cilium_esp0', 'cilium_vxlan']);
  assert.equal(opened.network.mtu, 1373);
  assert.equal(device(opened), 'cilium_esp0');
  assert.equal(opened.wireguard?.peers.length, 1);

  const moved = at({ opens: both, seals: [way('wireguard')] });
  assert.equal(device(moved), 'cilium_wg0');
  assert.deepEqual(moved.ipsec?.peers[0]?.openings.length, 1);
  assert.equal(moved.ipsec?.peers[0]?.seals, undefined);
  assert.deepEqual(moved.ground, opened.ground);

  const done = at({ opens: [way('wireguard')], seals: [way('wireguard')] });
  assert.deepEqual(names(done), ['cilium_wg0']);
  assert.deepEqual(done.ground.absentLinks, ['cilium_esp0', 'cilium_vxlan']);
  assert.equal(done.ipsec, undefined);
  assert.equal(done.network.mtu, 1420);
});

test('switched on: in the clear until the pair has moved, and not in the clear once the plane says so', () => {
  const way = (epoch: Plane['seals'][number]['epoch']) => ({ peer: 'kind-worker2', incarnation: RUN, epoch });
  const at = (plane: Partial<Plane>) =>
    of({ 'enable-ipsec': 'true' }, [peer()], self, { ...EMPTY_PLANE, ...plane });
  const device = (made: NodePlan) => made.paths.routes.find(({ table }) => table === 2110)?.device;
  const opens = [way(KEY3)];
  const before = at({ clear: true, opens, seals: [way('none')] });
  assert.equal(device(before), 'cilium_vxlan');
  assert.equal(device(at({ clear: true, opens, seals: [way(KEY3)] })), 'cilium_esp0');
  const refused = at({ clear: false, opens, seals: [way('none')] });
  assert.equal(device(refused), undefined);
  assert.match(refused.peers[0]?.reason ?? '', /nothing goes in the clear/);
  const closed = at({ clear: false, opens, seals: [way(KEY3)] });
  for (const [made, clear] of [
    [before, true],
    [closed, false],
  ] as const) {
    const { script } = made.ground.nft;
    assert.equal(script.includes('chain clear {'), clear);
    assert.equal(script.includes('iifname "cilium_vxlan" drop'), !clear);
    assert.equal(script.includes('oifname "cilium_vxlan" drop'), !clear);
    assert.ok(script.includes(`${notOn('iifname')} ip daddr 10.244.0.0/16 drop\n`));
    assert.match(script, /iifname "cilium_vxlan" meta l4proto esp ip daddr 10\.244\.1\.1 .* accept/);
  }
  assert.notEqual(before.ground.nft.version, closed.ground.nft.version);
});

test('without anything agreed nothing is sent to a peer, and it is said', () => {
  const [state] = of({ 'enable-ipsec': 'true' }, [peer()], self, EMPTY_PLANE).peers;
  assert.match(state?.reason ?? '', /nothing is agreed with kind-worker2 yet/);
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
  const wire = `${notOn('iifname')} ip daddr 10.244.0.0/16 drop\n`;
  for (const script of [off, on])
    assert.match(script, /iifname "lxc\*" meta nfproto ipv4 fib saddr \. iif oif eq 0 drop/);
  assert.ok(on.includes(wire));
  assert.ok(!off.includes(wire));
});

test('guard: with encryption on, nothing for a pod goes out onto the wire, of either family', () => {
  const dual = { ...self, podCIDRs: ['10.244.1.0/24', 'fd00:10:244:1::/64'] };
  const script = (encryption: string) =>
    of({ 'enable-wireguard': encryption, 'enable-ipv6': 'true' }, [], dual).ground.nft.script;
  const hook = /chain guard \{\n +type filter hook postrouting priority filter; policy accept;\n/;
  assert.match(script('true'), hook);
  for (const daddr of ['ip daddr 10.244.0.0/16', 'ip6 daddr fd00:10:244::/56']) {
    const line = `${notOn('oifname')} ${daddr} drop\n`;
    assert.ok(script('true').includes(line), script('true'));
    assert.ok(!script('false').includes(line));
  }
});

test('masquerade: pods that leave the cluster, and the node itself when it goes through the tunnel', () => {
  const { script, version } = of({ 'enable-wireguard': 'true' }, []).ground.nft;
  const masquerade = `${notOn('oifname')} ip saddr 10.244.1.0/24 ip daddr != 10.244.0.0/16 masquerade\n`;
  assert.ok(script.includes(masquerade), script);
  for (const device of ['cilium_wg0', 'cilium_esp0', 'cilium_vxlan']) {
    const snat = 'ip saddr != 10.244.0.0/16 ip daddr 10.244.0.0/16 snat ip to 10.244.1.1\n';
    assert.ok(script.includes(`oifname "${device}" ${snat}`), script);
  }
  const off = of({ 'enable-wireguard': 'true', 'enable-ipv4-masquerade': 'false' }, []).ground.nft;
  assert.doesNotMatch(off.script, / masquerade\n/);
  assert.notEqual(off.version, version);
});

test('the rules have no sets: a packet that meets their replacement would be lost by one', () => {
  const dual = { ...self, podCIDRs: ['10.244.1.0/24', 'fd00:10:244:1::/64'] };
  const { script } = of({ 'enable-ipsec': 'true', 'enable-ipv6': 'true' }, [peer()], dual, EMPTY_PLANE).ground
    .nft;
  for (const line of script.split('\n')) assert.doesNotMatch(line, /\{ ./);
});

function notOn(side: 'iifname' | 'oifname'): string {
  return ['lo', 'cilium_*', 'lxc*'].map(name => `${side} != "${name}"`).join(' ');
}

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

function of(data: ConfigData, nodes: NodeObject[], node = self, plane?: Plane): NodePlan {
  const { config } = parseConfig(data) as { config: AgentConfig };
  const epoch = { disabled: 'none', wireguard: 'wireguard', ipsec: KEY3 } as const;
  const clusterPodCIDRs = ['10.244.0.0/16', 'fd00:10:244::/56'];
  return plan(
    { config, clusterPodCIDRs, nodes },
    node,
    plane ?? restingPlane(nodes, epoch[config.encryption]),
  );
}

test('of an address family that is off no pod sends or gets anything, and the devices have none of it', () => {
  const at = (ipv6: boolean) =>
    of({ 'enable-wireguard': 'true', 'enable-ipv6': String(ipv6) }, [peer()]).ground;
  const off = at(false);
  for (const side of ['iifname', 'oifname'])
    assert.ok(off.nft.script.includes(`${side} "lxc*" meta nfproto ipv6 drop\n`), side);
  assert.ok(!off.nft.script.includes('nfproto ipv4 drop'));
  assert.ok(!at(true).nft.script.includes('"lxc*" meta nfproto ipv6 drop'));
  const disabled = (ground: NodePlan['ground']) =>
    ground.sysctls.find(({ key }) => key === 'net/ipv6/conf/cilium_wg0/disable_ipv6')?.value;
  assert.deepEqual([disabled(off), disabled(at(true))], ['1', '0']);
});
