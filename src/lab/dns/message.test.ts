import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  CLASS_IN,
  datagramLimit,
  decodeMessage,
  encodeMessage,
  encodeWithin,
  type Message,
  MessageError,
  optionsFor,
  type RecordData,
  type ResourceRecord,
  TYPE,
} from './message.ts';

const header = {
  id: 7,
  response: false,
  opcode: 0,
  authoritative: false,
  truncated: false,
  recursionDesired: true,
  recursionAvailable: false,
  rcode: 0,
};
const query: Message = {
  ...header,
  questions: [{ name: 'kubernetes.default.svc.cluster.local', type: TYPE.A, class: CLASS_IN }],
  answers: [],
  authorities: [],
  additionals: [],
};

test('a query as dig writes it', () => {
  const bytes = Buffer.from(
    '4f2a01200001000000000001076578616d706c6503636f6d00000100010000291000000000000000',
    'hex',
  );
  const message = decodeMessage(bytes);
  assert.equal(message.id, 0x4f2a);
  assert.deepEqual(message.questions, [{ name: 'example.com', type: TYPE.A, class: 1 }]);
  assert.equal(message.additionals[0]!.type, TYPE.OPT);
  assert.equal(datagramLimit(message), 1232);
  assert.equal(optionsFor(message).length, 1);
  assert.equal(datagramLimit(query), 512);
});

test('names are compressed against what stands before them', () => {
  const one: ResourceRecord = {
    name: 'kubernetes.default.svc.cluster.local',
    type: TYPE.A,
    class: CLASS_IN,
    ttl: 30,
    data: { kind: 'address', bytes: Uint8Array.of(10, 96, 0, 1) },
  };
  const bytes = encodeMessage({ ...query, response: true, answers: [one] });
  assert.equal(bytes.length, encodeMessage(query).length + 2 + 10 + 4);
  assert.deepEqual(decodeMessage(bytes).answers, [one]);
});

test('an answer that does not fit is cut to the truncated bit', () => {
  const many = Array.from(
    { length: 100 },
    (_, index): ResourceRecord => ({
      name: 'a.b',
      type: TYPE.A,
      class: 1,
      ttl: 1,
      data: { kind: 'address', bytes: Uint8Array.of(10, 0, 0, index) },
    }),
  );
  const cut = decodeMessage(encodeWithin({ ...query, answers: many }, 512));
  assert.equal(cut.truncated, true);
  assert.equal(cut.answers.length, 0);
  const lean = decodeMessage(encodeWithin({ ...query, additionals: many }, 512));
  assert.equal(lean.truncated, false);
  assert.equal(lean.additionals.length, 0);
});

test('pointers that loop, point forward or leave the message are refused', () => {
  const start = '000701000001000000000000';
  for (const name of ['c00c', 'c00e0000', 'c0ff', '01', '3f61', '80', '016100', 'c0']) {
    assert.throws(() => decodeMessage(Buffer.from(start + name, 'hex')), MessageError, name);
  }
});

const label = fc.uint8Array({ minLength: 1, maxLength: 20 }).map(bytes =>
  [...bytes]
    .map(byte => {
      if (byte === 0x2e || byte === 0x5c) return `\\${String.fromCharCode(byte)}`;
      return byte > 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\${String(byte).padStart(3, '0')}`;
    })
    .join(''),
);
const name = fc.array(label, { maxLength: 8 }).map(labels => labels.join('.'));
const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const fixed = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const typedData = fc.oneof(
  fixed(4).map((bytes): [number, RecordData] => [TYPE.A, { kind: 'address', bytes }]),
  fixed(16).map((bytes): [number, RecordData] => [TYPE.AAAA, { kind: 'address', bytes }]),
  name.map((target): [number, RecordData] => [TYPE.CNAME, { kind: 'name', name: target }]),
  fc
    .tuple(u16, u16, u16, name)
    .map(([priority, weight, port, target]): [number, RecordData] => [
      TYPE.SRV,
      { kind: 'srv', priority, weight, port, target },
    ]),
  fc
    .tuple(name, name, fc.tuple(u32, u32, u32, u32, u32))
    .map(([primary, mailbox, numbers]): [number, RecordData] => [
      TYPE.SOA,
      { kind: 'soa', primary, mailbox, numbers },
    ]),
  fc.uint8Array({ maxLength: 40 }).map((bytes): [number, RecordData] => [TYPE.TXT, { kind: 'raw', bytes }]),
);
const record = fc
  .tuple(name, typedData, u32)
  .map(([owner, [type, data], ttl]): ResourceRecord => ({ name: owner, type, class: 1, ttl, data }));
const message = fc.record(
  {
    id: u16,
    response: fc.boolean(),
    opcode: fc.integer({ min: 0, max: 15 }),
    authoritative: fc.boolean(),
    truncated: fc.boolean(),
    recursionDesired: fc.boolean(),
    recursionAvailable: fc.boolean(),
    rcode: fc.integer({ min: 0, max: 15 }),
    questions: fc.array(fc.record({ name, type: u16, class: u16 }, { noNullPrototype: true }), {
      maxLength: 2,
    }),
    answers: fc.array(record, { maxLength: 5 }),
    authorities: fc.array(record, { maxLength: 2 }),
    additionals: fc.array(record, { maxLength: 3 }),
  },
  { noNullPrototype: true },
);

test('what is written reads back the same', () => {
  fc.assert(
    fc.property(message, original => {
      assert.deepEqual(decodeMessage(encodeMessage(original)), original);
    }),
    { numRuns: 300 },
  );
});

test('any bytes either decode or are a MessageError', () => {
  const mutated = fc
    .tuple(message, fc.array(fc.tuple(fc.nat(600), fc.nat(255)), { maxLength: 6 }))
    .map(([original, edits]) => {
      const bytes = encodeMessage(original);
      for (const [at, value] of edits) if (at < bytes.length) bytes[at] = value;
      return bytes;
    });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), mutated), bytes => {
      try {
        decodeMessage(bytes);
      } catch (error) {
        assert.ok(error instanceof MessageError, String(error));
      }
    }),
    { numRuns: 2000 },
  );
});
