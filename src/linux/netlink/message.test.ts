import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Writer } from './attributes.ts';
import { NetlinkError } from './error.ts';
import { decodeMessages, decodeOutcome, encodeMessage, NLMSG_DONE, NLMSG_ERROR } from './message.ts';

const anyMessage = fc.record({
  type: fc.nat(0xffff),
  flags: fc.nat(0xffff),
  sequence: fc.integer({ min: 0, max: 0xffffffff }),
  body: fc.uint8Array({ maxLength: 90 }),
});

test('messages survive being laid one after another', () => {
  fc.assert(
    fc.property(fc.array(anyMessage, { maxLength: 10 }), messages => {
      const bytes = Buffer.concat(messages.map(encodeMessage));
      const plain = (message: { body: Uint8Array }) => ({ ...message, body: Array.from(message.body) });
      assert.deepEqual(decodeMessages(bytes).map(plain), messages.map(plain));
    }),
  );
});

test('garbage ends the list and is never read beyond', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), bytes => {
      const messages = decodeMessages(bytes);
      assert.ok(messages.reduce((sum, { body }) => sum + 16 + body.length, 0) <= bytes.length);
      for (const message of messages) decodeOutcome(message);
    }),
    { numRuns: 2000 },
  );
});

test('garbage acknowledgements never throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(0xffff), fc.boolean(), (body, flags, done) => {
      const { errno } = decodeOutcome({ type: done ? NLMSG_DONE : NLMSG_ERROR, flags, sequence: 1, body });
      assert.ok(errno >= 0);
    }),
    { numRuns: 2000 },
  );
});

test("the kernel's own words are read behind the request that it repeats", () => {
  const said = new Writer().attributeString(1, 'Nexthop has invalid gateway.').finish();
  const request = encodeMessage({ type: 24, flags: 5, sequence: 9, body: new Uint8Array(10) });
  const errno = Buffer.alloc(4);
  errno.writeInt32LE(-101);
  const whole = Buffer.concat([errno, request, said]);
  const capped = Buffer.concat([errno, request.subarray(0, 16), said]);
  const outcome = { errno: 101, detail: 'Nexthop has invalid gateway' };
  const base = { type: NLMSG_ERROR, sequence: 9 };
  assert.deepEqual(decodeOutcome({ ...base, flags: 0x200, body: whole }), outcome);
  assert.deepEqual(decodeOutcome({ ...base, flags: 0x300, body: capped }), outcome);
  assert.deepEqual(decodeOutcome({ ...base, flags: 0x100, body: capped.subarray(0, 20) }), { errno: 101 });
});

test('errors name the request, the reason and the code', () => {
  const plain = new NetlinkError('add the device x', 17);
  assert.equal(plain.message, 'add the device x: file already exists (EEXIST)');
  assert.equal(plain.code, 'EEXIST');
  const detailed = new NetlinkError('add the route', 101, 'Nexthop has invalid gateway');
  assert.equal(detailed.message, 'add the route: Nexthop has invalid gateway (ENETUNREACH)');
});
