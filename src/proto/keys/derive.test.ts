import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromHex, toHex } from '../bytes.ts';
import { deriveKey, isBootId } from './derive.ts';

const master = fromHex('da630c6acdbef2757ab7f5215b8b1811420e3f61')!;
const a = { address: '10.244.0.74', bootId: '11111111-2222-3333-4444-555555555555' };
const b = { address: '10.244.3.112', bootId: 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee' };

test('the conformance vector, both directions', () => {
  assert.equal(
    toHex(deriveKey(master, { source: a, destination: b })),
    '3ca74d47d136a05d8a86ae36a8a350706fcfd0a2',
  );
  assert.equal(
    toHex(deriveKey(master, { source: b, destination: a })),
    '8fd2721fd42481c3ed1b6c41cb625a27df6a16a8',
  );
});

test('the hash follows the length of the master, whose length the key has', () => {
  for (const length of [16, 20, 24, 28, 32, 36, 48, 64]) {
    const long = Uint8Array.from({ length }, (_, i) => 3 * i);
    const hash = createHash(length <= 32 ? 'sha256' : 'sha512').update(long);
    hash.update(Uint8Array.of(10, 244, 0, 74)).update(Uint8Array.of(10, 244, 3, 112));
    const expected = hash
      .update(a.bootId + b.bootId, 'ascii')
      .digest('hex')
      .slice(0, 2 * length);
    assert.equal(toHex(deriveKey(long, { source: a, destination: b })), expected);
  }
  assert.throws(() => deriveKey(new Uint8Array(65), { source: a, destination: b }), RangeError);
});

test('any other pair, direction or boot has another key', () => {
  const end = fc.record({
    address: fc.constantFrom('10.244.0.1', '10.244.1.1', '10.244.2.1', 'fd00::1', 'fd00::2'),
    bootId: fc.constantFrom(a.bootId, b.bootId, '11111111-2222-3333-4444-555555555556'),
  });
  const direction = fc.record({ source: end, destination: end });
  fc.assert(
    fc.property(direction, direction, (one, two) => {
      const same = JSON.stringify(one) === JSON.stringify(two);
      assert.equal(toHex(deriveKey(master, one)) === toHex(deriveKey(master, two)), same);
    }),
    { numRuns: 500 },
  );
});

test('addresses and boot IDs count by what they are, not how they are written', () => {
  const key = toHex(deriveKey(master, { source: a, destination: b }));
  const mapped = { ...a, address: '::ffff:10.244.0.74' };
  const longer = { ...b, bootId: `${b.bootId}-and-more` };
  assert.equal(toHex(deriveKey(master, { source: mapped, destination: longer })), key);
  const [short, long] = ['fd00:10:244::1', 'fd00:0010:0244:0:0:0:0:1'].map(address => ({ ...a, address }));
  assert.equal(
    toHex(deriveKey(master, { source: short!, destination: b })),
    toHex(deriveKey(master, { source: long!, destination: b })),
  );
  const lookalike = { ...a, address: '::ffff:1:2:3' };
  assert.notEqual(
    toHex(deriveKey(master, { source: lookalike, destination: b })),
    toHex(deriveKey(master, { source: { ...a, address: '0.1.0.2' }, destination: b })),
  );
});

test('a boot ID has 36 characters and more', () => {
  assert.ok(isBootId(a.bootId));
  for (const text of ['', a.bootId.slice(1), `${a.bootId.slice(1)} `, `${a.bootId.slice(1)}é`]) {
    assert.ok(!isBootId(text));
    assert.throws(() => deriveKey(master, { source: { ...a, bootId: text }, destination: b }), TypeError);
  }
  assert.throws(() => deriveKey(master, { source: { ...a, address: 'x' }, destination: b }), TypeError);
});
