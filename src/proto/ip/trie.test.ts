import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { addressOf, parseAddress } from './address.ts';
import { type Cidr, contains, equalCidrs, formatCidr, parseCidr } from './cidr.ts';
import { PrefixTrie } from './trie.ts';

const cidr = (text: string): Cidr => parseCidr(text)!;

test('the longest prefix wins', () => {
  const trie = new PrefixTrie<string>();
  for (const text of [
    '0.0.0.0/0',
    '10.0.0.0/8',
    '10.244.0.0/16',
    '10.244.1.0/24',
    '10.244.1.7/32',
    '::/0',
    'fd00::/8',
  ]) {
    trie.set(cidr(text), text);
  }
  const expected = {
    '10.244.1.7': '10.244.1.7/32',
    '10.244.1.8': '10.244.1.0/24',
    '10.244.2.8': '10.244.0.0/16',
    '10.9.9.9': '10.0.0.0/8',
    '11.0.0.0': '0.0.0.0/0',
    'fd00::1': 'fd00::/8',
    '2001:db8::': '::/0',
  };
  for (const [text, prefix] of Object.entries(expected))
    assert.equal(trie.lookup(parseAddress(text)!), prefix);
  trie.delete(cidr('0.0.0.0/0'));
  assert.equal(trie.lookup(parseAddress('11.0.0.0')!), undefined);
});

/** Few distinct bits, so that prefixes nest and collide. */
const narrowBytes = (length: number) =>
  fc
    .array(fc.constantFrom(0, 1, 0x80, 0xff), { minLength: length, maxLength: length })
    .map(bytes => Uint8Array.from(bytes));
const anyAddress = fc.oneof(narrowBytes(4), narrowBytes(16)).map(addressOf);
const anyCidr = anyAddress.chain(address =>
  fc.nat(8 * address.bytes.length).map((prefix): Cidr => ({ address, prefix })),
);
const step = fc.record({ cidr: anyCidr, value: fc.option(fc.nat(9)) });

test('answers as a list searched from end to end does', () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60 }),
      fc.array(anyAddress, { maxLength: 40 }),
      (steps, addresses) => {
        const trie = new PrefixTrie<number>();
        let list: { cidr: Cidr; value: number }[] = [];
        for (const { cidr, value } of steps) {
          const before = list.find(entry => equalCidrs(entry.cidr, cidr))?.value;
          assert.equal(value === null ? trie.delete(cidr) : trie.set(cidr, value), before);
          list = list.filter(entry => !equalCidrs(entry.cidr, cidr));
          if (value !== null) list.push({ cidr, value });
        }
        assert.equal(trie.size, list.length);
        const texts = [...trie.entries()].map(([range, value]) => `${formatCidr(range)} ${value}`);
        assert.equal(new Set(texts).size, list.length);
        for (const entry of list) assert.equal(trie.get(entry.cidr), entry.value);
        for (const address of [...addresses, ...steps.map(step => step.cidr.address)]) {
          const matches = list.filter(entry => contains(entry.cidr, address));
          const longest = matches.sort((a, b) => b.cidr.prefix - a.cidr.prefix)[0];
          assert.equal(trie.lookup(address), longest?.value);
        }
      },
    ),
    { numRuns: 500 },
  );
});
