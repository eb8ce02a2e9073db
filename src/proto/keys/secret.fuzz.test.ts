/** The Secret's value, as people write it and as they get it wrong. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { toHex } from '../bytes.ts';
import { runIn } from '../testleaks.ts';
import { newMasterKey, PROFILES } from './generate.ts';
import { LAST_KEY_ID } from './keyid.ts';
import { describeProblems, parseSecret } from './secret.ts';
import { refuseSuccessor } from './succession.ts';

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const hex = (length: number) => bytes(length).map(toHex);
const id = fc.integer({ min: 1, max: LAST_KEY_ID });
const master = fc
  .record({ id, profile: fc.constantFrom(...Object.values(PROFILES)), material: bytes(128) })
  // A key of one byte over and over is refused, as it should be.
  .filter(
    ({ material }) =>
      new Set(material.subarray(0, 16)).size > 1 && new Set(material.subarray(64, 80)).size > 1,
  )
  .map(({ id, profile, material }) => {
    let at = 0;
    return newMasterKey(id, profile, length => {
      at += length;
      return material.slice(at - length, at);
    });
  });

/** All that is said of a text, wherever it might be printed. */
function said(text: string): string {
  const parsed = parseSecret(text);
  const problems = 'problems' in parsed ? describeProblems(parsed.problems) : parsed.warnings.join();
  return `${inspect(parsed, { depth: 9 })} ${JSON.stringify(parsed)} ${problems}`;
}

/** cilium.md 1.2: what Cilium refuses, or takes and should not; `K` is a key of 20 bytes, `A` one of 32. */
const malformed = [
  '',
  ' ',
  '\n\n',
  '\0',
  '3',
  '3+',
  '3 rfc4106(gcm(aes))',
  '3 rfc4106(gcm(aes)) K',
  'K',
  '3 K',
  '3 K 128',
  'K 128',
  'abc rfc4106(gcm(aes)) K 128',
  '254 rfc4106(gcm(aes)) K 128',
  '16 rfc4106(gcm(aes)) K 128',
  '0 rfc4106(gcm(aes)) K 128',
  '-1 rfc4106(gcm(aes)) K 128',
  '+3 rfc4106(gcm(aes)) K 128',
  '3++ rfc4106(gcm(aes)) K 128',
  '3- rfc4106(gcm(aes)) K 128',
  '3.0 rfc4106(gcm(aes)) K 128',
  '0x3 rfc4106(gcm(aes)) K 128',
  '99999999999999999999 rfc4106(gcm(aes)) K 128',
  '259 rfc4106(gcm(aes)) K 128',
  'K rfc4106(gcm(aes)) 3 128',
  'rfc4106(gcm(aes)) K 128',
  'hmac(sha256) A cbc(aes) A',
  '3 rfc4106(gcm(aes)) K 128 10.0.0.1',
  '3 hmac(sha256) A cbc(aes) A 10.0.0.1',
  '3 rfc4106(gcm(aes)) K 128 K 128',
  '3 aes K 128',
  '3 rfc4107(gcm(aes)) K 128',
  '3 rfc4309(ccm(aes)) K 128',
  '3 rfc4543(gcm(aes)) K 128',
  '3 gcm(aes) K 128',
  '3 rfc4106(gcm(aes)) gK 128',
  '3 rfc4106(gcm(aes)) K0 128',
  '3 rfc4106(gcm(aes)) "K" 128',
  '3 rfc4106(gcm(aes)) \\xK 128',
  '3 rfc4106(gcm(aes)) 0x 128',
  '3 rfc4106(gcm(aes)) "" 128',
  '3 rfc4106(gcm(aes)) A 128',
  '3 rfc4106(gcm(aes)) KK 128',
  '3 rfc4106(gcm(aes)) K K',
  '3 rfc4106(gcm(aes)) K',
  '3 rfc4106(gcm(aes)) K abc',
  '3 rfc4106(gcm(aes)) K 64',
  '3 rfc4106(gcm(aes)) K 256',
  '3 rfc4106(gcm(aes)) K 0',
  '3 rfc4106(gcm(aes)) K -128',
  '3 rfc4106(gcm(aes)) K 128.0',
  '3 rfc4106(gcm(aes)) K 20',
  '3 rfc4106(gcm(aes)) 128 K',
  '3 hmac(sha256) gA cbc(aes) A',
  '3 hmac(sha256) A cbc(aes) gA',
  '3 hmac(sha256) A cbc(aes)',
  '3 hmac(sha256) A A cbc(aes)',
  '3 hmac(md5) A cbc(aes) A',
  '3 hmac(sha1) A cbc(aes) A',
  '3 hmac(sha256) A cbc(des3_ede) A',
  '3 hmac(sha256) A ecb(cipher_null) ""',
  '3 digest_null "" cipher_null ""',
  '3 cbc(aes) A hmac(sha256) A',
  '3 hmac(sha256) A cbc(aes) K',
  '3 hmac(sha256) "" cbc(aes) A',
  '3 xcbc(aes) A cbc(aes) A',
  '3 rfc4106(gcm(aes)) K 128\n3 rfc4106(gcm(aes)) A12345678 128',
  '3 rfc4106(gcm(aes)) K 128\n4 rfc4106(gcm(aes)) K 128',
  '3 rfc4106(gcm(aes)) K 128\nK',
  'keys: 3 rfc4106(gcm(aes)) K 128',
  '3,rfc4106(gcm(aes)),K,128',
  '3\u00a0rfc4106(gcm(aes)) K 128',
];

describe('the value of the Secret', () => {
  test('every malformed form is refused, and told without the key', () => {
    fc.assert(
      fc.property(hex(20), hex(32), (k, a) => {
        for (const form of malformed) {
          const text = form.replaceAll('K', k).replaceAll('A', a);
          const parsed = parseSecret(text);
          assert.ok('problems' in parsed && parsed.problems.length > 0, `accepted: ${form}`);
          for (const { message, line } of parsed.problems) {
            assert.match(message, /^line \d+|: write /, form);
            assert.ok(line >= 1 && line <= text.split('\n').length, form);
          }
          assert.equal(runIn(said(text), k), undefined);
          assert.equal(runIn(said(text), a), undefined);
        }
      }),
      { numRuns: 40 },
    );
  });

  test('what is written is read again, with any blanks around it', () => {
    const blanks = fc.constantFrom(' ', '  ', '\t', ' \r');
    fc.assert(
      fc.property(
        fc.uniqueArray(master, { minLength: 1, maxLength: 6, selector: key => key.id }),
        blanks,
        (keys, blank) => {
          const text = keys
            .map(key => `${blank}${key.secretLine().replaceAll(' ', blank)}${blank}`)
            .join('\n\n');
          const parsed = parseSecret(text);
          // Two of the same key by chance of the generator.
          if (keys.some((key, i) => keys.slice(0, i).some(other => other.sharesMaterial(key)))) return;
          assert.ok(!('problems' in parsed), 'problems' in parsed ? describeProblems(parsed.problems) : '');
          assert.deepEqual(
            parsed.keys.map(key => [key.id, key.marked, key.fingerprint, key.secretLine()]),
            keys.map(key => [key.id, key.marked, key.fingerprint, key.secretLine()]),
          );
          assert.equal(parsed.current.id, keys.at(-1)!.id);
        },
      ),
      { numRuns: 300 },
    );
  });

  test('whatever is edited, nothing throws and no key is told', () => {
    const edit = fc.oneof(
      fc.record({ at: fc.nat(400), remove: fc.nat(6), insert: fc.constant('') }),
      fc.record({
        at: fc.nat(400),
        remove: fc.nat(2),
        insert: fc.constantFrom(' ', '\n', '+', '"', '0x', '=', 'g', '\0', 'é', '-'),
      }),
      fc.record({
        at: fc.nat(400),
        remove: fc.nat(40),
        insert: fc.string({ unit: 'binary', maxLength: 12 }),
      }),
    );
    fc.assert(
      fc.property(
        fc.array(master, { minLength: 1, maxLength: 3 }),
        fc.array(edit, { maxLength: 5 }),
        (keys, edits) => {
          let text = keys.map(key => key.secretLine()).join('\n');
          for (const { at, remove, insert } of edits) {
            const from = at % (text.length + 1);
            text = text.slice(0, from) + insert + text.slice(from + remove);
          }
          const told = said(text);
          for (const key of keys) {
            for (const material of key.secretLine().match(/(?<= )[0-9a-f]{32,}(?= |$)/g) ?? [])
              assert.equal(runIn(told, material), undefined);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test('fields in any order: nothing throws and no key is told', () => {
    fc.assert(
      fc.property(
        master.chain(key => {
          const fields = key.secretLine().split(' ');
          return fc.tuple(
            fc.constant(key),
            fc.array(fc.constantFrom(...fields), { maxLength: 8 }),
            fc.constantFrom(' ', '', '\n', '=', ':', ','),
          );
        }),
        ([key, fields, between]) => {
          const told = said(fields.join(between));
          for (const material of key.secretLine().match(/(?<= )[0-9a-f]{32,}(?= |$)/g) ?? [])
            assert.equal(runIn(told, material), undefined);
        },
      ),
      { numRuns: 300 },
    );
  });

  test('what is said of a successor tells no key, and one that is in use is taken again', () => {
    fc.assert(
      fc.property(fc.array(master, { minLength: 1, maxLength: 4 }), master, (inUse, next) => {
        const why = refuseSuccessor(next, inUse) ?? '';
        for (const key of [...inUse, next]) {
          for (const material of key.secretLine().match(/(?<= )[0-9a-f]{32,}(?= |$)/g) ?? [])
            assert.equal(runIn(why, material), undefined);
        }
        assert.equal(refuseSuccessor(inUse[0]!, inUse), undefined);
      }),
      { numRuns: 500 },
    );
  });
});
