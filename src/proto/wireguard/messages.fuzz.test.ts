/** Datagrams as anybody may send them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  COOKIE_REPLY_BYTES,
  DATA_HEADER_BYTES,
  decodeCookieReply,
  decodeDataHeader,
  decodeInitiation,
  decodeResponse,
  encodeCookieReply,
  encodeDataHeader,
  encodeInitiation,
  encodeResponse,
  INITIATION_BYTES,
  MESSAGE_COOKIE_REPLY,
  MESSAGE_DATA,
  MESSAGE_INITIATION,
  MESSAGE_RESPONSE,
  messageType,
  RESPONSE_BYTES,
  TAG_BYTES,
} from './messages.ts';

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
/** With the prototype that read ones have. */
const plain = { noNullPrototype: true } as const;
const index = fc.integer({ min: 0, max: 0xffffffff });

/** Of any length, and of just those that the types have; a view into a larger buffer, as sockets give them. */
const datagram = fc
  .tuple(
    fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc
        .constantFrom(INITIATION_BYTES, RESPONSE_BYTES, COOKIE_REPLY_BYTES, DATA_HEADER_BYTES + TAG_BYTES)
        .chain(bytes),
    ),
    fc.nat(9),
    fc.option(fc.integer({ min: 0, max: 5 })),
  )
  .map(([content, offset, type]) => {
    const whole = new Uint8Array(content.length + offset + 3).fill(0xee);
    whole.set(content, offset);
    const view = whole.subarray(offset, offset + content.length);
    if (type !== null && view.length >= 4) view.set([type, 0, 0, 0]);
    return view;
  });

describe('messages of WireGuard', () => {
  test('a type is only what has the length and the zeros of it; then it is read and written again', () => {
    const lengths = new Map([
      [MESSAGE_INITIATION, INITIATION_BYTES],
      [MESSAGE_RESPONSE, RESPONSE_BYTES],
      [MESSAGE_COOKIE_REPLY, COOKIE_REPLY_BYTES],
    ]);
    fc.assert(
      fc.property(datagram, received => {
        const type = messageType(received);
        const head = Buffer.from(received.subarray(0, 4));
        const stated = head.length === 4 ? head.readUInt32LE() : 0;
        const fits =
          received.length === lengths.get(stated) ||
          (stated === MESSAGE_DATA && received.length >= DATA_HEADER_BYTES + TAG_BYTES);
        assert.equal(type, fits ? stated : undefined);
        const macs = new Uint8Array(32);
        const same = (again: Uint8Array, zeroed: number) => {
          const kept = received.slice(0, received.length - zeroed);
          assert.deepEqual(Buffer.from(again), Buffer.concat([kept, macs.subarray(0, zeroed)]));
        };
        if (type === MESSAGE_INITIATION) same(encodeInitiation(decodeInitiation(received)), 32);
        if (type === MESSAGE_RESPONSE) same(encodeResponse(decodeResponse(received)), 32);
        if (type === MESSAGE_COOKIE_REPLY) same(encodeCookieReply(decodeCookieReply(received)), 0);
        if (type === MESSAGE_DATA) {
          const { receiverIndex, counter } = decodeDataHeader(received);
          assert.deepEqual(encodeDataHeader(receiverIndex, counter), received.slice(0, DATA_HEADER_BYTES));
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('what is written is what is read', () => {
    const initiation = fc.record(
      {
        senderIndex: index,
        ephemeral: bytes(32),
        encryptedStatic: bytes(48),
        encryptedTimestamp: bytes(28),
      },
      plain,
    );
    const response = fc.record(
      {
        senderIndex: index,
        receiverIndex: index,
        ephemeral: bytes(32),
        encryptedNothing: bytes(16),
      },
      plain,
    );
    const reply = fc.record({ receiverIndex: index, nonce: bytes(24), encryptedCookie: bytes(32) }, plain);
    fc.assert(
      fc.property(
        initiation,
        response,
        reply,
        index,
        fc.bigInt(0n, 2n ** 64n - 1n),
        (a, b, c, receiverIndex, counter) => {
          assert.deepEqual(decodeInitiation(encodeInitiation(a)), a);
          assert.deepEqual(decodeResponse(encodeResponse(b)), b);
          assert.deepEqual(decodeCookieReply(encodeCookieReply(c)), c);
          assert.deepEqual(decodeDataHeader(encodeDataHeader(receiverIndex, counter)), {
            receiverIndex,
            counter,
          });
        },
      ),
    );
  });
});
