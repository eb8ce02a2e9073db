/** rtnetlink against the kernel, with iproute2 as the witness. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { isNetlinkError } from '../../src/linux/netlink/error.ts';
import { openRtnetlink, type RtnetlinkEvent } from '../../src/linux/rtnetlink.ts';
import type { Rule } from '../../src/linux/rule.ts';
import { eventually, freshNetns, freshRtnetlink, ip, run } from './support.ts';

interface IpLink {
  ifindex: number;
  ifname: string;
  mtu: number;
  operstate: string;
  address: string;
  ifalias?: string;
  flags: string[];
  linkinfo?: { info_kind: string; info_data?: { id: number; port: number; learning: boolean } };
}

test('devices are as ip shows them', async t => {
  const { netns, rtnetlink } = await freshRtnetlink(t);
  const other = await freshNetns(t);
  const veth = await rtnetlink.addLink({
    kind: 'veth',
    name: 'lxc1',
    mtu: 1420,
    mac: '02:00:00:00:00:01',
    alias: 'pellicle:a:eth0:10.0.0.1:default/web',
    up: true,
    peer: { name: 'eth0', netns: other, mtu: 1400, mac: '02:00:00:00:00:02', up: true },
  });
  await rtnetlink.addLink({ kind: 'vxlan', name: 'cilium_vxlan', id: 2, mac: '02:00:00:00:00:03', up: true });
  await rtnetlink.addLink({ kind: 'bridge', name: 'br0' });
  await rtnetlink.setLink('lxc1', { master: 'br0' });

  const shown = ip<IpLink>(netns, '-d', 'link');
  const ours = await rtnetlink.links();
  assert.equal(ours.length, shown.length);
  for (const link of ours) {
    const theirs = shown.find(({ ifindex }) => ifindex === link.index)!;
    assert.equal(link.name, theirs.ifname);
    assert.equal(link.mtu, theirs.mtu);
    assert.equal(link.mac, theirs.address);
    assert.equal(link.alias, theirs.ifalias);
    assert.equal(link.operState, theirs.operstate.toLowerCase());
    assert.equal(link.up, theirs.flags.includes('UP'));
    assert.equal(link.carrier, theirs.flags.includes('LOWER_UP'));
    assert.equal(link.kind, theirs.linkinfo?.info_kind);
  }
  const vxlan = shown.find(({ ifname }) => ifname === 'cilium_vxlan')!.linkinfo!.info_data!;
  assert.deepEqual([vxlan.id, vxlan.port, vxlan.learning], [2, 8472, false]);
  assert.equal(veth.mtu, 1420);
  assert.equal((await rtnetlink.link('lxc1'))?.master, (await rtnetlink.link('br0'))?.index);
  const [inside] = ip<IpLink>(other, 'link', 'show', 'eth0');
  assert.deepEqual([inside?.mtu, inside?.address], [1400, '02:00:00:00:00:02']);
  assert.ok(inside?.flags.includes('UP'));
});

test('devices are changed, renamed, moved and deleted', async t => {
  const { netns, rtnetlink } = await freshRtnetlink(t);
  const other = await freshNetns(t);
  await rtnetlink.addLink({ kind: 'veth', name: 'a', peer: { name: 'b' } });
  await rtnetlink.setLink('a', { name: 'c', mtu: 1300, mac: '02:00:00:00:00:09', up: true, alias: 'x' });
  const [changed] = ip<IpLink>(netns, 'link', 'show', 'c');
  assert.deepEqual([changed?.mtu, changed?.address, changed?.ifalias], [1300, '02:00:00:00:00:09', 'x']);
  await rtnetlink.setLink('c', { up: false, alias: '' });
  assert.equal((await rtnetlink.link('c'))?.up, false);
  assert.equal((await rtnetlink.link('c'))?.alias, undefined);
  await rtnetlink.setLink('b', { netns: other });
  assert.equal(await rtnetlink.link('b'), undefined);
  using there = rtnetlink.inNetns(other);
  assert.equal((await there.link('b'))?.name, 'b');
  assert.equal(await rtnetlink.deleteLink('c'), true);
  assert.equal(await rtnetlink.deleteLink('c'), false);
  assert.equal(await there.link('b'), undefined);
});

test('addresses are as ip shows them', async t => {
  const { netns, rtnetlink } = await freshRtnetlink(t);
  await rtnetlink.addLink({ kind: 'veth', name: 'a', up: true, peer: { name: 'b', up: true } });
  for (const address of ['10.244.1.1/32', '192.0.2.7/24', 'fd00::7/64']) {
    await rtnetlink.replaceAddress({ address, device: 'a' });
    await rtnetlink.replaceAddress({ address, device: 'a' });
  }
  interface Shown {
    addr_info: { local: string; prefixlen: number; scope: string; tentative?: boolean }[];
  }
  const [shown] = ip<Shown>(netns, 'addr', 'show', 'a');
  const theirs = shown!.addr_info.map(({ local, prefixlen, scope }) => [`${local}/${prefixlen}`, scope]);
  const ours = (await rtnetlink.addresses({ device: 'a' })).map(({ address, scope }) => [address, scope]);
  assert.deepEqual(ours.sort(), theirs.sort());
  const own = (await rtnetlink.addresses({ family: 6 })).find(({ address }) => address === 'fd00::7/64');
  assert.deepEqual([own?.device, own?.tentative], ['a', false], 'usable at once');
  assert.equal(await rtnetlink.deleteAddress({ address: '192.0.2.7/24', device: 'a' }), true);
  assert.equal(await rtnetlink.deleteAddress({ address: '192.0.2.7/24', device: 'a' }), false);
  assert.equal(await rtnetlink.deleteAddress({ address: '192.0.2.7/24', device: 'none' }), false);
});

interface IpRoute {
  type?: string;
  dst: string;
  gateway?: string;
  dev?: string;
  prefsrc?: string;
  metric?: number;
  flags: string[];
}

test('routes fail closed and are as ip shows them', async t => {
  const { netns, rtnetlink } = await freshRtnetlink(t);
  await rtnetlink.addLink({ kind: 'veth', name: 'a', up: true, peer: { name: 'b', up: true } });
  await rtnetlink.replaceAddress({ address: '10.244.1.1/32', device: 'a' });
  await rtnetlink.replaceAddress({ address: 'fd00:1::1/128', device: 'a' });
  const wanted = [
    { destination: '10.244.1.0/24', type: 'throw' as const, table: 2110 },
    { destination: '10.244.2.0/24', device: 'a', source: '10.244.1.1', table: 2110 },
    { destination: '10.244.3.0/24', device: 'a', via: '10.244.3.1', onlink: true, table: 2110, mtu: 1400 },
    { destination: '0.0.0.0/0', type: 'unreachable' as const, table: 2110 },
    { destination: 'fd00:2::/64', device: 'a', source: 'fd00:1::1', table: 2110, metric: 7 },
    { destination: '::/0', type: 'unreachable' as const, table: 2110 },
  ];
  for (const route of [...wanted, ...wanted]) await rtnetlink.replaceRoute(route);
  const shownOf = (family: 4 | 6) => ip<IpRoute>(netns, `-${family}`, 'route', 'show', 'table', '2110');
  const routes = await rtnetlink.routes({ table: 2110 });
  assert.equal(routes.length, wanted.length);
  for (const route of routes) {
    const shown = shownOf(route.family);
    assert.equal(shown.length, route.family === 4 ? 4 : 2);
    const destination = route.destination.endsWith('/0') ? 'default' : route.destination;
    const theirs = shown.find(({ dst }) => dst === destination)!;
    assert.equal(theirs.type ?? 'unicast', route.type);
    assert.equal(theirs.gateway, route.via);
    assert.equal(theirs.prefsrc, route.source);
    assert.equal(theirs.metric, route.metric);
    assert.equal(theirs.flags.includes('onlink'), route.onlink);
    if (route.type === 'unicast') assert.equal(theirs.dev, route.device);
  }
  assert.equal(routes.find(({ via }) => via)?.mtu, 1400);
});

test('a route that drops is replaced by one that leads on, and back', async t => {
  const { rtnetlink } = await freshRtnetlink(t);
  await rtnetlink.addLink({ kind: 'veth', name: 'a', up: true, peer: { name: 'b', up: true } });
  for (const destination of ['10.244.2.0/24', 'fd00:2::/64']) {
    for (const type of ['unreachable', 'unicast', 'blackhole'] as const) {
      const device = type === 'unicast' ? { device: 'a' } : {};
      await rtnetlink.replaceRoute({ destination, type, table: 2110, ...device });
      const routes = await rtnetlink.routes({ table: 2110 });
      const types = routes.filter(route => route.destination === destination).map(route => route.type);
      assert.deepEqual(types, [type], destination);
    }
    assert.equal(await rtnetlink.deleteRoute({ destination, table: 2110 }), true);
    assert.equal(await rtnetlink.deleteRoute({ destination, table: 2110 }), false);
  }
  assert.deepEqual(await rtnetlink.routes({ table: 4711 }), []);
  assert.equal(await rtnetlink.deleteRoute({ destination: '10.0.0.0/8', device: 'none' }), false);
});

test('multipath routes of others are read', async t => {
  const { netns, rtnetlink } = await freshRtnetlink(t);
  await rtnetlink.addLink({ kind: 'veth', name: 'a', up: true, peer: { name: 'b', up: true } });
  const hops = ['nexthop', 'dev', 'a', 'weight', '2', 'nexthop', 'via', '10.9.9.9', 'dev', 'b', 'onlink'];
  run(netns, 'ip', 'route', 'add', '10.5.0.0/16', ...hops);
  const route = (await rtnetlink.routes({ family: 4 })).find(
    ({ destination }) => destination === '10.5.0.0/16',
  );
  assert.deepEqual(
    route?.nexthops?.map(({ device, via, weight }) => [device, via, weight]),
    [
      ['a', undefined, 2],
      ['b', '10.9.9.9', 1],
    ],
  );
});

test('rules are made once and are as ip shows them', async t => {
  const { netns, rtnetlink } = await freshRtnetlink(t);
  const rules: Rule[] = [
    { family: 4, priority: 100, iif: 'eth0', from: '10.244.0.0/16', action: 'blackhole' },
    { family: 4, priority: 105, mark: 0xe00, mask: 0xf00, invert: true, action: 'lookup', table: 2111 },
    { family: 4, priority: 105, mark: 0xe00, mask: 0xf00, action: 'lookup', table: 2111 },
    { family: 4, priority: 110, to: '10.244.0.0/16', action: 'lookup', table: 2110 },
    { family: 6, priority: 110, to: 'fd00:10:244::/48', action: 'lookup', table: 2110 },
    { family: 6, priority: 120, oif: 'eth0', action: 'unreachable' },
  ];
  for (const rule of [...rules, ...rules]) await rtnetlink.ensureRule(rule);
  interface Shown {
    priority: number;
    not?: null;
  }
  const made = (list: Shown[]) => list.filter(({ priority }) => priority >= 100 && priority <= 120);
  assert.deepEqual(
    made(ip<Shown>(netns, '-4', 'rule')).map(rule => [rule.priority, 'not' in rule]),
    [
      [100, false],
      [105, true],
      [105, false],
      [110, false],
    ],
  );
  assert.equal(made(ip<Shown>(netns, '-6', 'rule')).length, 2);
  const ours = (await rtnetlink.rules()).filter(({ priority }) => priority >= 100 && priority <= 120);
  assert.deepEqual(ours, rules);
  for (const rule of rules) assert.equal(await rtnetlink.deleteRule(rule), true);
  assert.equal(await rtnetlink.deleteRule(rules[0]!), false);
});

test('neighbours and forwarding entries are as iproute2 shows them', async t => {
  const { netns, rtnetlink } = await freshRtnetlink(t);
  await rtnetlink.addLink({ kind: 'vxlan', name: 'cilium_vxlan', id: 2, up: true });
  const mac = '02:00:00:00:00:09';
  for (const address of ['10.244.2.1', 'fd00:2::1']) {
    await rtnetlink.replaceNeighbour({ address, device: 'cilium_vxlan', mac: '02:00:00:00:00:08' });
    await rtnetlink.replaceNeighbour({ address, device: 'cilium_vxlan', mac });
  }
  await rtnetlink.replaceFdb({ mac, device: 'cilium_vxlan', destination: '172.18.0.3' });
  await rtnetlink.replaceFdb({ mac, device: 'cilium_vxlan', destination: '172.18.0.4' });

  const shown = ip<{ dst: string; lladdr: string; state: string[] }>(netns, 'neigh');
  const theirs = shown
    .filter(({ state }) => state.includes('PERMANENT'))
    .map(({ dst, lladdr }) => [dst, lladdr]);
  const permanent = (await rtnetlink.neighbours()).filter(({ state }) => state === 'permanent');
  const ours = permanent.map(neighbour => [neighbour.address, neighbour.mac]);
  assert.deepEqual(ours.sort(), theirs.sort());
  assert.deepEqual(
    ours.map(([, to]) => to),
    [mac, mac],
  );
  const fdb = await rtnetlink.fdb('cilium_vxlan');
  assert.deepEqual(
    fdb.map(entry => [entry.mac, entry.destination]),
    [[mac, '172.18.0.4']],
  );
  const bridge = JSON.parse(run(netns, 'bridge', '-j', 'fdb')) as { mac: string; dst?: string }[];
  assert.ok(bridge.some(entry => entry.mac === mac && entry.dst === '172.18.0.4'));

  const gone = { address: '10.244.2.1', device: 'cilium_vxlan' };
  assert.equal(await rtnetlink.deleteNeighbour(gone), true);
  assert.equal(await rtnetlink.deleteNeighbour(gone), false);
  const entry = { mac, device: 'cilium_vxlan', destination: '172.18.0.4' };
  assert.equal(await rtnetlink.deleteFdb(entry), true);
  assert.equal(await rtnetlink.deleteFdb(entry), false);
});

test("errors have the kernel's code and words", async t => {
  const { rtnetlink } = await freshRtnetlink(t);
  await rtnetlink.addLink({ kind: 'veth', name: 'a', peer: { name: 'b' } });
  const cases: [string, () => Promise<unknown>, RegExp][] = [
    [
      'EEXIST',
      () => rtnetlink.addLink({ kind: 'veth', name: 'a', peer: { name: 'c' } }),
      /add the veth device a/,
    ],
    [
      'ENETUNREACH',
      () => rtnetlink.addRoute({ destination: '10.0.0.0/8', via: '9.9.9.9' }),
      /invalid gateway/,
    ],
    ['ENODEV', () => rtnetlink.addRoute({ destination: '10.0.0.0/8', device: 'none' }), /device none/],
    ['ENODEV', () => rtnetlink.setLink('none', { up: true }), /change the device none/],
    ['ENOENT', () => rtnetlink.setLink('a', { netns: '/nowhere' }), /network namespace \/nowhere/],
  ];
  for (const [code, call, words] of cases) {
    await assert.rejects(call, error => {
      assert.ok(isNetlinkError(error, code), `${error}`);
      assert.match(error.message, words);
      return true;
    });
  }
  assert.throws(() => openRtnetlink({ netns: '/nowhere' }), { code: 'ENOENT' });
});

test('changes are told as they come', async t => {
  const { netns, rtnetlink } = await freshRtnetlink(t);
  const events: RtnetlinkEvent[] = [];
  const kinds = ['link', 'address', 'route', 'rule', 'neighbour'] as const;
  using _subscription = rtnetlink.subscribe([...kinds], event => events.push(event));
  run(netns, 'ip', 'link', 'add', 'name', 'v0', 'type', 'veth', 'peer', 'name', 'v1');
  run(netns, 'ip', 'link', 'set', 'v0', 'up');
  run(netns, 'ip', 'addr', 'add', '10.0.0.1/32', 'dev', 'v0');
  run(netns, 'ip', 'route', 'add', '10.1.0.0/16', 'dev', 'v0');
  run(netns, 'ip', 'rule', 'add', 'pref', '77', 'from', '10.0.0.0/8', 'table', '77');
  run(netns, 'ip', 'neigh', 'add', '10.1.0.1', 'dev', 'v0', 'lladdr', '02:00:00:00:00:01');
  run(netns, 'ip', 'link', 'del', 'v0');
  await eventually('the end of the device', () =>
    events.some(event => event.kind === 'link' && event.what === 'deleted' && event.link.name === 'v0'),
  );
  const told = (what: 'new' | 'deleted', kind: string, test: (event: RtnetlinkEvent) => boolean) =>
    events.some(event => event.kind === kind && 'what' in event && event.what === what && test(event));
  assert.ok(told('new', 'link', event => event.kind === 'link' && event.link.name === 'v0' && event.link.up));
  assert.ok(
    told('new', 'address', event => event.kind === 'address' && event.address.address === '10.0.0.1/32'),
  );
  assert.ok(
    told('new', 'route', event => event.kind === 'route' && event.route.destination === '10.1.0.0/16'),
  );
  assert.ok(told('new', 'rule', event => event.kind === 'rule' && event.rule.priority === 77));
  assert.ok(
    told('new', 'neighbour', event => event.kind === 'neighbour' && event.neighbour.address === '10.1.0.1'),
  );
});

test('after a storm of events the reader is told to read all again', async t => {
  const { netns, rtnetlink } = await freshRtnetlink(t);
  const events: RtnetlinkEvent[] = [];
  using _subscription = rtnetlink.subscribe(['route'], event => events.push(event));
  const batch = Array.from({ length: 30_000 }, (_, i) => `route add blackhole 10.${i >> 8}.${i & 255}.0/24`);
  // The event loop stands still meanwhile, and the socket's buffer overflows.
  execFileSync('nsenter', [`--net=${netns}`, 'ip', '-batch', '-'], { input: batch.join('\n') });
  await eventually('the overflow', () => events.some(({ kind }) => kind === 'resync'));
  const routes = await rtnetlink.routes({ family: 4, table: 254 });
  assert.equal(routes.length, batch.length, 'and a dump of many parts is whole');
});

test('a table that changes while it is read is read whole or again', async t => {
  const { netns, rtnetlink } = await freshRtnetlink(t);
  const batch = Array.from({ length: 4000 }, (_, i) => `route add blackhole 10.${i >> 8}.${i & 255}.0/24`);
  execFileSync('nsenter', [`--net=${netns}`, 'ip', '-batch', '-'], { input: batch.join('\n') });
  using writer = openRtnetlink({ netns });
  let writing = true;
  const writes = (async () => {
    for (let i = 0; writing; i++) {
      await writer.replaceRoute({ destination: `11.0.${i & 255}.0/24`, type: 'blackhole' });
      await writer.deleteRoute({ destination: `11.0.${i & 255}.0/24` });
    }
  })();
  for (let i = 0; i < 20; i++) {
    const routes = await rtnetlink.routes({ family: 4, table: 254 });
    assert.ok(routes.filter(({ destination }) => destination.startsWith('10.')).length === batch.length);
  }
  writing = false;
  await writes;
});

test('many requests at once are answered each with its own', async t => {
  const { rtnetlink } = await freshRtnetlink(t);
  await rtnetlink.addLink({ kind: 'veth', name: 'a', peer: { name: 'b' } });
  const names = Array.from({ length: 200 }, (_, i) => ['a', 'b', 'lo', 'none'][i % 4]!);
  const links = await Promise.all(names.map(name => rtnetlink.link(name)));
  assert.deepEqual(
    links.map(link => link?.name),
    names.map(name => (name === 'none' ? undefined : name)),
  );
});
