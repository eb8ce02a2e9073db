import assert from 'node:assert/strict';
import { isIPv4, isIPv6 } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  addressFromInteger,
  addressOf,
  addressToInteger,
  canonicalAddress,
  compareAddresses,
  formatAddress,
  parseAddress,
} from './address.ts';

test('prints the canonical text of RFC 5952', () => {
  const cases: [string, string][] = [
    ['10.244.1.7', '10.244.1.7'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['2001:0db8::0001', '2001:db8::1'],
    ['2001:db8:0:0:0:0:2:1', '2001:db8::2:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:DB8::ABCD', '2001:db8::abcd'],
    ['::ffff:192.0.2.1', '::ffff:192.0.2.1'],
    ['::ffff:c000:201', '::ffff:192.0.2.1'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['fd00:10:244:1::5', 'fd00:10:244:1::5'],
  ];
  for (const [text, canonical] of cases) assert.equal(canonicalAddress(text), canonical, text);
});

test('refuses what is no address', () => {
  const texts = [
    '',
    '1',
    '1.2.3',
    '1.2.3.4.5',
    '01.2.3.4',
    '256.1.1.1',
    '1.2.3.4 ',
    ' 1.2.3.4',
    '1.2.3.-4',
    '0x1.2.3.4',
  ];
  const v6 = [
    ':',
    ':::',
    '1::2::3',
    '12345::',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '::1%eth0',
    '[::1]',
    'g::',
    ':1:2:3:4:5:6:7',
  ];
  const mixed = [
    '1.2.3.4::',
    '::1.2.3.4:5',
    '1:2:3:4:5:6:7:1.2.3.4',
    '::1.2.3',
    '::01.2.3.4',
    '1:2:3:4:5:6:7:8::',
  ];
  for (const text of [...texts, ...v6, ...mixed]) assert.equal(parseAddress(text), undefined, text);
});

const anyAddress = fc
  .oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
    sparse(),
  )
  .map(addressOf);

test('text and integer carry the whole address', () => {
  fc.assert(
    fc.property(anyAddress, address => {
      assert.deepEqual(parseAddress(formatAddress(address)), address);
      assert.deepEqual(addressFromInteger(address.family, addressToInteger(address)), address);
    }),
  );
});

test('accepts what Node accepts, and nothing more', () => {
  const characters = fc.string({ unit: fc.constantFrom(...'0123456789abcdefF:.:: '), maxLength: 24 });
  fc.assert(
    fc.property(fc.oneof(characters, fc.ipV4(), fc.ipV6()), text => {
      assert.equal(parseAddress(text) !== undefined, isIPv4(text) || isIPv6(text));
    }),
    { numRuns: 2000 },
  );
});

test('orders IPv4 before IPv6, then by value', () => {
  const texts = ['::', '10.0.0.2', '9.255.0.0', '::1', '10.0.0.10'];
  const sorted = texts.map(text => parseAddress(text)!).sort(compareAddresses);
  assert.deepEqual(sorted.map(formatAddress), ['9.255.0.0', '10.0.0.2', '10.0.0.10', '::', '::1']);
});

test('no address lies beyond the last', () => {
  assert.equal(addressFromInteger(4, 1n << 32n), undefined);
  assert.equal(addressFromInteger(6, 1n << 128n), undefined);
  assert.equal(addressFromInteger(4, -1n), undefined);
});

/** IPv6 addresses with runs of zeros. */
function sparse(): fc.Arbitrary<Uint8Array> {
  return fc
    .array(fc.constantFrom(0, 0, 0, 1, 0xff, 0x10), { minLength: 16, maxLength: 16 })
    .map(bytes => Uint8Array.from(bytes));
}
