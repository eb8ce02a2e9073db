import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Activity } from './api.ts';
import { Device } from './device.ts';
import { seededRandom } from './testlink.ts';
import { PeerTimers } from './timers.ts';

/** Timers with a packet loop's record that the test writes, and a list of what they did. */
function setUp() {
  const activity: Activity = { lastSent: 0, lastReceived: 0, unansweredSince: 0, unacknowledgedSince: 0 };
  const done: string[] = [];
  const timers: PeerTimers = new PeerTimers({
    activity: () => activity,
    jitter: () => 100,
    beginHandshake: now => {
      timers.attemptBegins(now);
      done.push(`begin ${now}`);
    },
    retry: now => done.push(`retry ${now}`),
    giveUp: now => done.push(`giveUp ${now}`),
    sendKeepalive: () => done.push('sendKeepalive'),
    breakTie: now => done.push(`breakTie ${now}`),
    zeroKeys: () => done.push('zeroKeys'),
    watch: (edge, after) => done.push(`watch ${edge} ${after}`),
  });
  const at = () => timers.next()?.at;
  const fire = (now: number) => {
    timers.handleTimeout(now);
    return done.splice(0);
  };
  return { timers, activity, fire, at };
}

test('newHandshake waits on while answers come, and counts from the first packet without one', () => {
  const { timers, activity, fire, at } = setUp();
  timers.dataSent(1000);
  assert.equal(at(), 16_100);
  activity.unansweredSince = 9000;
  assert.deepEqual(fire(16_100), []);
  assert.equal(at(), 24_100);
  assert.deepEqual(fire(24_099), []);
  assert.deepEqual(fire(24_100), ['watch dataSent 24100', 'begin 24100']);
  assert.equal(at(), undefined);
});

test('newHandshake disarms when all is answered, and asks for the next edge', () => {
  const { timers, fire, at } = setUp();
  timers.dataSent(1000);
  assert.deepEqual(fire(16_100), ['watch dataSent 16100']);
  assert.equal(at(), undefined);
});

test('after it fired, packets still without an answer have it fire 15 s later, not at once', () => {
  const { timers, activity, fire, at } = setUp();
  timers.dataSent(1000);
  activity.unansweredSince = 1000;
  fire(16_100);
  timers.dataSent(17_000);
  assert.equal(at(), 32_100);
  assert.deepEqual(fire(32_100), ['watch dataSent 32100', 'begin 32100']);
});

test('keepalive: not when something went out meanwhile, else 10 s after the first data that came in', () => {
  const { timers, activity, fire, at } = setUp();
  timers.dataReceived(1000);
  timers.dataReceived(2000);
  assert.equal(at(), 11_000);
  assert.deepEqual(fire(11_000), ['watch dataReceived 11000']);
  timers.dataReceived(20_000);
  activity.unacknowledgedSince = 25_000;
  assert.deepEqual(fire(30_000), []);
  assert.deepEqual(fire(35_000), ['watch dataReceived 35000', 'sendKeepalive']);
});

test('retransmit until 90 s, then the peer is given up, and its keys last 540 s more', () => {
  const { timers, fire, at } = setUp();
  timers.attemptBegins(0);
  timers.awaitAnswer(0);
  assert.deepEqual(fire(5100), ['retry 5100']);
  timers.awaitAnswer(85_000);
  assert.deepEqual(fire(90_100), ['giveUp 90100']);
  assert.equal(at(), 630_100);
  assert.deepEqual(fire(630_100), ['zeroKeys']);
});

test('persistentKeepalive counts from the last packet either way, handshakes too', () => {
  const { timers, activity, fire, at } = setUp();
  timers.setPersistentKeepalive(25, 0);
  activity.lastReceived = 10_000;
  assert.deepEqual(fire(25_000), []);
  assert.equal(at(), 35_000);
  timers.handshakeTraffic(20_000);
  assert.deepEqual(fire(35_000), []);
  assert.deepEqual(fire(45_000), ['sendKeepalive']);
  assert.equal(at(), 70_000);
  timers.setPersistentKeepalive(0, 50_000);
  assert.equal(at(), undefined);
});

test('a new session settles what waited for one', () => {
  const { timers, fire } = setUp();
  timers.dataSent(1000);
  timers.dataReceived(1000);
  timers.sessionDerived(2000);
  assert.deepEqual(fire(100_000), ['watch dataSent 2000', 'watch dataReceived 2000']);
  assert.equal(timers.next()?.why, 'zeroKeys');
});

test('a caller that tells every packet needs to give no record', () => {
  const device = new Device({
    random: seededRandom('plain'),
    now: 0,
    wallClock: () => ({ seconds: 1, nanos: 0 }),
  });
  device.setPrivateKey(new Uint8Array(32).fill(3), 0);
  const peer = device.upsertPeer(seededRandom('peer')(32))!;
  peer.setEndpoint({ address: '192.0.2.9', port: 9 }, 0);
  while (device.pollEvent());
  const eventsAt = (now: number) => {
    device.handleTimeout(now);
    const types: string[] = [];
    for (let event = device.pollEvent(); event; event = device.pollEvent()) types.push(event.type);
    return types;
  };
  device.handleTraffic(peer, 'dataReceived', 1000);
  device.handleTraffic(peer, 'keepaliveSent', 2000);
  assert.deepEqual(eventsAt(11_000), ['watch']);
  device.handleTraffic(peer, 'dataReceived', 12_000);
  assert.deepEqual(eventsAt(22_000), ['watch', 'sendKeepalive']);
  device.handleTraffic(peer, 'dataSent', 30_000);
  device.handleTraffic(peer, 'keepaliveReceived', 31_000);
  eventsAt(46_000);
  assert.equal(device.pollTransmit(), undefined);
  device.handleTraffic(peer, 'dataSent', 50_000);
  eventsAt(66_000);
  assert.equal(device.pollTransmit()?.bytes.length, 148);
});
