/**
 * The invariants of the data plane, checked for any cluster and any plane: plans are asked where packets go by a small
 * model of the kernel's policy routing (testrouting.ts).
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Epoch, protocolOf } from './epochs/epoch.ts';
import type { Plane } from './epochs/plane.ts';
import { ESP_DEVICE, SEALED_MARK, TABLE, VXLAN_DEVICE, WIREGUARD_DEVICE } from './names.ts';
import { contains, familyOf, hostPrefix, overlap } from './net.ts';
import type { NodePlan, RoutePlan } from './nodeplan.ts';
import { plan } from './plan.ts';
import { restingPlane } from './testplanes.ts';
import { firstPod, type Packet, route as routeOf } from './testrouting.ts';
import {
  cluster,
  keyOf,
  nameOf,
  node,
  plane,
  type Sketch,
  self,
  settings,
  snapshot,
  targets,
  UNDERLAY,
} from './testsketches.ts';

fc.configureGlobal({ numRuns: 500 });

test('a pod of another node is reached by the device of the epoch that seals for that node, or not at all', () => {
  fc.assert(
    fc.property(cluster, plane, settings, (sketches, ways, options) => {
      const result = plan(snapshot(sketches, options), self, ways);
      for (const to of targets(sketches, options.ipv6)) {
        const owner = result.peers.find(({ podCIDRs }) => podCIDRs.some(cidr => contains(cidr, to)));
        const sealing = ways.seals.find(({ peer }) => peer === owner?.name)?.epoch;
        const allowed = ['unreachable', ...(sealing === undefined ? [] : [deviceOf(sealing)])];
        for (const packet of [{ to, iif: 'lxc1' }, { to }]) {
          const where = route(result, packet);
          assert.ok(allowed.includes(where), `${to} goes to ${where}`);
        }
        if (owner?.state === 'routed' && familyOf(to) === 4)
          assert.equal(route(result, { to }), deviceOf(sealing!));
      }
    }),
  );
});

test('unless the plane is clear, nothing of a pod is routed to vxlan, and vxlan passes nothing but ESP', () => {
  fc.assert(
    fc.property(cluster, plane, settings, (sketches, ways, options) => {
      const result = plan(snapshot(sketches, options), self, ways);
      const { script } = result.ground.nft;
      const drops = ['iifname', 'oifname'].map(side => script.includes(`${side} "${VXLAN_DEVICE}" drop`));
      assert.deepEqual(drops, [!ways.clear, !ways.clear]);
      assert.equal(script.includes('chain clear {'), ways.clear);
      if (ways.clear) return;
      for (const to of targets(sketches, options.ipv6))
        for (const iif of ['lxc1', 'lo']) assert.notEqual(route(result, { to, iif }), VXLAN_DEVICE);
    }),
  );
});

test("what the engine has sealed goes by vxlan to CiliumInternalIPs of IPsec's peers, and into no tunnel again", () => {
  fc.assert(
    fc.property(cluster, plane, settings, (sketches, ways, options) => {
      const result = plan(snapshot(sketches, options), self, ways);
      const ends = result.ipsec?.peers.map(({ tunnel }) => tunnel.remote) ?? [];
      for (const end of ends) assert.equal(route(result, { to: end, mark: SEALED_MARK }), VXLAN_DEVICE);
      if (!result.ipsec) return;
      for (const to of targets(sketches, options.ipv6)) {
        if (!ends.includes(to)) assert.notEqual(route(result, { to, mark: SEALED_MARK }), ESP_DEVICE);
      }
    }),
  );
});

test('every opening has all that it needs, and every route its device', () => {
  fc.assert(
    fc.property(cluster, plane, settings, (sketches, ways, options) => {
      const result = plan(snapshot(sketches, options), self, ways);
      const { ground, ipsec, wireguard, paths } = result;
      const links = ground.links.map(({ name }) => name);
      for (const { device } of [...ground.routes, ...paths.routes, ...paths.neighbours, ...paths.fdb])
        assert.ok(device === undefined || links.includes(device), `no ${device}`);
      assert.deepEqual(
        [...links.filter(name => name !== 'cilium_host'), ...ground.absentLinks].sort(),
        [ESP_DEVICE, VXLAN_DEVICE, WIREGUARD_DEVICE].sort(),
      );
      for (const { name, addresses, podCIDRs, publicKey } of result.peers) {
        const opens = ways.opens.filter(({ peer }) => peer === name).map(({ epoch }) => epoch);
        const isWhole = addresses.length > 0 && podCIDRs.length > 0;
        if (opens.includes('wireguard') && isWhole && publicKey !== undefined)
          assert.ok(wireguard?.peers.some(peer => peer.name === name) && links.includes(WIREGUARD_DEVICE));
        const keys = opens.filter(epoch => protocolOf(epoch) === 'ipsec');
        if (keys.length === 0 || !isWhole) continue;
        const peer = ipsec?.peers.find(each => each.name === name);
        assert.deepEqual(
          peer?.openings.map(({ epoch }) => epoch),
          keys,
        );
        const { remote } = peer!.tunnel;
        assert.ok(links.includes(ESP_DEVICE) && links.includes(VXLAN_DEVICE));
        assert.ok(paths.routes.some(there => isWayOf(remote, there)));
        const neighbour = paths.neighbours.find(({ address }) => address === remote);
        assert.ok(paths.fdb.some(({ mac }) => mac === neighbour?.mac));
        assert.ok(
          peer!.seals === undefined || peer!.openings.some(each => each.epoch === peer!.seals!.epoch),
        );
      }
    }),
  );
});

test('with encryption on, no pod packet that comes in by the underlay is delivered', () => {
  fc.assert(
    fc.property(cluster, plane, settings, (sketches, ways, options) => {
      const result = plan(snapshot(sketches, options), self, ways);
      const isOpenNetwork = options.mode === 'disabled' && !result.wireguard && !result.ipsec && ways.clear;
      for (const from of targets(sketches, options.ipv6)) {
        const to = self.podCIDRs.map(firstPod).find(pod => familyOf(pod) === familyOf(from))!;
        for (const iif of UNDERLAY)
          assert.equal(route(result, { to, from, iif }), isOpenNetwork ? 'lxc1' : 'blackhole');
        for (const iif of [WIREGUARD_DEVICE, ESP_DEVICE])
          assert.equal(route(result, { to, from, iif }), 'lxc1');
      }
    }),
  );
});

test('only peers that have advertised a key of their own are sealed for by WireGuard', () => {
  fc.assert(
    fc.property(cluster, plane, settings, (sketches, ways, options) => {
      const { wireguard, paths } = plan(snapshot(sketches, options), self, ways);
      const advertised = new Map(sketches.map(sketch => [nameOf(sketch), keyOf(sketch)]));
      for (const peer of wireguard?.peers ?? []) {
        assert.equal(peer.publicKey, advertised.get(peer.name));
        assert.notEqual(peer.publicKey, self.publicKey);
      }
      const allowed = (wireguard?.peers ?? []).flatMap(({ allowedIPs }) => allowedIPs);
      for (const { destination, device } of paths.routes)
        assert.ok(device !== WIREGUARD_DEVICE || allowed.includes(destination));
      assert.equal(new Set(wireguard?.peers.map(peer => peer.publicKey)).size, wireguard?.peers.length ?? 0);
    }),
  );
});

test('no address belongs to two peers, and none of this node to any', () => {
  fc.assert(
    fc.property(cluster, plane, settings, (sketches, ways, options) => {
      const { wireguard, ipsec } = plan(snapshot(sketches, options), self, ways);
      const own = [...self.podCIDRs, ...self.addresses];
      const claims = [
        wireguard?.peers.map(({ allowedIPs }) => allowedIPs),
        ipsec?.peers.map(({ cidrs }) => cidrs),
      ];
      for (const all of claims.map(lists => lists?.flat() ?? [])) {
        for (const [i, ip] of all.entries()) {
          assert.ok(!all.slice(i + 1).some(other => overlap(ip, other)), `${ip} twice`);
          assert.ok(!own.some(mine => overlap(ip, mine)), `${ip} is this node's`);
        }
      }
    }),
  );
});

test('a younger node changes nothing of the others, whatever it claims', () => {
  fc.assert(
    fc.property(cluster, node, plane, settings, (sketches, newcomer, ways, options) => {
      const young = { ...newcomer, name: 99, age: 9 };
      const before = plan(snapshot(sketches, options), self, ways);
      const after = plan(snapshot([...sketches, young], options), self, ways);
      assert.deepEqual(withoutNewcomer(after), withoutNewcomer(before));
      assert.deepEqual(after.ground, before.ground);
    }),
  );
});

test('the plan does not depend on the order in which objects are listed', () => {
  fc.assert(
    fc.property(cluster, plane, settings, fc.infiniteStream(fc.nat()), (sketches, ways, options, order) => {
      const keys = [...sketches.keys()].map(() => order.next().value as number);
      const shuffled = sketches
        .map((sketch, i) => ({ sketch, key: keys[i]! }))
        .sort((a, b) => a.key - b.key)
        .map(({ sketch }) => sketch);
      const [one, other] = [shuffled, sketches].map(list => plan(snapshot(list, options), self, ways));
      assert.deepEqual(one, other);
    }),
  );
});

test('node encryption seals nothing that is sealed already, and nothing for those who take no part', () => {
  fc.assert(
    fc.property(cluster, fc.boolean(), (sketches, optedOut) => {
      const options = { mode: 'wireguard', encryptNode: true, ipv6: true } as const;
      const result = plan(snapshot(sketches, options), { ...self, optedOut }, resting(sketches));
      const peers = result.wireguard?.peers ?? [];
      for (const { name } of peers) {
        const sketch = sketches.find(other => nameOf(other) === name)!;
        const to = `172.18.0.${100 + sketch.address!}`;
        const expected = sketch.seals && !optedOut ? WIREGUARD_DEVICE : 'eth0';
        assert.equal(route(result, { to }), expected);
        assert.equal(route(result, { to, mark: SEALED_MARK }), 'eth0');
      }
    }),
  );
});

function route(result: NodePlan, packet: Packet): string {
  return routeOf(self, result, packet);
}

function deviceOf(epoch: Epoch): string {
  return { none: VXLAN_DEVICE, wireguard: WIREGUARD_DEVICE, ipsec: ESP_DEVICE }[protocolOf(epoch)];
}

function isWayOf(remote: string, { destination, table, device }: RoutePlan): boolean {
  return destination === hostPrefix(remote) && table === TABLE.tunnels && device === VXLAN_DEVICE;
}

function resting(sketches: Sketch[]): Plane {
  return restingPlane(
    sketches.map(sketch => ({ metadata: { name: nameOf(sketch) } })),
    'wireguard',
  );
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
