import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAddress } from '../ip/address.ts';
import { formatCidr, parseCidr } from '../ip/cidr.ts';
import { AllowedIps } from './allowedips.ts';

const range = (text: string) => parseCidr(text)!;

test('a range belongs to the peer that claimed it last', () => {
  const table = new AllowedIps<string>();
  for (const text of ['10.244.1.0/24', '10.244.1.7/32', 'fd00:10:244:1::/64']) table.add(range(text), 'a');
  table.add(range('10.244.1.7/32'), 'b');
  assert.equal(table.lookup(parseAddress('10.244.1.7')!), 'b');
  assert.equal(table.lookup(parseAddress('10.244.1.8')!), 'a');
  assert.deepEqual(table.rangesOf('a').map(formatCidr), ['10.244.1.0/24', 'fd00:10:244:1::/64']);
});

test('only its own ranges can be taken from a peer, and all go with it', () => {
  const table = new AllowedIps<string>();
  table.add(range('10.0.0.0/8'), 'a');
  table.add(range('10.1.0.0/16'), 'b');
  assert.ok(!table.remove(range('10.1.0.0/16'), 'a'));
  assert.ok(!table.remove(range('10.2.0.0/16'), 'a'));
  assert.ok(table.remove(range('10.1.9.9/16'), 'b'));
  table.add(range('::/0'), 'a');
  table.removePeer('a');
  assert.equal(table.lookup(parseAddress('10.1.0.1')!), undefined);
  assert.deepEqual(table.rangesOf('a'), []);
});
