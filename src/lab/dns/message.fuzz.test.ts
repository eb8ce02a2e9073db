/** DNS messages as any pod may send them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  CLASS_IN,
  decodeMessage,
  encodeMessage,
  encodeWithin,
  type Message,
  MessageError,
  messageId,
  TYPE,
} from './message.ts';
import { Responder } from './responder.ts';

/** Header with few records, then pieces that names and records are made of. */
const crafted = fc
  .record({
    flags: fc.nat(0xffff),
    counts: fc.tuple(
      ...([0, 1, 2, 3].map(() => fc.oneof(fc.nat(2), fc.nat(0xffff))) as [
        fc.Arbitrary<number>,
        fc.Arbitrary<number>,
        fc.Arbitrary<number>,
        fc.Arbitrary<number>,
      ]),
    ),
    pieces: fc.array(
      fc.oneof(
        fc.uint8Array({ maxLength: 12 }),
        fc.nat(70).map(offset => Uint8Array.of(0xc0, offset)),
        fc
          .constantFrom('kubernetes', 'default', 'svc', 'cluster', 'local', 'a.b', '\\', '*')
          .map(label => Uint8Array.of(label.length, ...Buffer.from(label))),
        fc.constantFrom(...Object.values(TYPE)).map(type => Uint8Array.of(0, 0, type, 0, CLASS_IN)),
        fc.constantFrom(
          Uint8Array.of(0),
          Uint8Array.of(63),
          Uint8Array.of(0, 0, 0, 30, 0, 4, 10, 0, 0, 1),
          Uint8Array.of(0x40, 1),
        ),
      ),
      { maxLength: 14 },
    ),
  })
  .map(({ flags, counts, pieces }) => {
    const header = Buffer.alloc(12);
    header.writeUInt16BE(0x1234, 0);
    header.writeUInt16BE(flags, 2);
    for (const [i, count] of counts.entries()) header.writeUInt16BE(count, 4 + 2 * i);
    return new Uint8Array(Buffer.concat([header, ...pieces]));
  });
const received = fc.oneof(crafted, fc.uint8Array({ maxLength: 100 }));

function decoded(bytes: Uint8Array): Message | undefined {
  try {
    return decodeMessage(bytes);
  } catch (error) {
    assert.ok(error instanceof MessageError, String(error));
    return undefined;
  }
}

describe('DNS messages', () => {
  test('any bytes: a message that can be written and read again, or its own error', () => {
    fc.assert(
      fc.property(received, fc.nat(600), (bytes, limit) => {
        assert.equal(messageId(bytes) === undefined, bytes.length < 12);
        const message = decoded(bytes);
        if (!message) return;
        assert.deepEqual(decodeMessage(encodeMessage(message)), message);
        const within = encodeWithin(message, Math.max(512, limit));
        assert.ok(within.length <= Math.max(512, limit) || message.questions.length > 1);
      }),
      { numRuns: 4000 },
    );
  });

  test('a name that goes in circles, or on for ever, ends', () => {
    const header = [0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    const question = [0, TYPE.A, 0, CLASS_IN];
    for (const name of [[0xc0, 12], [0xc0, 14, 0xc0, 12], [1, 97, 0xc0, 12], [0xff, 0xff], [0xc0]]) {
      assert.equal(decoded(Uint8Array.of(...header, ...name, ...question)), undefined);
    }
    const long = Array.from({ length: 200 }, () => [1, 97]).flat();
    assert.equal(decoded(Uint8Array.of(...header, ...long, 0, ...question)), undefined);
  });

  test('whatever is asked, there is an answer with the id of the question, or silence', async () => {
    const responder = new Responder({
      directory: () => undefined,
      zone: () => assert.fail('nothing is known yet'),
      forwarder: { ask: () => assert.fail('nothing is forwarded yet') },
    });
    await fc.assert(
      fc.asyncProperty(received, fc.boolean(), async (bytes, overTcp) => {
        const answer = await responder.respond(bytes, overTcp);
        const isAnswer = bytes.length >= 3 && (bytes[2]! & 0x80) !== 0;
        if (!answer) return assert.ok(bytes.length < 12 || isAnswer);
        assert.equal(messageId(answer), messageId(bytes));
        assert.ok(decodeMessage(answer).response);
      }),
      { numRuns: 2000 },
    );
  });
});
