/** Netlink messages of any bytes: what is read of them, or nothing; never a throw, never a loop. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { decodeAddress } from './address.ts';
import { decodeLink } from './link.ts';
import { decodeFdb, decodeNeighbour } from './neighbour.ts';
import { Attributes } from './netlink/attributes.ts';
import { decodeGenericFamily } from './netlink/generic.ts';
import { decodeMessages, decodeOutcome, encodeMessage } from './netlink/message.ts';
import { decodeRoute } from './route.ts';
import { decodeEvent } from './rtnetlink-events.ts';
import { decodeRule } from './rule.ts';

/** A fixed header of some length, then attributes with right lengths or wrong ones. */
const attribute = fc
  .record({
    type: fc.oneof(fc.nat(40), fc.nat(0xffff)),
    off: fc.constantFrom(0, 0, 0, 0, -3, 2, 400),
    value: fc.uint8Array({ maxLength: 24 }),
  })
  .map(({ type, off, value }) => {
    const bytes = Buffer.alloc(4 + ((value.length + 3) & ~3));
    bytes.writeUInt16LE(Math.max(0, 4 + value.length + off), 0);
    bytes.writeUInt16LE(type, 2);
    bytes.set(value, 4);
    return bytes;
  });
const body = fc.oneof(
  fc.uint8Array({ maxLength: 80 }),
  fc
    .tuple(
      fc
        .constantFrom(0, 4, 8, 12, 16)
        .chain(length => fc.uint8Array({ minLength: length, maxLength: length })),
      fc.array(attribute, { maxLength: 8 }),
    )
    .map(([header, attributes]) => new Uint8Array(Buffer.concat([header, ...attributes]))),
);

describe('netlink messages of any bytes', () => {
  test('bodies of every kind', () => {
    fc.assert(
      fc.property(body, fc.nat(140), fc.nat(3), (bytes, type, offset) => {
        const view = new Uint8Array([...new Uint8Array(offset), ...bytes]).subarray(offset);
        for (const decode of [
          decodeAddress,
          decodeLink,
          decodeNeighbour,
          decodeFdb,
          decodeRoute,
          decodeRule,
          decodeGenericFamily,
        ])
          decode(view);
        decodeEvent({ type, flags: 0, sequence: 0, body: view });
        const attributes = new Attributes(view);
        for (let i = 0; i < 20; i++) {
          assert.ok(
            (attributes.u8(i) ?? 0) <= 0xff &&
              (attributes.u16(i) ?? 0) <= 0xffff &&
              (attributes.u32(i) ?? 0) <= 0xffffffff,
          );
        }
      }),
      { numRuns: 3000 },
    );
  });

  test('streams of messages, whole and cut', () => {
    const message = fc.record(
      { type: fc.nat(0xffff), flags: fc.nat(0xffff), sequence: fc.nat(0xffffffff), body },
      { noNullPrototype: true },
    );
    fc.assert(
      fc.property(fc.array(message, { maxLength: 5 }), fc.nat(40), (messages, cut) => {
        const stream = new Uint8Array(Buffer.concat(messages.map(encodeMessage)));
        const read = decodeMessages(stream);
        assert.equal(read.length, messages.length);
        for (const [i, each] of read.entries()) {
          assert.deepEqual(
            [each.type, each.flags, each.sequence],
            [messages[i]!.type, messages[i]!.flags, messages[i]!.sequence],
          );
          assert.ok(Buffer.compare(each.body, messages[i]!.body) === 0);
          assert.ok(decodeOutcome(each).errno >= 0);
        }
        assert.ok(
          decodeMessages(stream.subarray(0, Math.max(0, stream.length - cut))).length <= messages.length,
        );
      }),
      { numRuns: 1000 },
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), bytes => void decodeMessages(bytes)));
  });
});
