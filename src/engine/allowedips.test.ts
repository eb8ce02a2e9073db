import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { engineAddon } from './native.ts';

const { AllowedIpsTable } = engineAddon();

interface Entry {
  address: Uint8Array;
  prefix: number;
  peer: number;
}

/** The same by looking at every entry. */
class Plain {
  entries: Entry[] = [];
  insert(address: Uint8Array, prefix: number, peer: number): void {
    this.entries = this.entries.filter(entry => !isSame(entry, address, prefix));
    this.entries.push({ address, prefix, peer });
  }
  remove(address: Uint8Array, prefix: number, peer: number): void {
    this.entries = this.entries.filter(entry => entry.peer !== peer || !isSame(entry, address, prefix));
  }
  removePeer(peer: number): void {
    this.entries = this.entries.filter(entry => entry.peer !== peer);
  }
  lookup(address: Uint8Array): number | undefined {
    const matching = this.entries.filter(entry => covers(entry, address));
    return matching.toSorted((a, b) => b.prefix - a.prefix)[0]?.peer;
  }
}

// Few different bytes, so that prefixes nest and meet.
const byte = fc.constantFrom(0, 1, 2, 127, 128, 255);
const address = fc
  .constantFrom(4, 16)
  .chain(length => fc.array(byte, { minLength: length, maxLength: length }))
  .map(bytes => Uint8Array.from(bytes));
const entry = address.chain(bytes =>
  fc.record({
    address: fc.constant(bytes),
    prefix: fc.integer({ min: 0, max: bytes.length * 8 }),
    peer: fc.integer({ min: 1, max: 4 }),
  }),
);
const step = fc.record({
  what: fc.constantFrom('insert', 'insert', 'insert', 'remove', 'removePeer'),
  entry,
});

describe('allowed IPs', () => {
  test('answer as a search through all of them does', () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 60, size: 'max' }),
        fc.array(address, { minLength: 20, maxLength: 20 }),
        (steps, wanted) => {
          const table = new AllowedIpsTable();
          const plain = new Plain();
          for (const { what, entry } of steps) {
            for (const one of [table, plain]) {
              if (what === 'insert') one.insert(entry.address, entry.prefix, entry.peer);
              else if (what === 'remove') one.remove(entry.address, entry.prefix, entry.peer);
              else one.removePeer(entry.peer);
            }
          }
          for (const one of [...wanted, ...steps.map(({ entry }) => entry.address)])
            assert.equal(table.lookup(one), plain.lookup(one));
        },
      ),
      { numRuns: 400 },
    );
  });

  test('a default route leaves room for what is nearer', () => {
    const table = new AllowedIpsTable();
    table.insert(Uint8Array.of(0, 0, 0, 0), 0, 1);
    table.insert(Uint8Array.of(10, 244, 1, 0), 24, 2);
    assert.equal(table.lookup(Uint8Array.of(10, 244, 1, 255)), 2);
    assert.equal(table.lookup(Uint8Array.of(10, 244, 2, 1)), 1);
    assert.equal(table.lookup(new Uint8Array(16)), undefined);
  });
});

function isSame(entry: Entry, address: Uint8Array, prefix: number): boolean {
  return entry.prefix === prefix && covers(entry, address);
}

function covers(entry: Entry, address: Uint8Array): boolean {
  if (entry.address.length !== address.length) return false;
  const bits = (bytes: Uint8Array) =>
    [...bytes]
      .map(one => one.toString(2).padStart(8, '0'))
      .join('')
      .slice(0, entry.prefix);
  return bits(entry.address) === bits(address);
}
