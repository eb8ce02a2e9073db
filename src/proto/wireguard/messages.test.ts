import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { toHex } from '../bytes.ts';
import {
  decodeCookieReply,
  decodeDataHeader,
  decodeInitiation,
  decodeResponse,
  encodeCookieReply,
  encodeDataHeader,
  encodeInitiation,
  encodeResponse,
  messageType,
} from './messages.ts';

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const index = fc.nat(0xffffffff);

test('every message survives its own encoding', () => {
  const plain = { noNullPrototype: true };
  const initiation = fc.record(
    { senderIndex: index, ephemeral: bytes(32), encryptedStatic: bytes(48), encryptedTimestamp: bytes(28) },
    plain,
  );
  const response = fc.record(
    { senderIndex: index, receiverIndex: index, ephemeral: bytes(32), encryptedNothing: bytes(16) },
    plain,
  );
  const reply = fc.record({ receiverIndex: index, nonce: bytes(24), encryptedCookie: bytes(32) }, plain);
  fc.assert(
    fc.property(initiation, response, reply, (first, second, third) => {
      assert.deepEqual(decodeInitiation(encodeInitiation(first)), first);
      assert.deepEqual(decodeResponse(encodeResponse(second)), second);
      assert.deepEqual(decodeCookieReply(encodeCookieReply(third)), third);
    }),
  );
  assert.equal(messageType(encodeInitiation(fc.sample(initiation, 1)[0]!)), 1);
  assert.equal(messageType(encodeResponse(fc.sample(response, 1)[0]!)), 2);
  assert.equal(messageType(encodeCookieReply(fc.sample(reply, 1)[0]!)), 3);
});

test('the header of a data message', () => {
  assert.equal(toHex(encodeDataHeader(0x01020304, 5n)), '04000000040302010500000000000000');
  assert.deepEqual(decodeDataHeader(encodeDataHeader(7, 2n ** 63n)), {
    receiverIndex: 7,
    counter: 2n ** 63n,
  });
});

test('a message is known by type, zero bytes and length together', () => {
  assert.equal(messageType(new Uint8Array(148).with(0, 1).with(2, 1)), undefined);
  assert.equal(messageType(new Uint8Array(147).with(0, 1)), undefined);
  assert.equal(messageType(new Uint8Array(31).with(0, 4)), undefined);
  assert.equal(messageType(new Uint8Array(32).with(0, 4)), 4);
  assert.equal(messageType(new Uint8Array(3)), undefined);
  assert.equal(messageType(new Uint8Array(148).with(0, 5)), undefined);
});
