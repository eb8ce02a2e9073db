import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex } from '../bytes.ts';
import { formatAddress } from './address.ts';
import { readHeader } from './header.ts';

test('reads the addresses and the length, padding aside', () => {
  const v4 = fromHex('4500001c000000004001000a0af401020af402030800f7ff0000000000000000')!;
  const header = readHeader(v4)!;
  assert.equal(formatAddress(header.source), '10.244.1.2');
  assert.equal(formatAddress(header.destination), '10.244.2.3');
  assert.equal(header.length, 28);
  const v6 = fromHex(`6000000000043a40${'fd00'.padEnd(30, '0')}01${'fd00'.padEnd(30, '0')}02` + '80000000')!;
  const six = readHeader(v6)!;
  assert.equal(formatAddress(six.source), 'fd00::1');
  assert.equal(formatAddress(six.destination), 'fd00::2');
  assert.equal(six.length, 44);
});

test('a header that claims more than there is, or less than itself, is none', () => {
  const whole = fromHex('4500001c000000004001000a0af401020af402030800f7ff00000000')!;
  assert.ok(readHeader(whole));
  assert.equal(readHeader(whole.subarray(0, 27)), undefined);
  assert.equal(readHeader(whole.subarray(0, 19)), undefined);
  assert.equal(readHeader(new Uint8Array()), undefined);
  assert.equal(readHeader(whole.with(3, 19)), undefined);
  assert.equal(readHeader(whole.with(0, 0x55)), undefined);
});
