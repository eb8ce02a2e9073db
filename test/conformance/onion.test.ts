/** Tunnels inside tunnels, packets that are marked and rerouted, and datagrams that find their way back into their tunnel. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { until } from '../engine/pair.ts';
import { transfer } from '../engine/transfer.ts';
import { Loopback } from './loopback.ts';
import { World } from './world.ts';

describe('a tunnel', () => {
  test('carries another tunnel', async () => {
    await using net = await Loopback.open();
    const { left, right, world } = net;
    const [a, b] = [await world.engine(left.place), await world.engine(right.place)];
    for (const [end, other, wg, peer] of [
      [left, right, a, b],
      [right, left, b, a],
    ] as const) {
      await wg.set({
        privateKey: wg.keys.privateKey,
        listenPort: 5,
        peers: [
          {
            publicKey: peer.keys.publicKey,
            allowedIps: [`10.8.0.${other.number}/32`],
            endpoint: `[${other.inner6}]:5`,
          },
        ],
      });
      end.place.ip('address', 'add', `10.8.0.${end.number}/24`, 'dev', wg.device);
      end.place.ip('link', 'set', wg.device, 'mtu', '1340', 'up');
    }
    for (const size of [0, 1312]) assert.equal(left.place.ping('10.8.0.2', { count: 3, size }), 3);
    await transfer(left.place, right.place, '10.8.0.2', 8);
    const outer = await left.wg.peer(right.wg.keys.publicKey);
    assert.ok(outer.txBytes > 8 << 20);
  });

  test('reaches a peer through another peer of its own, and ends well where that is the same one', async () => {
    await using net = await Loopback.open();
    const { left, right, world } = net;
    const inner = await world.engine(right.place);
    const publicKey = inner.keys.publicKey;
    await inner.set({
      privateKey: inner.keys.privateKey,
      listenPort: 5,
      peers: [{ publicKey: left.wg.keys.publicKey, allowedIps: ['10.8.0.1/32'] }],
    });
    right.place.ip('address', 'add', '10.8.0.2/24', 'dev', inner.device);
    right.place.ip('link', 'set', inner.device, 'up');
    // The engine's own sockets are in the middle: what they send to the right's inner address has to enter the tunnel.
    const { middle } = net;
    world.join('veth', middle, left.place);
    middle.ip('address', 'add', '192.0.2.1/24', 'dev', 'veth');
    left.place.ip('address', 'add', '192.0.2.2/24', 'dev', 'veth');
    middle.ip('route', 'add', `${right.inner4}/32`, 'via', '192.0.2.2');
    left.place.sysctl('net.ipv4.ip_forward', 1);
    right.place.ip('route', 'add', '192.0.2.0/24', 'dev', right.wg.device);
    await right.wg.set({
      peers: [{ publicKey: left.wg.keys.publicKey, allowedIps: [`${left.inner4}/32`, '192.0.2.0/24'] }],
    });
    left.place.ip('address', 'add', '10.8.0.1/24', 'dev', left.wg.device);
    await left.wg.set({
      peers: [{ publicKey, allowedIps: ['10.8.0.2/32'], endpoint: `${right.inner4}:5` }],
    });
    assert.equal(left.place.ping('10.8.0.2', { from: '10.8.0.1', count: 3 }), 3);

    await left.wg.set({ peers: [{ publicKey, endpoint: '10.8.0.2:5' }] });
    middle.ip('route', 'add', '10.8.0.2/32', 'via', '192.0.2.2');
    assert.equal(left.place.ping('10.8.0.2', { from: '10.8.0.1' }), 0);
    assert.equal(left.place.ping(right.inner4), 1);
  });

  test('whose datagrams lead into itself sends few of them, and is well when they do no more', async () => {
    await using world = new World();
    const [left, right] = [world.place(), world.place()];
    world.join('veth', left, right);
    left.ip('address', 'add', '192.0.2.1/24', 'dev', 'veth');
    right.ip('address', 'add', '192.0.2.2/24', 'dev', 'veth');
    right.ip('address', 'add', '198.51.100.2/32', 'dev', 'lo');
    right.ip('route', 'add', 'default', 'via', '192.0.2.1');
    const [a, b] = [await world.engine(left), await world.engine(right)];
    await a.set({
      privateKey: a.keys.privateKey,
      listenPort: 1000,
      peers: [
        {
          publicKey: b.keys.publicKey,
          allowedIps: ['0.0.0.0/0'],
          endpoint: '198.51.100.2:2000',
          persistentKeepalive: 1,
        },
      ],
    });
    await b.set({
      privateKey: b.keys.privateKey,
      listenPort: 2000,
      peers: [{ publicKey: a.keys.publicKey, allowedIps: ['10.9.0.1/32'] }],
    });
    left.ip('address', 'add', '10.9.0.1/24', 'dev', a.device);
    left.ip('route', 'add', '198.51.100.2', 'via', '192.0.2.2');
    right.ip('address', 'add', '10.9.0.2/24', 'dev', b.device);
    right.ip('link', 'set', b.device, 'up');
    left.ip('link', 'set', a.device, 'up');
    assert.equal(left.ping('10.9.0.2'), 1);

    // Now the way to the peer is through the tunnel to the peer.
    left.ip('route', 'replace', '198.51.100.2', 'dev', a.device);
    const before = (await a.peer(b.keys.publicKey)).txBytes;
    assert.equal(left.ping('10.9.0.2', { count: 10, wait: 1 }), 0);
    const sent = (await a.peer(b.keys.publicKey)).txBytes - before;
    assert.ok(sent < 70_000, `${sent} bytes for ten pings`);
    assert.ok((await a.drops())['drop_ownDatagram']! >= 10);

    left.ip('route', 'replace', '198.51.100.2', 'via', '192.0.2.2');
    await until('packets pass again', () => left.ping('10.9.0.2') === 1);
  });

  test('to be the default route leaves its marked datagrams the old one', async () => {
    await using net = await Loopback.open();
    const { left, right, world } = net;
    const [inside, outside] = [world.place(), world.place()];
    world.join('veth', inside, outside);
    inside.ip('address', 'add', '192.0.2.1/24', 'dev', 'veth');
    outside.ip('address', 'add', '192.0.2.2/24', 'dev', 'veth');
    const [a, b] = [await world.engine(inside), await world.engine(outside)];
    await b.set({
      privateKey: b.keys.privateKey,
      listenPort: 2000,
      peers: [{ publicKey: a.keys.publicKey, allowedIps: ['10.7.0.1/32', 'fd07::1/128'] }],
    });
    await a.set({
      privateKey: a.keys.privateKey,
      fwmark: 51_820,
      peers: [{ publicKey: b.keys.publicKey, allowedIps: ['0.0.0.0/0', '::/0'], endpoint: '192.0.2.2:2000' }],
    });
    for (const [place, wg, number] of [
      [inside, a, 1],
      [outside, b, 2],
    ] as const) {
      place.ip('address', 'add', `10.7.0.${number}/24`, 'dev', wg.device);
      place.ip('address', 'add', `fd07::${number}/64`, 'dev', wg.device, 'nodad');
      place.ip('link', 'set', wg.device, 'up');
    }
    outside.ip('address', 'add', '198.51.100.7/32', 'dev', b.device);
    outside.ip('address', 'add', '2001:db8:7::7/128', 'dev', b.device, 'nodad');
    // As wg-quick does it: all that is not marked and has no route but the default takes the tunnel.
    for (const family of ['-4', '-6']) {
      inside.ip(family, 'route', 'add', 'default', 'dev', a.device, 'table', '51820');
      inside.ip(family, 'rule', 'add', 'not', 'fwmark', '51820', 'table', '51820');
      inside.ip(family, 'rule', 'add', 'table', 'main', 'suppress_prefixlength', '0');
    }
    assert.equal(inside.ping('198.51.100.7', { count: 30 }), 30);
    assert.equal(inside.ping('2001:db8:7::7', { count: 30 }), 30);
    assert.equal(inside.ping('198.51.100.7', { from: a.device }), 1);
    assert.equal(left.place.ping(right.inner4), 1);
  });

  test('takes packets whose mark changes on their way out', async () => {
    await using net = await Loopback.open();
    const { left, right } = net;
    left.place.nft(`table inet test {
      chain output {
        type route hook output priority mangle;
        meta mark set 1
      }
    }`);
    assert.equal(left.place.ping(right.inner4), 1);
    assert.equal(left.place.ping(right.inner4, { from: left.wg.device }), 1);
  });
});
