/** Where a peer is, and from where it is answered: outer addresses that come, go and change. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { until, wg } from '../engine/pair.ts';
import { Loopback } from './loopback.ts';
import { type Interface, type Place, World } from './world.ts';

describe('a peer that moves', () => {
  test('is followed to another address, port and family', async () => {
    await using net = await Loopback.open();
    const { left, right, middle } = net;
    const [toRight, toLeft] = [right.wg.keys.publicKey, left.wg.keys.publicKey];
    assert.equal(left.place.ping(right.inner4), 1);
    assert.equal(await right.wg.whereIs(toLeft), '127.0.0.1 1000');

    middle.ip('-4', 'address', 'del', '127.0.0.1/8', 'dev', 'lo');
    middle.ip('-4', 'address', 'add', '127.212.121.99/8', 'dev', 'lo');
    await left.wg.set({ listenPort: 9999, peers: [{ publicKey: toRight, endpoint: '127.0.0.1:2000' }] });
    assert.equal(left.place.ping(right.inner6), 1);
    assert.equal(await right.wg.whereIs(toLeft), '127.212.121.99 9999');

    await left.wg.set({ listenPort: 9998, peers: [{ publicKey: toRight, endpoint: '[::1]:2000' }] });
    assert.equal(left.place.ping(right.inner4), 1);
    assert.equal(await right.wg.whereIs(toLeft), '::1 9998');
    assert.equal(right.place.ping(left.inner4), 1);
  });

  test('is followed only by what it sealed, and its datagrams count for its own addresses alone', async () => {
    await using net = await Loopback.open();
    const { left, right } = net;
    const [toRight, stranger] = [right.wg.keys.publicKey, 'xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg='];
    await left.wg.set({ peers: [{ publicKey: toRight, allowedIps: ['10.9.0.0/24', 'fd09::/64'] }] });
    assert.equal(right.place.ping(left.inner4), 1);

    // A more exact range takes the address away: what comes from it by the old peer is dropped, but tells where that is.
    await left.wg.set({ peers: [{ publicKey: stranger, allowedIps: [`${right.inner4}/32`] }] });
    await right.wg.set({ listenPort: 9997 });
    assert.equal(right.place.ping(left.inner4), 0);
    await until('it is counted', async () => (await left.wg.drops())['drop_badSource']! >= 1);
    assert.equal(await left.wg.whereIs(toRight), '127.0.0.1 9997');
    assert.equal(right.place.ping(left.inner6), 1);

    await left.wg.set({ peers: [{ publicKey: stranger, remove: true }] });
    assert.equal(right.place.ping(left.inner4), 1);
  });
});

test('a new listen port is told to whoever has a session: a peer that only sends to us would not notice', async () => {
  await using net = await Loopback.open();
  const { left, right } = net;
  const toLeft = left.wg.keys.publicKey;
  assert.equal(right.place.ping(left.inner4), 1);
  for (const listenPort of [9999, 9998]) {
    await left.wg.set({ listenPort });
    await until('the peer knows', async () => (await right.wg.whereIs(toLeft)) === `127.0.0.1 ${listenPort}`);
  }
  assert.equal(right.place.ping(left.inner4), 1);
});

test('a listen port is free for another interface as soon as one has left it', async () => {
  await using world = new World();
  const place = world.place();
  const [first, second] = [await world.engine(place), await world.engine(place)];
  for (const [engine, listenPort] of [
    [first, 1001],
    [second, 1000],
  ] as const) {
    await engine.set({ listenPort });
    place.ip('link', 'set', engine.device, 'up');
  }
  await until('both ports are taken', () => place.run('ss', '-Hlun4').trim().split('\n').length === 2);
  for (let port = 1001; port < 1601; port++) {
    await first.set({ listenPort: port + 1 });
    await second.set({ listenPort: port });
  }
});

test('a peer whose datagrams come from port 0 is told and taken back as such, and heard again from another', async () => {
  await using net = await Loopback.open();
  const { left, right, middle } = net;
  const toRight = right.wg.keys.publicKey;
  assert.equal(right.place.ping(left.inner4), 1);
  middle.nft(`table inet test {
    chain output { type filter hook output priority 0;
      udp sport 2000 udp sport set 0
    }
  }`);
  assert.equal(right.place.ping(left.inner4), 0);
  await until('it is told', () => wg('show', left.wg.device, 'endpoints') === `${toRight}\t127.0.0.1:0\n`);
  wg('set', left.wg.device, 'peer', toRight, 'endpoint', '127.0.0.1:0');
  middle.run('nft', 'flush', 'ruleset');
  assert.equal(right.place.ping(left.inner4), 1);
  assert.equal(await left.wg.whereIs(toRight), '127.0.0.1 2000');
});

/** Two places joined by a veth pair, an interface in each; addresses on the veth are the tests'. */
async function neighbours(world: World): Promise<{ left: Place; right: Place; a: Interface; b: Interface }> {
  const [left, right] = [world.place(), world.place()];
  world.join('veth', left, right);
  const [a, b] = [await world.engine(left), await world.engine(right)];
  await a.set({
    privateKey: a.keys.privateKey,
    listenPort: 1000,
    peers: [{ publicKey: b.keys.publicKey, allowedIps: ['10.9.0.2/32'] }],
  });
  await b.set({
    privateKey: b.keys.privateKey,
    listenPort: 2000,
    peers: [{ publicKey: a.keys.publicKey, allowedIps: ['10.9.0.1/32'] }],
  });
  for (const [place, wg, address] of [
    [left, a, '10.9.0.1/24'],
    [right, b, '10.9.0.2/24'],
  ] as const) {
    place.ip('address', 'add', address, 'dev', wg.device);
    place.ip('link', 'set', wg.device, 'up');
  }
  return { left, right, a, b };
}

function add(place: Place, device: string, ...addresses: string[]): void {
  for (const address of addresses) place.ip('address', 'add', address, 'dev', device);
}

describe('our own address', () => {
  test('is another one as soon as the one in use is gone', async () => {
    await using world = new World();
    const { left, right, a, b } = await neighbours(world);
    left.sysctl('net.ipv4.conf.veth.promote_secondaries', 1);
    add(left, 'veth', '192.0.2.1/24', '2001:db8::1/96');
    add(right, 'veth', '192.0.2.2/24', '2001:db8::2/96');
    for (const [endpoint, old, fresh] of [
      ['192.0.2.2:2000', '192.0.2.1/24', '192.0.2.10/24'],
      ['[2001:db8::2]:2000', '2001:db8::1/96', '2001:db8::10/96'],
    ] as const) {
      await a.set({ peers: [{ publicKey: b.keys.publicKey, endpoint }] });
      assert.equal(left.ping('10.9.0.2'), 1);
      add(left, 'veth', fresh);
      left.ip('address', 'del', old, 'dev', 'veth');
      assert.equal(left.ping('10.9.0.2'), 1, `${old} is gone`);
      assert.equal((await b.whereIs(a.keys.publicKey)).split(' ')[0], fresh.split('/')[0]);
    }
  });

  test('is the one that the peer wrote to, whichever of many', async () => {
    await using world = new World();
    const { left, right, a, b } = await neighbours(world);
    add(left, 'veth', '192.0.2.1/24', '192.0.2.2/24', '2001:db8::1/96', '2001:db8::2/96');
    add(right, 'veth', '192.0.2.3/24', '2001:db8::3/96');
    // Also one of an interface that the datagrams do not come by.
    left.ip('link', 'add', 'other', 'type', 'veth', 'peer', 'name', 'nobody');
    left.ip('link', 'set', 'other', 'up');
    add(left, 'other', '198.51.100.1/24');
    right.ip('route', 'add', '198.51.100.0/24', 'dev', 'veth');
    for (const [address, port] of [
      ['192.0.2.1', '192.0.2.1:1000'],
      ['2001:db8::1', '[2001:db8::1]:1000'],
      ['192.0.2.2', '192.0.2.2:1000'],
      ['2001:db8::2', '[2001:db8::2]:1000'],
      ['198.51.100.1', '198.51.100.1:1000'],
    ] as const) {
      await b.set({ peers: [{ publicKey: a.keys.publicKey, endpoint: port }] });
      assert.equal(right.ping('10.9.0.1'), 1, address);
      assert.equal(await b.whereIs(a.keys.publicKey), `${address} 1000`);
    }
  });

  test('follows the way there, when another mark leads by another interface', async () => {
    await using world = new World();
    const { left, right, a, b } = await neighbours(world);
    world.join('marked', left, right);
    for (const place of [left, right]) {
      for (const device of ['all', 'veth', 'marked']) place.sysctl(`net.ipv4.conf.${device}.rp_filter`, 0);
    }
    add(left, 'veth', '192.0.2.1/24');
    add(right, 'veth', '192.0.2.2/24');
    add(left, 'marked', '198.51.100.1/24');
    add(right, 'marked', '198.51.100.2/24');
    left.ip(...['route', 'add', '192.0.2.2', 'via', '198.51.100.2', 'src', '198.51.100.1', 'table', '77']);
    left.ip('rule', 'add', 'fwmark', '7', 'table', '77');
    await a.set({ peers: [{ publicKey: b.keys.publicKey, endpoint: '192.0.2.2:2000' }] });
    for (const [fwmark, address] of [
      [0, '192.0.2.1'],
      [7, '198.51.100.1'],
      [0, '192.0.2.1'],
    ] as const) {
      await a.set({ fwmark });
      assert.equal(left.ping('10.9.0.2'), 1);
      assert.equal(await b.whereIs(a.keys.publicKey), `${address} 1000`, `mark ${fwmark}`);
    }
  });

  test('follows the way there, when that leaves by another interface', async () => {
    await using world = new World();
    const { left, right, a, b } = await neighbours(world);
    world.join('wider', left, right);
    for (const place of [left, right]) {
      for (const device of ['all', 'veth', 'wider']) place.sysctl(`net.ipv4.conf.${device}.rp_filter`, 0);
    }
    add(left, 'veth', '192.0.2.1/32');
    add(left, 'wider', '192.0.2.3/32');
    add(right, 'veth', '192.0.2.2/24');
    left.ip('route', 'add', '192.0.2.0/24', 'dev', 'veth', 'src', '192.0.2.1', 'metric', '2');
    await a.set({ peers: [{ publicKey: b.keys.publicKey, endpoint: '192.0.2.2:2000' }] });
    assert.equal(left.ping('10.9.0.2'), 1);
    assert.equal(await b.whereIs(a.keys.publicKey), '192.0.2.1 1000');
    left.ip('route', 'add', '192.0.2.0/24', 'dev', 'wider', 'src', '192.0.2.3', 'metric', '1');
    await until('the other way is taken', async () => {
      left.ping('10.9.0.2');
      return (await b.whereIs(a.keys.publicKey)) === '192.0.2.3 1000';
    });
    assert.equal(left.ping('10.9.0.2'), 1);
  });
});

describe('behind a NAT', () => {
  test('a peer with a persistent keepalive can be reached, however short the memory of the NAT is', async () => {
    await using world = new World();
    const [left, middle, right] = [world.place(), world.place(), world.place()];
    world.join('inside', left, middle);
    world.join('outside', middle, right);
    add(left, 'inside', '192.168.1.100/24');
    add(middle, 'inside', '192.168.1.1/24');
    add(middle, 'outside', '10.0.0.1/24');
    add(right, 'outside', '10.0.0.100/24');
    left.ip('route', 'add', 'default', 'via', '192.168.1.1');
    middle.sysctl('net.ipv4.ip_forward', 1);
    middle.nft(`table ip test {
      chain postrouting {
        type nat hook postrouting priority srcnat;
        ip saddr 192.168.1.0/24 oifname "outside" snat to 10.0.0.1
      }
    }`);
    // An entry is forgotten after two seconds, and then nothing gets in.
    middle.sysctl('net.netfilter.nf_conntrack_udp_timeout', 2);
    middle.sysctl('net.netfilter.nf_conntrack_udp_timeout_stream', 2);
    const [a, b] = [await world.engine(left), await world.engine(right)];
    await b.set({
      privateKey: b.keys.privateKey,
      listenPort: 2000,
      peers: [{ publicKey: a.keys.publicKey, allowedIps: ['10.9.0.1/32'] }],
    });
    await a.set({
      privateKey: a.keys.privateKey,
      listenPort: 1000,
      peers: [
        {
          publicKey: b.keys.publicKey,
          allowedIps: ['10.9.0.2/32'],
          endpoint: '10.0.0.100:2000',
          persistentKeepalive: 1,
        },
      ],
    });
    add(left, a.device, '10.9.0.1/24');
    add(right, b.device, '10.9.0.2/24');
    for (const [place, wg] of [
      [left, a],
      [right, b],
    ] as const) {
      place.ip('link', 'set', wg.device, 'up');
    }
    // Nobody sends a packet: the keepalive begins the session.
    await until('a session', async () => (await b.peer(a.keys.publicKey)).lastHandshake !== undefined);
    assert.equal(await b.whereIs(a.keys.publicKey), '10.0.0.1 1000');
    assert.equal(right.ping('10.9.0.1'), 1);
    const before = (await b.peer(a.keys.publicKey)).rxBytes;
    await until('three keepalives', async () => (await b.peer(a.keys.publicKey)).rxBytes >= before + 3 * 32);
    assert.equal(right.ping('10.9.0.1'), 1);

    await a.set({ peers: [{ publicKey: b.keys.publicKey, persistentKeepalive: 0 }] });
    await until('the NAT has forgotten', () => middle.run('cat', '/proc/net/nf_conntrack').trim() === '');
    assert.equal(right.ping('10.9.0.1'), 0);
    assert.equal(left.ping('10.9.0.2'), 1);
  });
});
