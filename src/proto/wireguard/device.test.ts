import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Endpoint } from './api.ts';
import { KEEPALIVE_TIMEOUT, REKEY_AFTER_TIME, REKEY_TIMEOUT } from './limits.ts';
import { COOKIE_REPLY_BYTES, INITIATION_BYTES, RESPONSE_BYTES } from './messages.ts';
import { type Datagram, isData, isInClear, SimulatedNetwork } from './testlink.ts';

const isInitiation = (datagram: Datagram) => datagram.bytes.length === INITIATION_BYTES && !isData(datagram);
const _isResponse = (datagram: Datagram) => datagram.bytes.length === RESPONSE_BYTES && !isData(datagram);
const _isCookieReply = (datagram: Datagram) =>
  datagram.bytes.length === COOKIE_REPLY_BYTES && !isData(datagram);
const NOWHERE: Endpoint = { address: '203.0.113.9', port: 9 };

test('the first packet starts a handshake, and arrives after it', () => {
  const network = new SimulatedNetwork();
  const { a, b, toB, toA } = network.pair('first');
  network.say(a, b, 'hello, who is there');
  network.advance(100);
  assert.deepEqual(b.received, ['hello, who is there']);
  assert.ok(!isInClear(network, 'hello, who'));
  const [mine, theirs] = [a.loop.currentKeypair(toB)!, b.loop.currentKeypair(toA)!];
  assert.deepEqual(mine.sendKey, theirs.receiveKey);
  assert.deepEqual(mine.receiveKey, theirs.sendKey);
  assert.equal(mine.remoteIndex, theirs.localIndex);
  assert.ok(toB.lastHandshake && toA.lastHandshake);
  assert.equal(toB.sentBytes, INITIATION_BYTES);
  assert.equal(toB.receivedBytes, RESPONSE_BYTES);
});

test('a responder does not seal before the initiator has shown that it has the keys', () => {
  const network = new SimulatedNetwork();
  const { a, b, toA } = network.pair('confirm');
  network.fateOf = datagram => (isData(datagram) ? [] : [10]);
  network.say(a, b, 'lost');
  network.advance(100);
  assert.equal(b.loop.currentKeypair(toA), undefined);
  assert.equal(toA.lastHandshake, undefined);
  network.fateOf = () => [10];
  network.say(a, b, 'found');
  network.advance(100);
  assert.ok(b.loop.currentKeypair(toA));
});

test('with different preshared keys there is no session; with equal ones there is', () => {
  const network = new SimulatedNetwork();
  const { a, b, toB, toA } = network.pair('psk');
  toB.setPresharedKey(new Uint8Array(32).fill(1));
  toA.setPresharedKey(new Uint8Array(32).fill(2));
  network.say(a, b, 'hello');
  network.advance(1000);
  assert.deepEqual(b.received, []);
  assert.ok(a.device.drops.undecryptable > 0);
  toA.setPresharedKey(new Uint8Array(32).fill(1));
  network.advance(10_000);
  assert.deepEqual(b.received, ['hello']);
});

test('a handshake is retried every 5 s and a little, and given up after 90 s', () => {
  const network = new SimulatedNetwork();
  const { a, b } = network.pair('retry');
  network.fateOf = () => [];
  network.say(a, b, 'anybody');
  network.advance(200_000);
  const times = network.wire.map(datagram => datagram.at);
  assert.ok(network.wire.every(isInitiation));
  const gaps = times.slice(1).map((time, i) => time - times[i]!);
  assert.ok(gaps.every(gap => gap >= REKEY_TIMEOUT && gap < REKEY_TIMEOUT + 334));
  assert.ok(new Set(gaps).size > 5, 'jitter');
  assert.equal(times.length, 18);
  network.fateOf = () => [10];
  network.advance(100_000);
  assert.deepEqual(b.received, []);
  network.say(a, b, 'again');
  network.advance(100);
  assert.deepEqual(b.received, ['again']);
});

test('after 540 s without a session every key is gone', () => {
  const network = new SimulatedNetwork();
  const { a, b, toB, toA } = network.pair('zero');
  network.say(a, b, 'hello');
  network.advance(100);
  const { sendKey } = a.loop.currentKeypair(toB)!;
  network.advance(539_000);
  assert.ok(a.loop.currentKeypair(toB));
  network.advance(2000);
  assert.equal(a.loop.currentKeypair(toB), undefined);
  assert.equal(b.loop.currentKeypair(toA), undefined);
  assert.ok(sendKey.every(byte => byte === 0));
  assert.equal(a.device.nextTimeout(), undefined);
});

test('a packet that is 180 s late is not opened any more', () => {
  const network = new SimulatedNetwork();
  const { a, b } = network.pair('late');
  network.say(a, b, 'hello');
  network.advance(100);
  network.fateOf = datagram => [datagram.bytes.length === 64 ? 179_000 : 181_000];
  network.say(a, b, 'in time');
  network.say(a, b, 'much too late to be read by anybody');
  network.advance(182_000);
  assert.deepEqual(b.received, ['hello', 'in time']);
});

test('a silent peer is asked anew after 15 s; one that answers with keepalives is not', () => {
  const network = new SimulatedNetwork();
  const { a, b } = network.pair('silence');
  network.say(a, b, 'hello');
  network.advance(1000);
  network.wire.length = 0;
  network.say(a, b, 'one way');
  network.advance(30_000);
  assert.equal(network.wire.filter(isInitiation).length, 0);
  const keepalive = network.wire.find(datagram => datagram.from === b.endpoint)!;
  assert.ok(Math.abs(keepalive.at - network.wire[0]!.at - KEEPALIVE_TIMEOUT) <= 1000);
  network.wire.length = 0;
  network.fateOf = () => [];
  const sentAt = network.now;
  network.say(a, b, 'into the dark');
  network.advance(16_000);
  const initiation = network.wire.find(isInitiation)!;
  const silence = initiation.at - sentAt;
  assert.ok(silence >= 15_000 && silence < 15_334, `${silence}`);
});

test('the initiator asks for new keys at 120 s, and no packet is lost over it', () => {
  const network = new SimulatedNetwork();
  const { a, b } = network.pair('rekey');
  for (let second = 0; second < 400; second++) {
    network.say(a, b, `ping ${second}`);
    network.advance(500);
    network.say(b, a, `pong ${second}`);
    network.advance(500);
  }
  assert.equal(b.received.length, 400);
  assert.equal(a.received.length, 400);
  const initiations = network.wire.filter(isInitiation);
  assert.equal(initiations.length, 4);
  assert.ok(initiations.every(datagram => datagram.from === a.endpoint));
  assert.ok(initiations[1]!.at - initiations[0]!.at >= REKEY_AFTER_TIME);
  assert.ok(initiations[1]!.at - initiations[0]!.at <= REKEY_AFTER_TIME + 1100);
});

test('an initiator that only receives asks for new keys at 165 s', () => {
  const network = new SimulatedNetwork();
  const { a, b } = network.pair('receiving');
  network.say(a, b, 'hello');
  for (let second = 0; second < 180; second++) {
    network.advance(1000);
    network.say(b, a, `news ${second}`);
  }
  network.advance(1000);
  const initiations = network.wire.filter(isInitiation);
  assert.equal(a.received.length, 180);
  assert.equal(initiations.length, 2);
});

test('persistent keepalive: one at once, then one after each interval of silence', () => {
  const network = new SimulatedNetwork();
  const { a, toB } = network.pair('persistent');
  toB.setPersistentKeepalive(25, network.now);
  network.settle(a);
  network.advance(100);
  assert.equal(network.wire.filter(isInitiation).length, 1);
  assert.equal(network.wire.filter(isData).length, 1);
  network.advance(100_000);
  assert.equal(network.wire.filter(isData).length, 5);
  toB.setPersistentKeepalive(0, network.now);
  network.advance(60_000);
  assert.equal(network.wire.filter(isData).length, 5);
});

test('a new endpoint is tried at once, although the last initiation is less than 5 s old', () => {
  const network = new SimulatedNetwork();
  const [a, b] = [network.addNode('moveda'), network.addNode('movedb')];
  const toB = network.introduce(a, b, false);
  network.introduce(b, a, false);
  toB.setEndpoint(NOWHERE, network.now);
  network.say(a, b, 'hello');
  network.advance(1000);
  assert.deepEqual(b.received, []);
  toB.setEndpoint(b.endpoint, network.now);
  network.settle(a);
  network.advance(100);
  assert.deepEqual(b.received, ['hello']);
  network.wire.length = 0;
  toB.setEndpoint({ ...b.endpoint }, network.now);
  network.settle(a);
  assert.equal(network.wire.length, 0, 'the same endpoint is no news');
});

test('packets wait for an endpoint that comes later', () => {
  const network = new SimulatedNetwork();
  const [a, b] = [network.addNode('latea'), network.addNode('lateb')];
  const toB = network.introduce(a, b, false);
  network.introduce(b, a, false);
  network.say(a, b, 'hello');
  network.advance(7000);
  assert.equal(network.wire.length, 0);
  toB.setEndpoint(b.endpoint, network.now);
  network.settle(a);
  network.advance(100);
  assert.deepEqual(b.received, ['hello']);
});

test('a peer that moves is followed, by data and by handshakes', () => {
  const network = new SimulatedNetwork();
  const { a, b, toA } = network.pair('roam');
  network.say(a, b, 'from home');
  network.advance(100);
  a.endpoint = { address: '198.51.100.7', port: 4242 };
  network.say(a, b, 'from abroad');
  network.advance(100);
  assert.deepEqual(toA.endpoint, a.endpoint);
  network.say(b, a, 'how is it');
  network.advance(100);
  assert.deepEqual(a.received, ['how is it']);
  network.advance(200_000);
  a.endpoint = { address: '2001:db8::7', port: 7 };
  network.say(b, a, 'where are you');
  network.say(a, b, 'elsewhere');
  network.advance(100);
  assert.deepEqual(toA.endpoint, a.endpoint);
});

test('a wall clock set back does not make initiations look old', () => {
  const network = new SimulatedNetwork();
  const { a, b } = network.pair('clock');
  network.say(a, b, 'one');
  network.advance(200_000);
  network.wallClockOffset -= 86_400;
  network.say(a, b, 'two');
  network.advance(100);
  assert.deepEqual(b.received, ['one', 'two']);
  assert.equal(b.device.drops.replayedInitiation, 0);
});

test('our own public key is no peer, and a peer with the key that we take is removed', () => {
  const network = new SimulatedNetwork();
  const [a, b] = [network.addNode('owna'), network.addNode('ownb')];
  assert.equal(a.device.upsertPeer(a.device.publicKey!), undefined);
  network.introduce(a, b, true);
  a.device.setPrivateKey(b.device.privateKey!, network.now);
  assert.equal(a.device.peers.size, 0);
});

test('another private key ends the sessions; the same one does not', () => {
  const network = new SimulatedNetwork();
  const { a, b, toB } = network.pair('identity');
  network.say(a, b, 'hello');
  network.advance(100);
  a.device.setPrivateKey(a.device.privateKey!, network.now);
  network.settle(a);
  assert.ok(a.loop.currentKeypair(toB));
  a.device.setPrivateKey(new Uint8Array(32).fill(9), network.now);
  network.settle(a);
  assert.equal(a.loop.currentKeypair(toB), undefined);
  network.say(a, b, 'who am I');
  network.advance(100);
  assert.equal(b.device.drops.unknownPeer, 1);
  a.device.setPrivateKey(new Uint8Array(32), network.now);
  assert.equal(a.device.privateKey, undefined);
});

test('a link that is down sends nothing and has no session; up again it begins anew', () => {
  const network = new SimulatedNetwork();
  const { a, b, toB } = network.pair('down');
  network.say(a, b, 'one');
  network.advance(100);
  a.device.setUp(false, network.now);
  network.settle(a);
  assert.equal(a.loop.currentKeypair(toB), undefined);
  assert.equal(a.device.nextTimeout(), undefined);
  network.say(a, b, 'two');
  network.advance(10_000);
  assert.deepEqual(b.received, ['one']);
  a.device.setUp(true, network.now);
  network.settle(a);
  network.say(a, b, 'three');
  network.advance(100);
  assert.ok(b.received.includes('three'));
});

test('a removed peer takes its timers and indices with it', () => {
  const network = new SimulatedNetwork();
  const { a, b, toB } = network.pair('gone');
  network.say(a, b, 'hello');
  network.advance(100);
  assert.ok(a.device.removePeer(toB.publicKey));
  assert.ok(!a.device.removePeer(toB.publicKey));
  network.settle(a);
  assert.equal(a.device.nextTimeout(), undefined);
  network.say(b, a, 'still there?');
  network.advance(100);
  assert.deepEqual(a.received, []);
  assert.deepEqual(toB.presharedKey, new Uint8Array(32));
});

test('garbage of every length is counted, never thrown', () => {
  const network = new SimulatedNetwork();
  const { a, b } = network.pair('garbage');
  for (let type = 0; type < 6; type++) {
    for (const length of [0, 1, 3, 4, 31, 32, 63, 64, 91, 92, 147, 148, 149, 1500]) {
      const bytes = new Uint8Array(length);
      if (length > 0) bytes[0] = type;
      assert.ok(a.device.handleDatagram(bytes, b.endpoint, network.now));
    }
  }
  const { drops } = a.device;
  assert.deepEqual([drops.badMac1, drops.unknownIndex, drops.malformed], [2, 1, 81]);
});
