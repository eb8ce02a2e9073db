/** What passes: both families inside and outside, at every size, counted to the byte. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ENGINE, exited, until } from '../engine/pair.ts';
import { transfer } from '../engine/transfer.ts';
import { Loopback } from './loopback.ts';
import { World } from './world.ts';

/** The greatest device MTU that the public script tries: 34816 less what 1500 leaves for the tunnel. */
const BIG_MTU = 34_816 - 80;

describe('a device that was moved away from its sockets', () => {
  test('is served where it is now, and ends the engine when it is deleted there', async () => {
    await using net = await Loopback.open();
    const { left, right } = net;
    assert.equal(left.place.ping(right.inner4), 1);
    assert.match(net.middle.run('ss', '-Hlun'), /:1000 /);
    left.place.ip('link', 'set', left.wg.device, 'down');
    await until('the port is free', () => !/:1000 /.test(net.middle.run('ss', '-Hlun')));
    left.place.ip('link', 'set', left.wg.device, 'up');
    await until('the port is taken again', () => /:1000 /.test(net.middle.run('ss', '-Hlun')));
    assert.equal(left.place.ping(right.inner4), 1);
    left.place.ip('link', 'del', left.wg.device);
    await until('the engine ends', () => left.wg.process.exitCode === 0);
  });
});

test('a namespace that only the engine knows of ends, and with it the device in it and the engine', async () => {
  await using world = new World();
  const sockets = world.place();
  const home = world.place();
  const wg = await world.engine(sockets, home);
  home.ip('link', 'set', wg.device, 'up');
  await until('the port is taken', () => sockets.run('ss', '-Hlun') !== '');
  world.remove(home);
  await until('the engine ends', () => wg.process.exitCode === 0);
});

test('a device that was moved away is served by the engine that takes over, too', async () => {
  await using net = await Loopback.open();
  const { left, right, middle } = net;
  assert.equal(left.place.ping(right.inner4), 1);
  const next = middle.spawn(ENGINE[0]!, ENGINE[1]!, '-f', '--take-over', left.wg.device);
  try {
    await until('the first engine ends', () => left.wg.process.exitCode !== null);
    assert.equal(left.place.ping(right.inner4), 1);
    left.place.ip('link', 'set', left.wg.device, 'down');
    await until('the port is free', () => !/:1000 /.test(middle.run('ss', '-Hlun')));
    left.place.ip('link', 'set', left.wg.device, 'up');
    await until('packets pass again', () => left.place.ping(right.inner4) === 1);
  } finally {
    next.kill('SIGTERM');
    await exited(next);
  }
});

describe('packets', () => {
  for (const family of [4, 6] as const) {
    test(`of both families cross over IPv${family}, at the usual MTU and at a big one`, async () => {
      await using net = await Loopback.open();
      const { left, right } = net;
      await net.aim(family);
      for (const mtu of [1420, BIG_MTU]) {
        net.setMtu(mtu);
        for (const size of [0, 1, 1000, mtu - 28]) {
          assert.equal(left.place.ping(right.inner4, { count: 3, size }), 3, `${size} of ${mtu}`);
          assert.equal(right.place.ping(left.inner4, { count: 3, size }), 3, `${size} of ${mtu}`);
        }
        for (const size of [0, mtu - 48]) {
          assert.equal(left.place.ping(right.inner6, { count: 3, size }), 3, `${size} of ${mtu}`);
          assert.equal(right.place.ping(left.inner6, { count: 3, size }), 3, `${size} of ${mtu}`);
        }
        await transfer(left.place, right.place, right.inner4, 16);
        await transfer(right.place, left.place, left.inner6, 16);
      }
    });
  }

  test('are counted to the byte: what a person sees is what the wire carried', async () => {
    await using net = await Loopback.open();
    const { left, right } = net;
    assert.equal(right.place.ping(left.inner4, { count: 10 }), 10);
    // Twelve pings of 84 bytes are padded to 96, with 32 around them; an initiation has 148 bytes, its response 92; and a
    // keepalive may have confirmed the session before the first ping did.
    const [asked, answered] = [148 + 12 * 128, 92 + 12 * 128];
    const both = () =>
      Promise.all([right.wg.peer(left.wg.keys.publicKey), left.wg.peer(right.wg.keys.publicKey)]);
    await until('the counters meet', async () => {
      const [mine, theirs] = await both();
      const { txBytes, rxBytes } = mine;
      return rxBytes === answered && theirs.txBytes === rxBytes && theirs.rxBytes === txBytes;
    });
    const [mine, theirs] = await both();
    assert.ok([asked, asked + 32].includes(mine.txBytes), `${mine.txBytes}`);
    assert.ok(mine.lastHandshake && theirs.lastHandshake);
  });

  test('are padded to sixteen bytes, but never beyond the MTU of the device', async () => {
    await using net = await Loopback.open();
    const { left, right } = net;
    // 20 of IP, 8 of UDP, 16 of the message and 16 of the tag are around the packet.
    const around = 60;
    net.setMtu(1300);
    // The handshake is over before anything is counted: what waited for it leaves as one train, together with a keepalive.
    assert.equal(left.place.ping(right.inner4, { count: 2 }), 2);
    net.middle.nft(`table inet test {
      counter full {} ; counter beyond {} ; counter odd {}
      chain input { type filter hook input priority 0;
        ip length ${1300 + around} counter name full
        ip length > ${1300 + around} counter name beyond
        ip length ${1296 + around} accept
        udp dport { 1000, 2000 } ip length ${1281 + around}-${1299 + around} counter name odd
      }
    }`);
    for (let length = 1280; length <= 1300; length++) {
      assert.equal(left.place.ping(right.inner4, { size: length - 28 }), 1, `${length}`);
    }
    assert.equal(net.middle.counted('beyond'), 0);
    assert.equal(net.middle.counted('odd'), 0);
    // 1297 to 1300, there and back.
    assert.equal(net.middle.counted('full'), 8);
    // A route with an MTU of its own: what is longer goes in fragments.
    left.place.ip('route', 'add', `${right.inner4}/32`, 'dev', left.wg.device, 'mtu', '1299');
    assert.equal(left.place.ping(right.inner4, { size: 1271 }), 1);
    assert.equal(left.place.ping(right.inner4, { size: 1272, fragment: true }), 1);
  });
});
