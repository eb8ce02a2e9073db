import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Endpoint } from './api.ts';
import { COOKIE_REPLY_BYTES, INITIATION_BYTES, RESPONSE_BYTES } from './messages.ts';
import { type Datagram, isData, SimulatedNetwork } from './testlink.ts';

const isInitiation = (datagram: Datagram) => datagram.bytes.length === INITIATION_BYTES && !isData(datagram);
const isResponse = (datagram: Datagram) => datagram.bytes.length === RESPONSE_BYTES && !isData(datagram);
const isCookieReply = (datagram: Datagram) =>
  datagram.bytes.length === COOKIE_REPLY_BYTES && !isData(datagram);
const NOWHERE: Endpoint = { address: '203.0.113.9', port: 9 };

test('one who gets ahead of both sides with copies of their packets does not lead them away for good', () => {
  const network = new SimulatedNetwork();
  const { a, b, toB, toA } = network.pair('ahead');
  network.fateOf = datagram => (datagram.from === NOWHERE ? [1] : [10]);
  network.say(a, b, 'hello');
  network.inject({ ...network.wire[0]!, from: NOWHERE });
  network.advance(2);
  network.inject({ from: NOWHERE, to: a.endpoint, bytes: network.wire.find(isResponse)!.bytes });
  network.advance(100);
  assert.deepEqual([toA.endpoint, toB.endpoint], [NOWHERE, NOWHERE]);
  for (let second = 0; second < 30; second++) {
    network.say(a, b, `from a ${second}`);
    network.say(b, a, `from b ${second}`);
    network.advance(1000);
  }
  assert.ok(b.received.includes('from a 29'));
  assert.ok(a.received.includes('from b 29'));
});

test('whatever asks for a handshake, 5 s lie between two initiations', () => {
  const network = new SimulatedNetwork();
  const { a, b, toB } = network.pair('throttle');
  network.say(a, b, 'hello');
  for (let i = 0; i < 50; i++) {
    a.device.handleTraffic(toB, i % 2 ? 'staged' : 'rekeyNeeded', network.now);
    network.settle(a);
    network.advance(100);
  }
  const times = network.wire.filter(isInitiation).map(datagram => datagram.at);
  assert.equal(times.length, 1);
  network.advance(500);
  assert.equal(network.wire.filter(isInitiation).length, 2, 'the wish is kept until then');
});

test('a configured endpoint counts at once, also after the peer moved by its data', () => {
  const network = new SimulatedNetwork();
  const { a, b, toB } = network.pair('reconfigured');
  network.say(a, b, 'hello');
  network.advance(100);
  b.endpoint = { address: '198.51.100.2', port: 2 };
  network.say(b, a, 'moved');
  network.advance(100);
  network.wire.length = 0;
  b.endpoint = { address: '198.51.100.3', port: 3 };
  toB.setEndpoint(b.endpoint, network.now);
  network.settle(a);
  assert.deepEqual(
    network.wire.map(datagram => datagram.to),
    [b.endpoint],
  );
});

test('an initiation that comes again, or an older one, is not answered', () => {
  const network = new SimulatedNetwork();
  const { a, b } = network.pair('replay');
  network.say(a, b, 'hello');
  network.advance(100);
  const old = network.wire.find(isInitiation)!;
  network.advance(200_000);
  network.say(a, b, 'hello again');
  network.advance(100);
  const responses = network.wire.filter(isResponse).length;
  network.inject({ from: NOWHERE, to: b.endpoint, bytes: old.bytes });
  network.advance(100);
  assert.equal(network.wire.filter(isResponse).length, responses);
  assert.equal(b.device.drops.replayedInitiation, 1);
  network.inject({ from: NOWHERE, to: b.endpoint, bytes: network.wire.filter(isInitiation).at(-2)!.bytes });
  network.advance(100);
  assert.equal(b.device.drops.replayedInitiation, 2, 'the newest itself does not count twice');
  network.say(b, a, 'still here');
  network.advance(100);
  assert.deepEqual(a.received, ['still here'], 'the replay did not move the endpoint');
});

test('of more than 50 initiations a second the rest is dropped', () => {
  const network = new SimulatedNetwork();
  const { a, b } = network.pair('flood');
  const attack = network.addNode('flooda');
  const toB = network.introduce(attack, b, true);
  for (let i = 0; i < 40; i++) {
    toB.setEndpoint({ address: b.endpoint.address, port: b.endpoint.port + (i % 2) }, network.now);
    network.say(attack, b, 'x');
    attack.device.handleTraffic(toB, 'staged', network.now);
    network.settle(attack);
    network.advance(5);
  }
  assert.ok(b.device.drops.initiationFlood > 0);
  network.say(a, b, 'hello');
  network.advance(6000);
  assert.ok(network.wire.some(isResponse));
});

test('both begin at the same instant: one round trip later both talk, with the same keys', () => {
  const network = new SimulatedNetwork();
  const { a, b, toB, toA } = network.pair('together');
  network.say(a, b, 'from a');
  network.say(b, a, 'from b');
  network.advance(100);
  assert.deepEqual(b.received, ['from a']);
  assert.deepEqual(a.received, ['from b']);
  assert.equal(a.loop.currentKeypair(toB)!.localIndex, b.loop.currentKeypair(toA)!.remoteIndex);
  network.wire.length = 0;
  network.advance(60_000);
  assert.equal(network.wire.filter(isInitiation).length, 0);
});

test('both begin at the same instant, and the other one forgot that it did: a quarter of a second later both talk', () => {
  const network = new SimulatedNetwork();
  const { a, b } = network.pair('together');
  const [greater, smaller] = Buffer.compare(a.device.publicKey!, b.device.publicKey!) > 0 ? [a, b] : [b, a];
  const answers = (datagram: Datagram) => isResponse(datagram) && datagram.from === greater.endpoint;
  network.fateOf = datagram => (answers(datagram) ? [] : [10]);
  network.say(greater, smaller, 'from the greater');
  network.say(smaller, greater, 'from the smaller');
  network.advance(300);
  assert.deepEqual(smaller.received, ['from the greater']);
  assert.deepEqual(greater.received, ['from the smaller']);
});

test('an old answer that nobody confirmed is no tie', () => {
  const network = new SimulatedNetwork();
  const { a, b } = network.pair('together');
  const [greater, smaller] = Buffer.compare(a.device.publicKey!, b.device.publicKey!) > 0 ? [a, b] : [b, a];
  network.fateOf = datagram => (isData(datagram) ? [] : [10]);
  network.say(smaller, greater, 'unconfirmed');
  network.advance(10_000);
  network.restart(smaller);
  network.fateOf = () => [10];
  network.say(greater, smaller, 'hello');
  network.advance(100);
  assert.deepEqual(smaller.received, ['hello']);
});

test('packets that wait for our own key go as soon as there is one', () => {
  const network = new SimulatedNetwork();
  const { a, b } = network.pair('keyless');
  const key = a.device.privateKey;
  a.device.setPrivateKey(undefined, network.now);
  network.say(a, b, 'hello');
  network.advance(1000);
  assert.equal(network.wire.length, 0);
  a.device.setPrivateKey(key, network.now);
  network.settle(a);
  network.advance(100);
  assert.deepEqual(b.received, ['hello']);
});

test('a key that changes while an answer is awaited sends nothing by itself, and the next packet at once', () => {
  const network = new SimulatedNetwork();
  const { a, b } = network.pair('changing');
  network.fateOf = () => [];
  network.say(a, b, 'nobody answers');
  network.fateOf = () => [10];
  a.device.setPrivateKey(new Uint8Array(32).fill(9), network.now);
  network.settle(a);
  network.advance(100);
  assert.equal(network.wire.length, 1);
  // Only now does the other side learn of the new key.
  network.introduce(b, a, true);
  network.say(a, b, 'with the new key');
  network.advance(100);
  assert.deepEqual(b.received, ['nobody answers', 'with the new key']);
  assert.equal(b.device.drops.unknownPeer, 0);
});

test('under load a message costs a cookie, and the retry brings it', () => {
  const network = new SimulatedNetwork();
  const { a, b } = network.pair('load');
  b.device.setUnderLoad(true, network.now);
  network.say(a, b, 'hello');
  network.advance(100);
  assert.equal(network.wire.filter(isCookieReply).length, 1);
  assert.equal(network.wire.filter(isResponse).length, 0);
  assert.equal(b.device.drops.cookieRequired, 1);
  network.advance(6000);
  assert.deepEqual(b.received, ['hello']);
});

test('under load the initiator asks a cookie for the response too', () => {
  const network = new SimulatedNetwork();
  const { a, b } = network.pair('loaded');
  a.device.setUnderLoad(true, network.now);
  network.say(a, b, 'hello');
  network.advance(100);
  assert.ok(network.wire.some(datagram => isCookieReply(datagram) && datagram.from === a.endpoint));
  network.advance(6000);
  assert.deepEqual(b.received, ['hello']);
});

test('load passes one second after its last sign', () => {
  const network = new SimulatedNetwork();
  const { a, b } = network.pair('passing');
  b.device.setUnderLoad(true, network.now);
  b.device.setUnderLoad(false, network.now);
  network.advance(1000);
  network.say(a, b, 'hello');
  network.advance(100);
  assert.equal(network.wire.filter(isCookieReply).length, 0);
  assert.deepEqual(b.received, ['hello']);
});
