/** Annotations of other nodes, as anybody with the right to write CiliumNodes may leave them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type Advertisement, formatAdvertisement, parseAdvertisement, sayTheSame } from './advertisement.ts';
import { type Epoch, ipsecEpoch, parseEpoch } from './epoch.ts';

const incarnation = '1b4e28ba-2fa1-11d2-883f-0016d3cca427';
const hexDigit = fc.constantFrom(...'0123456789abcdef');
const epoch: fc.Arbitrary<Epoch> = fc.oneof(
  fc.constantFrom('none' as const, 'wireguard' as const),
  fc
    .record({
      id: fc.integer({ min: 1, max: 15 }),
      fingerprint: fc.string({ unit: hexDigit, minLength: 16, maxLength: 16 }),
    })
    .map(ipsecEpoch),
);
/** With the prototype that read ones have. */
const plain = { noNullPrototype: true } as const;
const epochs = fc.uniqueArray(epoch, { maxLength: 20 });
const advertisement: fc.Arbitrary<Advertisement> = fc.record(
  {
    incarnation: fc.constant(incarnation),
    serial: fc.nat({ max: 999_999_999_999_999 }),
    opens: epochs,
    seals: epochs,
    refuses: epochs,
  },
  plain,
);

describe('advertisements', () => {
  test('are read as they were written', () => {
    fc.assert(
      fc.property(advertisement, written => {
        const read = parseAdvertisement(incarnation, formatAdvertisement(written));
        assert.deepEqual(read, written);
        assert.ok(sayTheSame(written, { ...read!, serial: 0 }));
      }),
    );
  });

  test('any text, and any edit of a good one: an advertisement that can be written again, or none', () => {
    const pieces = fc.constantFrom(
      'serial=',
      'opens=',
      'seals=',
      'refuses=',
      '=',
      ' ',
      ',',
      'ipsec/3/',
      '0123456789abcdef',
      'none',
      'wireguard',
      '7',
      '-1',
      '1e9',
      '\n',
      '\0',
      'x=y',
    );
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.array(pieces, { maxLength: 30 }).map(list => list.join('')),
      fc.tuple(advertisement, fc.nat(), fc.nat(9), pieces).map(([good, at, remove, insert]) => {
        const line = formatAdvertisement(good);
        const from = at % (line.length + 1);
        return line.slice(0, from) + insert + line.slice(from + remove);
      }),
      fc.constantFrom(`serial=1 opens=${'none,'.repeat(900)}none`, `serial=1 ${'x=y '.repeat(2000)}`),
    );
    fc.assert(
      fc.property(text, given => {
        const read = parseAdvertisement(incarnation, given);
        if (!read) return;
        assert.deepEqual(parseAdvertisement(incarnation, formatAdvertisement(read)), read);
        assert.ok(Number.isSafeInteger(read.serial) && read.serial >= 0);
        for (const each of [...read.opens, ...read.seals, ...read.refuses])
          assert.equal(parseEpoch(each), each);
      }),
      { numRuns: 1500 },
    );
  });

  test('without an incarnation there is none', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 35 }), advertisement, (text, written) => {
        assert.equal(parseAdvertisement(text, formatAdvertisement(written)), undefined);
      }),
    );
  });
});
