import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Address, addressOf, formatAddress, parseAddress } from './address.ts';
import {
  type Cidr,
  contains,
  equalCidrs,
  formatCidr,
  network,
  nthAddress,
  overlaps,
  parseCidr,
  sizeOf,
} from './cidr.ts';

const cidr = (text: string): Cidr => parseCidr(text)!;
const address = (text: string): Address => parseAddress(text)!;

test('parses and prints', () => {
  for (const text of ['10.244.1.0/24', '0.0.0.0/0', '::/0', 'fd00:10:244::/48', '10.0.0.7/24']) {
    assert.equal(formatCidr(cidr(text)), text);
  }
  assert.equal(formatCidr(cidr('10.0.0.7')), '10.0.0.7/32');
  assert.equal(formatCidr(cidr('fd00::1')), 'fd00::1/128');
  assert.equal(formatCidr(network(cidr('10.0.0.7/24'))), '10.0.0.0/24');
  for (const text of [
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/',
    '10.0.0.0/-1',
    '10.0.0.0/08',
    '/8',
    '10.0.0.0/8/8',
    '10.0/8',
  ]) {
    assert.equal(parseCidr(text), undefined, text);
  }
});

test('contains and overlaps', () => {
  assert.ok(contains(cidr('10.244.0.0/16'), address('10.244.3.9')));
  assert.ok(!contains(cidr('10.244.0.0/16'), address('10.245.0.0')));
  assert.ok(contains(cidr('10.244.0.0/16'), cidr('10.244.1.0/24')));
  assert.ok(!contains(cidr('10.244.1.0/24'), cidr('10.244.0.0/16')));
  assert.ok(!contains(cidr('0.0.0.0/0'), address('::1')));
  assert.ok(overlaps(cidr('10.244.1.0/24'), cidr('10.244.0.0/16')));
  assert.ok(!overlaps(cidr('10.244.1.0/24'), cidr('10.244.2.0/24')));
  assert.ok(equalCidrs(cidr('10.0.0.7/24'), cidr('10.0.0.0/24')));
  assert.ok(!equalCidrs(cidr('0.0.0.0/0'), cidr('::/0')));
});

test('counts addresses', () => {
  assert.equal(sizeOf(cidr('10.244.1.0/24')), 256n);
  assert.equal(formatAddress(nthAddress(cidr('10.244.1.9/24'), 1)!), '10.244.1.1');
  assert.equal(formatAddress(nthAddress(cidr('10.244.1.0/24'), -1)!), '10.244.1.255');
  assert.equal(formatAddress(nthAddress(cidr('fd00::/64'), 2n ** 64n - 1n)!), 'fd00::ffff:ffff:ffff:ffff');
  assert.equal(nthAddress(cidr('10.244.1.0/24'), 256), undefined);
  assert.equal(nthAddress(cidr('10.244.1.0/24'), -257), undefined);
});

test('every address of a range lies in it, and none beyond', () => {
  const ranges = fc
    .tuple(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.nat(128))
    .map(([bytes, prefix]): Cidr => ({ address: addressOf(bytes), prefix }));
  fc.assert(
    fc.property(ranges, fc.bigInt(0n, (1n << 128n) - 1n), (range, number) => {
      const index = number % sizeOf(range);
      assert.ok(contains(range, nthAddress(range, index)!));
      assert.deepEqual(nthAddress(range, index), nthAddress(range, index - sizeOf(range)));
      assert.equal(nthAddress(range, sizeOf(range)), undefined);
    }),
  );
});
