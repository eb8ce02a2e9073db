import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { concatBytes, fromHex, toHex } from '../bytes.ts';
import { hash, open, PrivateKey, seal } from './crypto.ts';
import {
  IDENTIFIER,
  labelledKey,
  type RemoteStatic,
  readInitiation,
  readResponse,
  writeInitiation,
  writeResponse,
} from './noise.ts';

const hex = (text: string): Uint8Array => fromHex(text)!;
const NOTHING = new Uint8Array();

/** Out of the cacophony vectors, which every Noise library carries. */
const VECTOR = {
  prologue: '4a6f686e2047616c74',
  psk: '54686973206973206d7920417573747269616e20706572737065637469766521',
  initiatorStatic: 'e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1',
  initiatorEphemeral: '893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a',
  responderStatic: '4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893',
  responderEphemeral: 'bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b',
  responderPublic: '31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62',
  transcript: 'f5191b875290abcd41347ac3622d9679688a7e980229cb937ef748336cfde0e5',
  payloads: ['4c756477696720766f6e204d69736573', '4d757272617920526f746862617264'],
  messages: [
    'ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944' +
      '001e21de9f98ddd8e2ad57527207feb56253c9c94a9e496782ecfcb2a75fbcaf1b52948cc48daefe660c62119ab50009' +
      '80c84831215f2441eba616548e832985464cf17e51ee93109008399a21f7e13f',
    '95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843' +
      'cb765f2caef0751b8f007572dab0322217755c0632f365717edbf34d33e87a',
  ],
  transport: [
    ['462e20412e20486179656b', '8153ca9833bc3c1b91a7e66e5f4d4f5b59bf9e64c2f20d15f0bba7'],
    ['4361726c204d656e676572', '07af0c9c86e1b4e80f36b04ff7688d51141af3debd0332f0a705ef'],
  ],
} as const;

test('Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s: the published vector, both sides', () => {
  const [prologue, presharedKey] = [hex(VECTOR.prologue), hex(VECTOR.psk)];
  const initiator = new PrivateKey(hex(VECTOR.initiatorStatic));
  const responder = new PrivateKey(hex(VECTOR.responderStatic));
  assert.equal(toHex(responder.publicKey), VECTOR.responderPublic);
  const remote = { publicKey: responder.publicKey, staticStatic: initiator.agree(responder.publicKey) };
  const first = writeInitiation({
    local: initiator,
    remote,
    ephemeral: new PrivateKey(hex(VECTOR.initiatorEphemeral)),
    payload: hex(VECTOR.payloads[0]),
    prologue,
  })!;
  const { ephemeral, encryptedStatic, encryptedPayload } = first.message;
  assert.equal(toHex(concatBytes(ephemeral, encryptedStatic, encryptedPayload)), VECTOR.messages[0]);

  const received = readInitiation({
    local: responder,
    message: first.message,
    lookup: publicKey => ({ publicKey, staticStatic: responder.agree(publicKey) }),
    prologue,
  });
  assert.ok(typeof received !== 'string');
  assert.deepEqual(received.remoteStatic, initiator.publicKey);
  assert.equal(toHex(received.payload), VECTOR.payloads[0]);
  const second = writeResponse({
    received,
    ephemeral: new PrivateKey(hex(VECTOR.responderEphemeral)),
    presharedKey,
    payload: hex(VECTOR.payloads[1]),
  })!;
  assert.equal(
    toHex(concatBytes(second.message.ephemeral, second.message.encryptedPayload)),
    VECTOR.messages[1],
  );

  const answer = readResponse({
    pending: first.pending,
    local: initiator,
    presharedKey,
    message: second.message,
  });
  assert.ok(typeof answer !== 'string');
  assert.equal(toHex(answer.payload), VECTOR.payloads[1]);
  assert.deepEqual(answer.keys, second.keys);
  assert.equal(toHex(answer.keys.transcript), VECTOR.transcript);
  const [forth, back] = VECTOR.transport;
  assert.equal(toHex(seal(answer.keys.initiatorToResponder, 0n, hex(forth[0]), NOTHING)), forth[1]);
  assert.equal(toHex(open(second.keys.responderToInitiator, 0n, hex(back[1]), NOTHING)!), back[0]);
});

test("WireGuard's fixed hashes", () => {
  const construction = hash(new TextEncoder().encode('Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s'));
  assert.equal(toHex(construction), '60e26daef327efc02ec335e2a025d2d016eb4206f87277f52d38d1988b78cd36');
  const identified = hash(construction, IDENTIFIER);
  assert.equal(toHex(identified), '2211b361081ac566691243db458ad5322d9c6c662293e8b70ee19c65ba079ef3');
  assert.notDeepEqual(labelledKey('mac1----', NOTHING), labelledKey('cookie--', NOTHING));
});

const remoteOf = (local: PrivateKey, publicKey: Uint8Array): RemoteStatic => ({
  publicKey,
  staticStatic: local.agree(publicKey),
});

function handshake() {
  const [initiator, responder] = [new PrivateKey(randomBytes(32)), new PrivateKey(randomBytes(32))];
  const first = writeInitiation({
    local: initiator,
    remote: remoteOf(initiator, responder.publicKey),
    ephemeral: new PrivateKey(randomBytes(32)),
    payload: randomBytes(12),
  })!;
  const lookup = (publicKey: Uint8Array) => remoteOf(responder, publicKey);
  return { initiator, responder, first, lookup };
}

test('a bit changed anywhere in either message ends it, and a forged answer leaves the true one its chance', () => {
  const { initiator, responder, first, lookup } = handshake();
  const [mine, theirs] = [randomBytes(32), randomBytes(32)];
  const received = readInitiation({ local: responder, message: first.message, lookup });
  assert.ok(typeof received !== 'string');
  const answer = writeResponse({ received, ephemeral: new PrivateKey(randomBytes(32)), presharedKey: mine })!;
  const { pending } = first;
  const read = (message: typeof answer.message, presharedKey: Uint8Array) =>
    readResponse({ pending, local: initiator, presharedKey, message });

  fc.assert(
    fc.property(fc.nat(31 + 48 + 28), fc.nat(7), (position, bit) => {
      const { ephemeral, encryptedStatic, encryptedPayload } = first.message;
      const whole = concatBytes(ephemeral, encryptedStatic, encryptedPayload);
      whole[position]! ^= 1 << bit;
      const message = {
        ephemeral: whole.slice(0, 32),
        encryptedStatic: whole.slice(32, 80),
        encryptedPayload: whole.slice(80),
      };
      const outcome = readInitiation({ local: responder, message, lookup });
      assert.ok(outcome === 'undecryptable' || outcome === 'lowOrderPoint');
    }),
  );
  fc.assert(
    fc.property(fc.nat(31 + 16), fc.nat(7), (position, bit) => {
      const whole = concatBytes(answer.message.ephemeral, answer.message.encryptedPayload);
      whole[position]! ^= 1 << bit;
      const message = { ephemeral: whole.slice(0, 32), encryptedPayload: whole.slice(32) };
      const outcome = read(message, mine);
      assert.ok(outcome === 'undecryptable' || outcome === 'lowOrderPoint');
    }),
  );
  assert.equal(read(answer.message, theirs), 'undecryptable');
  const outcome = read(answer.message, mine);
  assert.ok(typeof outcome !== 'string');
  assert.deepEqual(outcome.keys, answer.keys);
});

test('points of low order: as ephemeral, as static key of either side', () => {
  const { initiator, responder, first, lookup } = handshake();
  const zero = new Uint8Array(32);
  const message = { ...first.message, ephemeral: zero };
  assert.equal(readInitiation({ local: responder, message, lookup }), 'lowOrderPoint');
  const ephemeral = new PrivateKey(randomBytes(32));
  const toNobody = {
    local: initiator,
    remote: remoteOf(initiator, zero),
    ephemeral,
    payload: randomBytes(12),
  };
  assert.equal(writeInitiation(toNobody), undefined);
  const nobody = () => ({ publicKey: zero, staticStatic: undefined });
  assert.equal(readInitiation({ local: responder, message: first.message, lookup: nobody }), 'lowOrderPoint');
  const stranger = () => undefined;
  assert.equal(readInitiation({ local: responder, message: first.message, lookup: stranger }), 'unknownPeer');
  const answer = { ephemeral: zero, encryptedPayload: new Uint8Array(16) };
  const { pending } = first;
  assert.equal(
    readResponse({ pending, local: initiator, presharedKey: zero, message: answer }),
    'lowOrderPoint',
  );
});

test('the transcript that an initiation leaves with the initiator is gone once wiped', () => {
  const { initiator, responder, first, lookup } = handshake();
  const received = readInitiation({ local: responder, message: first.message, lookup });
  assert.ok(typeof received !== 'string');
  const presharedKey = new Uint8Array(32);
  const answer = writeResponse({ received, ephemeral: new PrivateKey(randomBytes(32)), presharedKey })!;
  first.pending.state.wipe();
  const outcome = readResponse({
    pending: first.pending,
    local: initiator,
    presharedKey,
    message: answer.message,
  });
  assert.equal(outcome, 'undecryptable');
});
