import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { toHex } from '../bytes.ts';
import { sealEsp } from './crypto.ts';
import { sealingLimits } from './limits.ts';
import { InboundSa, type OutboundOptions, OutboundSa, type Sealed } from './sa.ts';
import { aeadSuite, type Suite } from './suite.ts';
import { testKeys, testPacket } from './testpackets.ts';
import { PROFILES_UNDER_TEST } from './testsuites.ts';

const gcm = aeadSuite('rfc4106(gcm(aes))', 20, 128);
const inner = testPacket('10.244.1.7', '10.244.2.9', 84);
const inner6 = testPacket('fd00:10:244:1::7', 'fd00:10:244:2::9', 97);

function pair(suite: Suite, options: Partial<OutboundOptions> = {}) {
  const common = { spi: 3, suite, keys: testKeys(suite) };
  return {
    out: new OutboundSa({ ...common, ...options }),
    in: new InboundSa({ ...common, esn: options.esn ?? true }),
  };
}

const packetOf = (sealed: Sealed): Uint8Array => {
  assert.ok('packet' in sealed);
  return sealed.packet;
};

test('what one end seals the other opens, IPv4 and IPv6, with every suite', () => {
  for (const suite of PROFILES_UNDER_TEST) {
    for (const esn of [true, false]) {
      const ends = pair(suite, { esn });
      for (const [i, payload] of [inner, inner6, inner].entries()) {
        const opened = ends.in.open(packetOf(ends.out.seal(payload)));
        assert.ok('inner' in opened);
        assert.equal(toHex(opened.inner!), toHex(payload));
        assert.equal(opened.nextHeader, payload === inner ? 4 : 41);
        assert.equal(opened.sequence, BigInt(i + 1));
      }
    }
  }
});

test('a replay, a late packet, a changed one: each is dropped under its own name', () => {
  const ends = pair(gcm);
  const packets = Array.from({ length: 5000 }, () => packetOf(ends.out.seal(inner)));
  assert.ok('inner' in ends.in.open(packets[0]!));
  assert.deepEqual(ends.in.open(packets[0]!), { drop: 'state_sequence' });
  assert.ok('inner' in ends.in.open(packets[4999]!));
  assert.ok('inner' in ends.in.open(packets[4999 - 4095]!), 'late, but in the window');
  assert.deepEqual(
    ends.in.open(packets[4999 - 4096]!),
    { drop: 'state_protocol' },
    'taken for one of the next 2^32',
  );
  const changed = Uint8Array.from(packets[4000]!);
  changed[30]! ^= 1;
  assert.deepEqual(ends.in.open(changed), { drop: 'state_protocol' });
  assert.ok('inner' in ends.in.open(packets[4000]!), 'a forgery does not use the number up');
  const short = pair(gcm, { esn: false });
  const old = packetOf(short.out.seal(inner));
  for (let i = 0; i < 4096; i++) short.in.open(packetOf(short.out.seal(inner)));
  assert.deepEqual(short.in.open(old), { drop: 'state_sequence' });
});

test('a forged number far ahead does not move the window', () => {
  const ends = pair(gcm);
  const first = packetOf(ends.out.seal(inner));
  const forged = Uint8Array.from(first);
  forged[4] = 0x7f;
  assert.deepEqual(ends.in.open(forged), { drop: 'state_protocol' });
  assert.equal(ends.in.top, 0n);
  assert.ok('inner' in ends.in.open(first));
});

test('truncated, empty, of another SPI', () => {
  const ends = pair(gcm);
  const packet = packetOf(ends.out.seal(inner));
  for (let length = 0; length < packet.length; length++) {
    const opened = ends.in.open(packet.subarray(0, length));
    assert.ok('drop' in opened);
    assert.equal(opened.drop, length < 36 ? 'header' : 'state_protocol', `${length} bytes`);
  }
  const other = Uint8Array.from(packet);
  other[3] = 4;
  assert.deepEqual(ends.in.open(other), { drop: 'no_state' });
});

test('no bytes make it throw', () => {
  const ends = pair(gcm);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), bytes => {
      assert.ok('drop' in ends.in.open(bytes));
      if (bytes.length > 3)
        assert.ok('drop' in ends.in.open(Uint8Array.of(0, 0, 0, 3, ...bytes.subarray(4))));
    }),
  );
});

test('what is no IP packet is neither sealed nor delivered', () => {
  const ends = pair(gcm);
  assert.deepEqual(ends.out.seal(Uint8Array.of(1, 2, 3)), { drop: 'state_mode' });
  const context = { suite: gcm, keys: testKeys(gcm), spi: 3, esn: true };
  const cases: [Uint8Array, number][] = [
    [inner, 41],
    [inner6, 4],
    [inner, 6],
    [inner.subarray(0, 19), 4],
    [inner.subarray(0, 60), 4],
    [new Uint8Array(), 4],
  ];
  for (const [i, [payload, nextHeader]] of cases.entries()) {
    const packet = sealEsp({ ...context, sequence: BigInt(i + 1) }, payload, nextHeader);
    assert.deepEqual(ends.in.open(packet), { drop: 'state_mode' }, `${nextHeader}, ${payload.length} bytes`);
  }
});

test('padding against traffic analysis is cut off, a dummy packet is opened and carries nothing', () => {
  const ends = pair(gcm);
  const context = { suite: gcm, keys: testKeys(gcm), spi: 3, esn: true, sequence: 1n };
  const padded = new Uint8Array(inner.length + 300);
  padded.set(inner);
  const opened = ends.in.open(sealEsp(context, padded, 4));
  assert.ok('inner' in opened);
  assert.equal(toHex(opened.inner!), toHex(inner));
  ends.out.seal(inner);
  assert.deepEqual(ends.in.open(packetOf(ends.out.seal())), { nextHeader: 59, sequence: 2n });
});

test('the counter crosses 2^32 with ESN, and the other end follows', () => {
  for (const suite of PROFILES_UNDER_TEST) {
    const start = 2n ** 32n - 3n;
    const out = new OutboundSa({
      spi: 3,
      suite,
      keys: testKeys(suite),
      after: { sequence: start, blocks: 0n },
    });
    const into = new InboundSa({ spi: 3, suite, keys: testKeys(suite), after: start - 10n });
    for (let i = 1n; i < 10n; i++) {
      const opened = into.open(packetOf(out.seal(inner)));
      assert.ok('inner' in opened, `${suite.cipher} ${i}`);
      assert.equal(opened.sequence, start + i);
    }
  }
});

test('without ESN the counter stops at 2^32 - 1, and says before that it is due', () => {
  const esn = false;
  const { out } = pair(gcm, { esn, after: { sequence: 2n ** 31n - 1n, blocks: 0n } });
  assert.ok(!out.isDue);
  out.seal(inner);
  assert.ok(out.isDue);
  const near = pair(gcm, { esn, after: { sequence: 2n ** 32n - 2n, blocks: 0n } }).out;
  assert.ok('packet' in near.seal(inner));
  for (let i = 0; i < 3; i++) assert.deepEqual(near.seal(inner), { drop: 'state_sequence' });
  assert.equal(near.used.sequence, 2n ** 32n - 1n);
});

test('with ESN it stops at 2^64 - 1; the blocks have a limit of their own', () => {
  const last = pair(gcm, { after: { sequence: 2n ** 64n - 2n, blocks: 0n } }).out;
  assert.ok('packet' in last.seal(inner));
  assert.deepEqual(last.seal(inner), { drop: 'state_sequence' });
  const { packets } = sealingLimits(gcm, true);
  const limits = { packets, blocks: { due: 6n, last: 12n } };
  const few = pair(gcm, { limits }).out;
  assert.ok('packet' in few.seal(inner));
  assert.ok(few.isDue);
  assert.ok('packet' in few.seal(inner));
  assert.deepEqual(few.seal(inner), { drop: 'state_expired' });
  assert.deepEqual(few.used, { sequence: 2n, blocks: 12n });
});

test('an SA that goes on uses no number again, and takes none again', () => {
  const first = pair(gcm);
  const packets = [1, 2, 3].map(() => packetOf(first.out.seal(inner)));
  for (const packet of packets) first.in.open(packet);
  const second = pair(gcm, { after: first.out.used });
  const resumed = new InboundSa({ spi: 3, suite: gcm, keys: testKeys(gcm), after: first.in.top });
  for (const packet of packets) assert.deepEqual(resumed.open(packet), { drop: 'state_sequence' });
  const next = resumed.open(packetOf(second.out.seal(inner)));
  assert.ok('inner' in next);
  assert.equal(next.sequence, 4n);
});

test('keys and windows of the wrong size are a mistake of ours', () => {
  const keys = { cipher: new Uint8Array(16) };
  assert.throws(() => new OutboundSa({ spi: 3, suite: gcm, keys }), RangeError);
  assert.throws(() => new InboundSa({ spi: 3, suite: gcm, keys: testKeys(gcm), window: 64 }), RangeError);
});
