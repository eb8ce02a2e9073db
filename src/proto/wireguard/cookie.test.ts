import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isZero } from '../bytes.ts';
import type { Endpoint } from './api.ts';
import { CookieChecker, MacSigner } from './cookie.ts';
import { decodeCookieReply, encodeInitiation, mac2Of } from './messages.ts';
import { seededRandom } from './testlink.ts';

const HOME: Endpoint = { address: '192.0.2.1', port: 51820 };
const publicKey = seededRandom('key')(32);

function setUp() {
  return { checker: new CookieChecker(publicKey, seededRandom('checker')), signer: new MacSigner(publicKey) };
}

/** An initiation signed at `now`. */
function signed(signer: MacSigner, now: number, senderIndex = 1): Uint8Array {
  const message = encodeInitiation({
    senderIndex,
    ephemeral: new Uint8Array(32),
    encryptedStatic: new Uint8Array(48),
    encryptedTimestamp: new Uint8Array(28),
  });
  signer.sign(message, now);
  return message;
}

function replyTo(checker: CookieChecker, message: Uint8Array, from: Endpoint, now: number) {
  return decodeCookieReply(checker.reply(message, from, now)!);
}

test('mac1 is enough while there is no load, and needs our public key', () => {
  const { checker, signer } = setUp();
  const message = signed(signer, 0);
  assert.ok(isZero(mac2Of(message)));
  assert.equal(checker.check(message, HOME, false, 0), 'accepted');
  assert.equal(checker.check(message.with(20, 1), HOME, false, 0), 'badMac1');
  const stranger = new MacSigner(seededRandom('other')(32));
  assert.equal(checker.check(signed(stranger, 0), HOME, false, 0), 'badMac1');
});

test('under load the cookie opens the door, from its own address and port alone', () => {
  const { checker, signer } = setUp();
  const message = signed(signer, 0);
  assert.equal(checker.check(message, HOME, true, 0), 'cookieRequired');
  assert.ok(signer.consume(replyTo(checker, message, HOME, 0), 0));
  const second = signed(signer, 10);
  assert.ok(!isZero(mac2Of(second)));
  assert.equal(checker.check(second, HOME, true, 10), 'accepted');
  assert.equal(checker.check(second, { ...HOME, port: 1 }, true, 10), 'cookieRequired');
  assert.equal(checker.check(second, { ...HOME, address: '192.0.2.2' }, true, 10), 'cookieRequired');
  assert.equal(checker.check(second.with(147, second[147]! ^ 1), HOME, true, 10), 'cookieRequired');
});

test('a source that is known still has its rate', () => {
  const { checker, signer } = setUp();
  signer.consume(replyTo(checker, signed(signer, 0), HOME, 0), 0);
  const verdicts = Array.from({ length: 7 }, () => checker.check(signed(signer, 1), HOME, true, 1));
  assert.equal(verdicts.filter(verdict => verdict === 'accepted').length, 5);
  assert.equal(verdicts.filter(verdict => verdict === 'rateLimited').length, 2);
});

test('the cookie is not used after 115 s, and its secret is gone after 120 s', () => {
  const { checker, signer } = setUp();
  signer.consume(replyTo(checker, signed(signer, 0), HOME, 0), 0);
  const late = signed(signer, 114_999);
  assert.ok(!isZero(mac2Of(late)));
  assert.ok(isZero(mac2Of(signed(signer, 115_000))));
  assert.equal(checker.check(late, HOME, true, 119_999), 'accepted');
  assert.equal(checker.check(late, HOME, true, 120_000), 'cookieRequired');
});

test('a reply counts once, for the last message alone, and only whole', () => {
  const { checker, signer } = setUp();
  const [first, second] = [signed(signer, 0, 1), signed(signer, 0, 2)];
  assert.ok(!signer.consume(replyTo(checker, first, HOME, 0), 0));
  const reply = replyTo(checker, second, HOME, 0);
  const broken = { ...reply, encryptedCookie: reply.encryptedCookie.with(0, reply.encryptedCookie[0]! ^ 1) };
  assert.ok(!signer.consume(broken, 0));
  assert.ok(signer.consume(reply, 0));
  assert.ok(!signer.consume(reply, 0));
  assert.ok(!new MacSigner(publicKey).consume(reply, 0));
});

test('scopes and IPv4-mapped addresses name the same source', () => {
  const { checker, signer } = setUp();
  const scoped: Endpoint = { address: 'fe80::1%eth0', port: 7 };
  assert.ok(signer.consume(replyTo(checker, signed(signer, 0), scoped, 0), 0));
  assert.equal(checker.check(signed(signer, 0), { ...scoped, address: 'fe80::1' }, true, 0), 'accepted');
  assert.ok(
    signer.consume(replyTo(checker, signed(signer, 0), { ...HOME, address: '::ffff:192.0.2.1' }, 0), 0),
  );
  assert.equal(checker.check(signed(signer, 0), HOME, true, 0), 'accepted');
  assert.equal(checker.reply(signed(signer, 0), { address: 'nonsense', port: 1 }, 0), undefined);
});
