/** What is encoded for the kernel is what would be decoded from it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatAddress } from '../proto/ip/address.ts';
import { formatCidr, network, parseCidr } from '../proto/ip/cidr.ts';
import { decodeAddress, encodeAddress } from './address.ts';
import { decodeLink, encodeLinkChange, encodeNewLink } from './link.ts';
import { decodeFdb, decodeNeighbour, encodeFdb, encodeNeighbour } from './neighbour.ts';
import { decodeGenericFamily } from './netlink/generic.ts';
import type { Family } from './netlink/ip.ts';
import { macText } from './netlink/ip.ts';
import { decodeRoute, encodeRoute, type RouteType } from './route.ts';
import { decodeEvent } from './rtnetlink-events.ts';
import { decodeRule, encodeRule, equalRules, type Rule } from './rule.ts';

const family = fc.constantFrom<Family>(4, 6);
const address = (of: Family) =>
  fc
    .uint8Array({ minLength: of === 4 ? 4 : 16, maxLength: of === 4 ? 4 : 16 })
    .map(bytes => formatAddress({ family: of, bytes }));
const prefix = (of: Family) =>
  fc
    .tuple(address(of), fc.nat(of === 4 ? 32 : 128))
    .map(([text, length]) => formatCidr(network(parseCidr(`${text}/${length}`)!)));
const mac = fc.uint8Array({ minLength: 6, maxLength: 6 }).map(bytes => macText(bytes)!);
const index = fc.integer({ min: 1, max: 0x7fffffff });
const u32 = fc.integer({ min: 1, max: 0xffffffff });
const name = fc.stringMatching(/^[a-z][a-z0-9_.]{0,14}$/);

test('routes', () => {
  const route = family.chain(of =>
    fc.record(
      {
        destination: prefix(of),
        type: fc.constantFrom<RouteType>('unicast', 'local', 'multicast'),
        table: u32,
        via: fc.oneof(address(of), address(6)),
        onlink: fc.boolean(),
        source: address(of),
        metric: u32,
        mtu: u32,
        scope: fc.constantFrom('global' as const, 'link' as const, 'host' as const),
        protocol: fc.constantFrom('kernel' as const, 'static' as const),
      },
      { requiredKeys: ['destination', 'type', 'table', 'onlink', 'scope', 'protocol'] },
    ),
  );
  fc.assert(
    fc.property(route, index, (spec, deviceIndex) => {
      const decoded = decodeRoute(encodeRoute(spec, deviceIndex));
      assert.deepEqual(decoded, {
        family: parseCidr(spec.destination)!.address.family,
        deviceIndex,
        ...spec,
      });
    }),
  );
});

test('a route that leads nowhere has no device', () => {
  const bytes = encodeRoute({ destination: '::/0', type: 'unreachable', table: 2110 }, 1);
  const decoded = decodeRoute(bytes);
  assert.equal(decoded?.type, 'unreachable');
  assert.equal(decoded?.deviceIndex, undefined);
});

const anyRule: fc.Arbitrary<Rule> = family.chain(of =>
  fc.record(
    {
      family: fc.constant(of),
      priority: u32,
      action: fc.constant('lookup' as const),
      table: u32,
      from: prefix(of),
      to: prefix(of),
      iif: name,
      oif: name,
      mark: u32,
      mask: u32,
      invert: fc.constant(true),
      protocol: fc.integer({ min: 1, max: 255 }),
    },
    { requiredKeys: ['family', 'priority', 'action', 'table'] },
  ),
);

test('rules', () => {
  fc.assert(fc.property(anyRule, rule => assert.deepEqual(decodeRule(encodeRule(rule)), { ...rule })));
});

test('rules are equal when they select and do the same', () => {
  const rule: Rule = { family: 4, priority: 110, to: '10.244.0.0/16', action: 'lookup', table: 2110 };
  assert.ok(equalRules(rule, { ...rule, protocol: 3 }));
  assert.ok(equalRules({ ...rule, mark: 1 }, { ...rule, mark: 1, mask: 0xffffffff }));
  assert.ok(equalRules({ ...rule, from: '10.0.0.1' }, { ...rule, from: '10.0.0.1/32' }));
  assert.ok(!equalRules(rule, { ...rule, invert: true }));
  assert.ok(!equalRules(rule, { ...rule, table: 2111 }));
  assert.throws(() => encodeRule({ ...rule, family: 6 }), TypeError);
});

test('addresses', () => {
  const anyAddress = family.chain(of => fc.tuple(address(of), fc.nat(of === 4 ? 32 : 128)));
  fc.assert(
    fc.property(anyAddress, index, ([text, length], deviceIndex) => {
      const decoded = decodeAddress(
        encodeAddress({ address: `${text}/${length}`, device: 'x' }, deviceIndex),
      );
      assert.equal(decoded?.address, `${text}/${length}`);
      assert.equal(decoded?.deviceIndex, deviceIndex);
      assert.equal(decoded?.peer, undefined);
    }),
  );
});

test('neighbours and forwarding entries', () => {
  fc.assert(
    fc.property(family.chain(address), mac, index, fc.boolean(), (text, lladdr, deviceIndex, proxy) => {
      const neighbour = decodeNeighbour(
        encodeNeighbour({ address: text, device: 'x', mac: lladdr, proxy }, deviceIndex),
      );
      const { address: at, mac: to, state, proxy: isProxy } = neighbour!;
      assert.deepEqual([at, to, state, isProxy], [text, lladdr, 'permanent', proxy]);
      const fdb = decodeFdb(encodeFdb({ mac: lladdr, device: 'x', destination: text }, deviceIndex));
      assert.deepEqual([fdb?.mac, fdb?.destination, fdb?.deviceIndex], [lladdr, text, deviceIndex]);
      assert.equal(decodeNeighbour(encodeFdb({ mac: lladdr, device: 'x' }, 1)), undefined);
    }),
  );
});

test('devices', () => {
  const mtu = fc.integer({ min: 68, max: 65535 });
  fc.assert(
    fc.property(
      name,
      mtu,
      mac,
      u32,
      family.chain(address),
      fc.nat(0xffff),
      (text, size, lladdr, id, local, port) => {
        const common = { name: text, mtu: size, mac: lladdr, up: true };
        const vxlan = decodeLink(encodeNewLink({ ...common, kind: 'vxlan', id, local, port }, {}))!;
        assert.deepEqual(
          [vxlan.name, vxlan.mtu, vxlan.mac, vxlan.kind, vxlan.up],
          [text, size, lladdr, 'vxlan', true],
        );
        assert.deepEqual(vxlan.vxlan, { id, port, local, learning: false, external: false });
        const veth = decodeLink(encodeNewLink({ ...common, kind: 'veth', peer: { name: 'eth0' } }, {}))!;
        assert.deepEqual([veth.name, veth.mac, veth.kind], [text, lladdr, 'veth']);
        const changed = decodeLink(
          encodeLinkChange(text, { alias: 'pellicle:x', up: false, masterIndex: 7 }),
        )!;
        assert.deepEqual(
          [changed.name, changed.alias, changed.up, changed.master],
          [text, 'pellicle:x', false, 7],
        );
      },
    ),
  );
});

test('no decoder throws on garbage', () => {
  const decoders = [
    decodeLink,
    decodeAddress,
    decodeRoute,
    decodeRule,
    decodeNeighbour,
    decodeFdb,
    decodeGenericFamily,
  ];
  const types = [16, 17, 20, 21, 24, 25, 28, 29, 32, 33, 99];
  const heads = [0, 2, 7, 10].map(af => Uint8Array.of(af));
  const body = fc
    .tuple(fc.constantFrom(...heads), fc.uint8Array({ maxLength: 300 }))
    .map(parts => Uint8Array.from(Buffer.concat(parts)));
  fc.assert(
    fc.property(body, bytes => {
      for (const decode of decoders) decode(bytes);
      for (const type of types) decodeEvent({ type, flags: 0, sequence: 0, body: bytes });
    }),
    { numRuns: 3000 },
  );
});

test('refuses what is no address, prefix or MAC', () => {
  assert.throws(() => encodeRoute({ destination: 'default' }), TypeError);
  assert.throws(() => encodeAddress({ address: '10.0.0.1/33', device: 'x' }, 1), TypeError);
  assert.throws(() => encodeNeighbour({ address: '10.0.0', device: 'x' }, 1), TypeError);
  assert.throws(() => encodeFdb({ mac: '00:11:22:33:44', device: 'x' }, 1), TypeError);
});
