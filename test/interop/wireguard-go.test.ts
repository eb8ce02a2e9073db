import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { parseCidr } from '../../src/proto/ip/cidr.ts';
import type { Peer } from '../../src/proto/wireguard/api.ts';
import { MacSigner } from '../../src/proto/wireguard/cookie.ts';
import { PrivateKey } from '../../src/proto/wireguard/crypto.ts';
import {
  COOKIE_REPLY_BYTES,
  encodeInitiation,
  INITIATION_BYTES,
  MESSAGE_COOKIE_REPLY,
  MESSAGE_RESPONSE,
  RESPONSE_BYTES,
} from '../../src/proto/wireguard/messages.ts';
import type { SetPeer } from '../../src/proto/wireguard/uapi.ts';
import { ADDRESSES, Bench, GO_PORT, until } from './bench.ts';
import { Core } from './core.ts';
import { echoReplySequence, echoRequest } from './ping.ts';

const bench = new Bench();
const goSecret = randomBytes(32);
const goPublicKey = new PrivateKey(goSecret).publicKey;
let core: Core;
let toGo: Peer;
let sequence = 0;

before(() => bench.open());
after(() => bench.close());

beforeEach(async () => {
  core = new Core(bench);
  toGo = core.device.upsertPeer(goPublicKey)!;
  for (const range of ['10.9.0.2/32', 'fd00:9::2/128']) core.loop.allowedIps.add(parseCidr(range)!, toGo);
  await bench.configureGo({ privateKey: goSecret, listenPort: GO_PORT });
  const ranges = ['10.9.0.1/32', 'fd00:9::1/128'].map(range => ({ range: parseCidr(range)!, remove: false }));
  await configurePeer({ allowedIps: ranges });
});

afterEach(async () => {
  await configurePeer({ remove: true });
  await core.close();
});

test('we initiate: pings of both families cross, over IPv4', async () => {
  await reach(4);
  await ping(4);
  await ping(6);
  const [status] = (await bench.statusOfGo()).peers;
  assert.ok(Math.abs(status!.lastHandshake!.seconds - Date.now() / 1000) < 10);
  assert.ok(status!.rxBytes > 0);
});

test('we initiate over IPv6, with a preshared key', async () => {
  const presharedKey = randomBytes(32);
  await configurePeer({ presharedKey });
  toGo.setPresharedKey(presharedKey);
  await reach(6);
  await ping(6);
  await ping(4);
});

test('they initiate: their ping is answered', async () => {
  await core.bind(4, 51821);
  await configurePeer({ endpoint: { address: ADDRESSES.core[4], port: 51821 } });
  const output = await bench.inGo('ping', '-c', '3', '-i', '0.2', '-W', '5', ADDRESSES.tunnelCore[4]);
  assert.match(output, / 0% packet loss/);
  assert.deepEqual(toGo.endpoint, { address: ADDRESSES.go[4], port: GO_PORT });
  assert.equal(core.loop.currentKeypair(toGo)?.initiator, false);
});

test('new keys while pings go on: none is lost', async () => {
  await reach(4);
  await ping(4);
  const before = core.loop.currentKeypair(toGo)!.localIndex;
  core.device.handleTraffic(toGo, 'rekeyNeeded', core.now);
  core.settle();
  const deadline = core.now + 10_000;
  while (core.loop.currentKeypair(toGo)!.localIndex === before && core.now < deadline) await ping(4);
  assert.notEqual(core.loop.currentKeypair(toGo)!.localIndex, before);
  for (let n = 0; n < 20; n++) await ping(4);
});

test('we roam: they follow', async () => {
  await reach(4);
  await ping(4);
  await core.bind(4, 51999);
  await ping(4);
  const [status] = (await bench.statusOfGo()).peers;
  assert.deepEqual(status!.endpoint, { address: ADDRESSES.core[4], port: 51999 });
});

test('they roam: we follow', async () => {
  await reach(4);
  await ping(4);
  await bench.configureGo({ listenPort: 51888 });
  await bench.inGo('ping', '-c', '1', '-W', '5', ADDRESSES.tunnelCore[4]);
  assert.deepEqual(toGo.endpoint, { address: ADDRESSES.go[4], port: 51888 });
  await ping(4);
});

test('under our load they take our cookie and come back with it', async () => {
  await core.bind(4, 51821);
  core.device.setUnderLoad(true, core.now);
  await configurePeer({ endpoint: { address: ADDRESSES.core[4], port: 51821 } });
  const output = await bench.inGo('ping', '-c', '8', '-i', '1', '-w', '9', ADDRESSES.tunnelCore[4]);
  assert.ok(core.device.drops.cookieRequired >= 1);
  assert.match(output, /[1-8] received/);
});

test('under their load we take their cookie and come back with it', async () => {
  await core.bind(4, 51821);
  const worthless = initiationOfNobody();
  const flood = setInterval(() => core.sendRaw(worthless, ADDRESSES.go[4], GO_PORT, 700), 200);
  try {
    await until('the flood is felt', () => core.heard.includes(MESSAGE_COOKIE_REPLY));
    toGo.setEndpoint({ address: ADDRESSES.go[4], port: GO_PORT }, core.now);
    core.send(echoRequest(ADDRESSES.tunnelCore[4], ADDRESSES.tunnelGo[4], ++sequence));
    await until('a response, under load', () => core.heard.includes(MESSAGE_RESPONSE), 25_000);
  } finally {
    clearInterval(flood);
  }
  assert.ok(toGo.sentBytes >= 2 * INITIATION_BYTES, 'not by the first initiation');
  assert.ok(toGo.receivedBytes >= COOKIE_REPLY_BYTES + RESPONSE_BYTES, 'a cookie was taken');
  await ping(4);
});

/** Binds, and tells the core where wireguard-go is. */
async function reach(family: 4 | 6): Promise<void> {
  await core.bind(family, 51821);
  toGo.setEndpoint({ address: ADDRESSES.go[family], port: GO_PORT }, core.now);
  core.settle();
}

async function ping(family: 4 | 6): Promise<void> {
  const mine = ++sequence;
  core.send(echoRequest(ADDRESSES.tunnelCore[family], ADDRESSES.tunnelGo[family], mine));
  await until(`reply ${mine}`, () => core.delivered.some(packet => echoReplySequence(packet) === mine));
}

/** Sets fields of the peer that we are to wireguard-go. */
async function configurePeer(fields: Partial<SetPeer>): Promise<void> {
  const publicKey = core.device.publicKey!;
  const peer = {
    publicKey,
    remove: false,
    updateOnly: false,
    replaceAllowedIps: false,
    allowedIps: [],
    ...fields,
  };
  await bench.configureGo({ peers: [peer] });
}

/** It passes mac1, and no further. */
function initiationOfNobody(): Uint8Array {
  const message = encodeInitiation({
    senderIndex: 1,
    ephemeral: randomBytes(32),
    encryptedStatic: randomBytes(48),
    encryptedTimestamp: randomBytes(28),
  });
  new MacSigner(goPublicKey).sign(message, core.now);
  return message;
}
