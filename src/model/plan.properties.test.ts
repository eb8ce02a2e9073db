/**
 * The invariants of the data plane, checked for any cluster: plans are asked where packets go by a small model of the
 * kernel's policy routing (ip-rule(8): rules by priority, in a table the longest prefix, `throw` goes on).
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type AgentConfig, parseConfig } from './config.ts';
import { SEALED_MARK, TABLE, WIREGUARD_DEVICE } from './names.ts';
import { contains, familyOf, firstUsable, overlap } from './net.ts';
import { type NodeObject, PUBLIC_KEY_ANNOTATION } from './node.ts';
import { type NodePlan, plan, type RoutePlan, type RulePlan } from './plan.ts';
import type { SelfNode, Snapshot } from './snapshot.ts';

fc.configureGlobal({ numRuns: 500 });

const CLUSTER = ['10.244.0.0/16', 'fd00:10:244::/56'];
const UNDERLAY = ['eth0', 'eth1'];

const self: SelfNode = {
  name: 'self',
  podCIDRs: ['10.244.0.0/24', 'fd00:10:244::/64'],
  addresses: ['172.18.0.2', 'fd00:172:18::2'],
  publicKey: key(0),
  optedOut: false,
  underlay: { devices: UNDERLAY, mtu: 1500 },
};

/** Few distinct values, so that claims collide often. */
const node = fc.record({
  name: fc.integer({ min: 1, max: 12 }),
  age: fc.integer({ min: 0, max: 5 }),
  cidr: fc.option(fc.integer({ min: 0, max: 7 })),
  wide: fc.boolean(),
  stray: fc.boolean(),
  v6: fc.boolean(),
  address: fc.option(fc.integer({ min: 1, max: 8 })),
  key: fc.option(fc.oneof(fc.integer({ min: 0, max: 7 }), fc.constant('garbage'))),
  seals: fc.boolean(),
});
type Sketch = typeof node extends fc.Arbitrary<infer T> ? T : never;

const cluster = fc.uniqueArray(node, { selector: ({ name }) => name, maxLength: 8 });
const settings = fc.record({
  mode: fc.constantFrom('wireguard' as const, 'disabled' as const),
  encryptNode: fc.boolean(),
  ipv6: fc.boolean(),
});

test('with encryption on, nothing for a pod of another node goes to an unsealed device', () => {
  fc.assert(
    fc.property(cluster, fc.boolean(), fc.boolean(), (sketches, encryptNode, ipv6) => {
      const result = plan(snapshot(sketches, { mode: 'wireguard', encryptNode, ipv6 }), self);
      for (const to of targets(sketches, ipv6)) {
        for (const packet of [{ to, iif: 'lxc1' }, { to }, { to, mark: SEALED_MARK }]) {
          const where = route(result, packet);
          assert.ok(where === WIREGUARD_DEVICE || where === 'unreachable', `${to} goes to ${where}`);
        }
      }
    }),
  );
});

test('without encryption, what is for a pod of another node goes into the tunnel or nowhere', () => {
  fc.assert(
    fc.property(cluster, fc.boolean(), (sketches, ipv6) => {
      const result = plan(snapshot(sketches, { mode: 'disabled', encryptNode: false, ipv6 }), self);
      for (const to of targets(sketches, ipv6)) {
        const where = route(result, { to, iif: 'lxc1' });
        assert.ok(where === 'cilium_vxlan' || where === 'unreachable', `${to} goes to ${where}`);
      }
    }),
  );
});

test('with encryption on, no pod packet that comes in by the underlay is delivered', () => {
  fc.assert(
    fc.property(cluster, fc.boolean(), (sketches, ipv6) => {
      const result = plan(snapshot(sketches, { mode: 'wireguard', encryptNode: false, ipv6 }), self);
      for (const from of targets(sketches, ipv6)) {
        const to = self.podCIDRs.map(firstPod).find(pod => familyOf(pod) === familyOf(from))!;
        for (const iif of UNDERLAY) assert.equal(route(result, { to, from, iif }), 'blackhole');
        assert.equal(route(result, { to, from, iif: WIREGUARD_DEVICE }), 'lxc1');
      }
    }),
  );
});

test('only peers that have advertised a key of their own are sealed for', () => {
  fc.assert(
    fc.property(cluster, settings, (sketches, options) => {
      const { wireguard, paths } = plan(snapshot(sketches, options), self);
      const advertised = new Map(sketches.map(sketch => [`n${sketch.name}`, keyOf(sketch)]));
      for (const peer of wireguard?.peers ?? []) {
        assert.ok(peer.publicKey !== undefined);
        assert.equal(peer.publicKey, advertised.get(peer.name));
        assert.notEqual(peer.publicKey, self.publicKey);
      }
      const allowed = (wireguard?.peers ?? []).flatMap(({ allowedIPs }) => allowedIPs);
      for (const { destination } of wireguard ? paths.routes : []) assert.ok(allowed.includes(destination));
      assert.equal(new Set(wireguard?.peers.map(peer => peer.publicKey)).size, wireguard?.peers.length ?? 0);
    }),
  );
});

test('no address belongs to two peers, and none of this node to any', () => {
  fc.assert(
    fc.property(cluster, fc.boolean(), (sketches, ipv6) => {
      const { wireguard } = plan(snapshot(sketches, { mode: 'wireguard', encryptNode: false, ipv6 }), self);
      const all = (wireguard?.peers ?? []).flatMap(({ allowedIPs }) => allowedIPs);
      const own = [...self.podCIDRs, ...self.addresses];
      for (const [i, ip] of all.entries()) {
        assert.ok(!all.slice(i + 1).some(other => overlap(ip, other)), `${ip} twice`);
        assert.ok(!own.some(mine => overlap(ip, mine)), `${ip} is this node's`);
      }
    }),
  );
});

test('a younger node changes nothing of the others, whatever it claims', () => {
  fc.assert(
    fc.property(cluster, node, settings, (sketches, newcomer, options) => {
      const young = { ...newcomer, name: 99, age: 9 };
      const before = plan(snapshot(sketches, options), self);
      const after = plan(snapshot([...sketches, young], options), self);
      assert.deepEqual(withoutNewcomer(after), withoutNewcomer(before));
      assert.deepEqual(after.ground, before.ground);
    }),
  );
});

test('the plan does not depend on the order in which objects are listed', () => {
  fc.assert(
    fc.property(cluster, settings, fc.infiniteStream(fc.nat()), (sketches, options, order) => {
      const keys = [...sketches.keys()].map(() => order.next().value as number);
      const shuffled = sketches
        .map((sketch, i) => ({ sketch, key: keys[i]! }))
        .sort((a, b) => a.key - b.key)
        .map(({ sketch }) => sketch);
      assert.deepEqual(plan(snapshot(shuffled, options), self), plan(snapshot(sketches, options), self));
    }),
  );
});

test('node encryption seals nothing that is sealed already, and nothing for those who take no part', () => {
  fc.assert(
    fc.property(cluster, fc.boolean(), (sketches, optedOut) => {
      const result = plan(snapshot(sketches, { mode: 'wireguard', encryptNode: true, ipv6: true }), {
        ...self,
        optedOut,
      });
      const peers = result.wireguard?.peers ?? [];
      for (const { name } of peers) {
        const sketch = sketches.find(other => `n${other.name}` === name)!;
        const to = `172.18.0.${100 + sketch.address!}`;
        const expected = sketch.seals && !optedOut ? WIREGUARD_DEVICE : 'eth0';
        assert.equal(route(result, { to }), expected);
        assert.equal(route(result, { to, mark: SEALED_MARK }), 'eth0');
      }
    }),
  );
});

interface Packet {
  to: string;
  from?: string;
  iif?: string;
  mark?: number;
}

/** The device a packet leaves by, `local`, or what becomes of it. */
function route(result: NodePlan, packet: Packet): string {
  const local = [...self.addresses, ...result.network.gateways];
  if (local.includes(packet.to)) return 'local';
  const rules = [...result.ground.rules, mainRule(4), mainRule(6)].sort((a, b) => a.priority - b.priority);
  for (const rule of rules) {
    if (!matches(rule, packet)) continue;
    if (rule.action === 'blackhole') return 'blackhole';
    const found = longest(tableOf(result, rule.table!), packet.to);
    if (!found || found.type === 'throw') continue;
    return found.type === 'unicast' ? found.device! : found.type;
  }
  return 'unreachable';
}

function mainRule(family: 4 | 6): RulePlan {
  return { family, priority: 32_766, action: 'lookup', table: TABLE.main };
}

function matches(rule: RulePlan, { to, from, iif = 'lo', mark = 0 }: Packet): boolean {
  if (rule.family !== familyOf(to)) return false;
  const selected =
    (rule.to === undefined || contains(rule.to, to)) &&
    (rule.from === undefined || (from !== undefined && contains(rule.from, from))) &&
    (rule.iif === undefined || rule.iif === iif) &&
    (rule.mark === undefined || (mark & rule.mask!) === rule.mark);
  return rule.invert ? !selected : selected;
}

function tableOf(result: NodePlan, table: number): RoutePlan[] {
  const planned = [...result.ground.routes, ...result.paths.routes].filter(entry => entry.table === table);
  if (table !== TABLE.main) return planned;
  const unicast = (destination: string, device: string): RoutePlan => ({
    destination,
    table,
    type: 'unicast',
    device,
  });
  return [
    ...planned,
    ...self.podCIDRs.map(cidr => unicast(`${firstPod(cidr)}/${familyOf(cidr) === 4 ? 32 : 128}`, 'lxc1')),
    ...['172.18.0.0/16', '0.0.0.0/0', 'fd00:172:18::/64', '::/0'].map(destination =>
      unicast(destination, 'eth0'),
    ),
  ];
}

function longest(routes: RoutePlan[], to: string): RoutePlan | undefined {
  const length = ({ destination }: RoutePlan) => Number(destination.split('/')[1]);
  const matching = routes.filter(({ destination }) => contains(destination, to));
  return matching.sort((a, b) => length(b) - length(a))[0];
}

/** Addresses of pods elsewhere: inside every CIDR claimed, and where nobody is. */
function targets(sketches: Sketch[], ipv6: boolean): string[] {
  const claimed = sketches
    .flatMap(sketch => podCIDRs(sketch))
    .filter(cidr => CLUSTER.some(range => contains(range, cidr)));
  const addresses = [
    ...claimed.map(firstUsable),
    ...claimed.map(firstPod),
    '10.244.255.7',
    'fd00:10:244:ff::7',
  ];
  return addresses.filter(
    address => (ipv6 || familyOf(address) === 4) && !self.podCIDRs.some(cidr => contains(cidr, address)),
  );
}

function firstPod(cidr: string): string {
  return firstUsable(cidr).replace(/1$/, '9');
}

function withoutNewcomer(result: NodePlan) {
  const claims = (routes: RoutePlan[]) => {
    const newcomer = result.peers.find(({ name }) => name === 'n99');
    const theirs = [
      ...(newcomer?.podCIDRs ?? []),
      ...(newcomer?.addresses ?? []).map(address => `${address}/`),
    ];
    return routes.filter(({ destination }) => !theirs.some(cidr => destination.startsWith(cidr)));
  };
  return {
    peers: result.peers.filter(({ name }) => name !== 'n99'),
    wireguard: result.wireguard?.peers.filter(({ name }) => name !== 'n99'),
    routes: claims(result.paths.routes),
    refused: result.refused.filter(({ name }) => name !== 'n99'),
  };
}

function snapshot(
  sketches: Sketch[],
  { mode, encryptNode, ipv6 }: { mode: 'wireguard' | 'disabled'; encryptNode: boolean; ipv6: boolean },
): Snapshot {
  const sealed = mode === 'wireguard';
  const parsed = parseConfig({
    'enable-wireguard': String(sealed),
    'encrypt-node': String(encryptNode && sealed),
    'enable-ipv6': String(ipv6),
  }) as { config: AgentConfig };
  return { config: parsed.config, clusterPodCIDRs: CLUSTER, nodes: sketches.map(object) };
}

function object(sketch: Sketch): NodeObject {
  const advertised = keyOf(sketch);
  const cidrs = podCIDRs(sketch);
  return {
    metadata: {
      name: `n${sketch.name}`,
      creationTimestamp: `2026-01-01T00:00:0${sketch.age}Z`,
      annotations: advertised === undefined ? {} : { [PUBLIC_KEY_ANNOTATION]: advertised },
    },
    spec: {
      addresses: [
        ...(sketch.address === null ? [] : [{ type: 'InternalIP', ip: `172.18.0.${100 + sketch.address}` }]),
        ...cidrs.map(cidr => ({ type: 'CiliumInternalIP', ip: firstUsable(cidr) })),
      ],
      encryption: { key: sketch.seals ? 255 : 0 },
      ipam: { podCIDRs: cidrs },
    },
  };
}

function podCIDRs({ cidr, wide, stray, v6 }: Sketch): string[] {
  if (cidr === null) return [];
  const v4 = stray ? `192.168.${cidr}.0/24` : wide ? `10.244.${cidr & 6}.0/23` : `10.244.${cidr}.0/24`;
  return v6 ? [v4, `fd00:10:244:${cidr}::/64`] : [v4];
}

function keyOf(sketch: Sketch): string | undefined {
  if (sketch.key === null) return undefined;
  return typeof sketch.key === 'number' ? key(sketch.key) : sketch.key;
}

function key(n: number): string {
  return Buffer.alloc(32, n + 1).toString('base64');
}
