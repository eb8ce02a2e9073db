/** Keys that change, that are none, that are one's own, and that are no keys. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fromBase64, toBase64 } from '../../src/proto/bytes.ts';
import { makeKeys, until, wg } from '../engine/pair.ts';
import { Loopback } from './loopback.ts';
import { World } from './world.ts';

const FAST = [process.execPath, join(import.meta.dirname, '../engine/fast-engine.ts')];
const NONE = toBase64(new Uint8Array(32));
/** Points that give the same secret with every key: zero, one, two of order eight, and what wraps around the prime. */
const LOW_ORDER = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
];

describe('a private key', () => {
  test('can change: the next packet shakes hands with the new one, at once', async () => {
    await using net = await Loopback.open();
    const { left, right } = net;
    assert.equal(left.place.ping(right.inner4), 1);
    const [before, after] = [left.wg.keys, makeKeys()];
    await left.wg.set({
      privateKey: after.privateKey,
      peers: [{ publicKey: right.wg.keys.publicKey, presharedKey: NONE }],
    });
    await right.wg.set({
      peers: [
        { publicKey: after.publicKey, allowedIps: [`${left.inner4}/32`] },
        { publicKey: before.publicKey, remove: true },
      ],
    });
    assert.equal(left.place.ping(right.inner4), 1);
    assert.equal((await right.wg.peer(after.publicKey)).presharedKey, undefined);
  });

  test('can change while a handshake goes unanswered: the next packet is the first to use it', async () => {
    // With a clock so slow that no retry is due meanwhile.
    await using net = await Loopback.open([...FAST, '--slow']);
    const { left, right } = net;
    const after = makeKeys();
    await right.wg.set({ listenPort: 2001 });
    // To a port where nobody listens any more; a session there is none yet.
    assert.equal(left.place.ping(right.inner4, { wait: 0.1 }), 0);
    await right.wg.set({ listenPort: 2000 });
    await left.wg.set({
      privateKey: after.privateKey,
      peers: [{ publicKey: right.wg.keys.publicKey, presharedKey: NONE }],
    });
    await right.wg.set({ peers: [{ publicKey: after.publicKey, allowedIps: [`${left.inner4}/32`] }] });
    assert.equal(left.place.ping(right.inner4), 1);
  });

  test('is kept as it was given but clamped, and goes when it is set to none', async () => {
    await using world = new World();
    const engine = await world.engine(world.place());
    const loose = new Uint8Array(32).fill(0xff);
    await engine.set({
      privateKey: toBase64(loose),
      peers: [{ publicKey: makeKeys().publicKey, presharedKey: toBase64(loose) }],
    });
    const clamped = Uint8Array.from(loose);
    [clamped[0], clamped[31]] = [0xf8, 0x7f];
    assert.equal(wg('show', engine.device, 'private-key').trim(), toBase64(clamped));
    assert.ok(wg('show', engine.device, 'preshared-keys').includes(toBase64(loose)));
    const [peer] = (await engine.status()).peers;
    await engine.set({
      privateKey: NONE,
      peers: [{ publicKey: toBase64(peer!.publicKey), presharedKey: NONE }],
    });
    assert.equal(wg('show', engine.device, 'private-key'), '(none)\n');
    assert.match(wg('show', engine.device, 'preshared-keys'), /\(none\)/);
  });

  test('makes its public key no peer, whichever of the two came first', async () => {
    await using world = new World();
    const engine = await world.engine(world.place());
    const [own, other] = [makeKeys(), makeKeys()];
    await engine.set({ peers: [{ publicKey: own.publicKey }] });
    assert.equal((await engine.status()).peers.length, 1);
    await engine.set({ privateKey: own.privateKey });
    assert.equal(wg('show', engine.device, 'public-key').trim(), own.publicKey);
    assert.equal(wg('show', engine.device, 'peers'), '');
    await engine.set({ peers: [{ publicKey: own.publicKey }] });
    assert.equal(wg('show', engine.device, 'peers'), '');
    await engine.set({ privateKey: other.privateKey, peers: [{ publicKey: own.publicKey }] });
    assert.equal(wg('show', engine.device, 'peers').trim(), own.publicKey);
  });
});

test('a peer whose key is a point of low order is never spoken to', async () => {
  await using world = new World();
  const place = world.place();
  const engine = await world.engine(place, place, FAST);
  const listener = place.spawn(
    process.execPath,
    '-e',
    `for (const port of [1111, 1112]) {
       const socket = require('node:dgram').createSocket('udp4');
       socket.on('message', () => console.log(port)).bind(port, '127.0.0.1', () => console.log('bound'));
     }`,
  );
  let heard = '';
  listener.stdout?.on('data', chunk => {
    heard += chunk;
  });
  await until('it listens', () => heard === 'bound\nbound\n');
  try {
    const points = LOW_ORDER.map(hex => toBase64(Buffer.from(hex, 'hex')));
    await engine.set({
      privateKey: engine.keys.privateKey,
      peers: [
        ...points.map(publicKey => ({ publicKey, endpoint: '127.0.0.1:1111', persistentKeepalive: 1 })),
        { publicKey: makeKeys().publicKey, endpoint: '127.0.0.1:1112', persistentKeepalive: 1 },
      ],
    });
    assert.equal((await engine.status()).peers.length, points.length + 1);
    place.ip('link', 'set', engine.device, 'up');
    // With time sixty times as fast, a real key is tried again and again meanwhile.
    await until('five initiations to a real key', () => heard.split('1112').length > 5);
    assert.ok(!heard.includes('1111'), heard);
  } finally {
    listener.kill('SIGKILL');
    await once(listener, 'exit');
  }
});

test('zero is no public key that packets go to, and harms nobody', async () => {
  await using net = await Loopback.open();
  const { left, right } = net;
  await left.wg.set({
    peers: [
      { publicKey: NONE, endpoint: '127.0.0.1:2000', allowedIps: ['10.8.0.0/16'], persistentKeepalive: 1 },
    ],
  });
  left.place.ip('route', 'add', '10.8.0.0/16', 'dev', left.wg.device);
  assert.equal(left.place.ping('10.8.0.1'), 0);
  assert.equal(left.place.ping(right.inner4), 1);
  assert.ok(fromBase64(NONE));
});
