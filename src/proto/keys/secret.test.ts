import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { toHex } from '../bytes.ts';
import { describeProblems, type GoodSecret, parseSecret, type SecretProblem } from './secret.ts';

/** Hex digits that repeat no six of them. */
const hexKey = (bytes: number) => toHex(Uint8Array.from({ length: bytes }, (_, i) => (41 * i + 17) & 0xff));
const K = hexKey(20);

function good(text: string): GoodSecret {
  const parsed = parseSecret(text);
  assert.ok(!('problems' in parsed), `${text}: ${'problems' in parsed && describeProblems(parsed.problems)}`);
  return parsed;
}

function bad(text: string): readonly SecretProblem[] {
  const parsed = parseSecret(text);
  assert.ok('problems' in parsed, `accepted: ${text}`);
  return parsed.problems;
}

test('every form, with and without +', () => {
  const forms: [string, string, number, number][] = [
    [`rfc4106(gcm(aes)) ${hexKey(20)} 128`, 'rfc4106(gcm(aes))', 16, 16],
    [`rfc4106(gcm(aes)) ${hexKey(28)} 128`, 'rfc4106(gcm(aes))', 24, 16],
    [`rfc4106(gcm(aes)) ${hexKey(36)} 128`, 'rfc4106(gcm(aes))', 32, 16],
    [`rfc4106(gcm(aes)) ${hexKey(20)} 96`, 'rfc4106(gcm(aes))', 16, 12],
    [`rfc7539esp(chacha20,poly1305) ${hexKey(36)} 128`, 'rfc7539esp(chacha20,poly1305)', 32, 16],
    [`hmac(sha256) ${hexKey(16)} cbc(aes) ${K.slice(0, 32)}`, 'cbc(aes)', 16, 16],
    [`hmac(sha256) ${hexKey(32)} cbc(aes) ${hexKey(24)}`, 'cbc(aes)', 24, 16],
    [`hmac(sha384) ${hexKey(48)} cbc(aes) ${hexKey(32)}`, 'cbc(aes)', 32, 24],
    [`hmac(sha512) ${hexKey(32)} cbc(aes) ${hexKey(16)}`, 'cbc(aes)', 16, 32],
    [`hmac(sha512) ${hexKey(64)} cbc(aes) ${hexKey(16)}`, 'cbc(aes)', 16, 32],
  ];
  for (const [form, cipher, keyLength, icvLength] of forms) {
    for (const id of [1, 3, 10, 15]) {
      const plain = good(`${id} ${form}`).current;
      const marked = good(`${id}+ ${form}`).current;
      for (const key of [plain, marked]) {
        assert.equal(key.id, id);
        assert.equal(key.suite.cipher, cipher);
        assert.equal(key.suite.keyLength, keyLength);
        assert.equal(key.suite.icvLength, icvLength);
      }
      assert.deepEqual([plain.marked, marked.marked], [false, true]);
      assert.equal(plain.fingerprint, marked.fingerprint);
      assert.equal(marked.secretLine(), `${id}+ ${form}`);
      assert.equal(plain.secretLine(), `${id} ${form}`);
    }
  }
});

test("the examples of Cilium's documentation", () => {
  good('3 rfc4106(gcm(aes)) da630c6acdbef2757ab7f5215b8b1811420e3f61 128');
  const both = good(
    '1 hmac(sha256) 0123456789abcdef0123456789abcdef cbc(aes) 0123456789abcdef0123456789abcdef',
  );
  assert.ok(both.warnings.some(warning => warning.includes('same key')));
});

test('the master derives as the formula says, each key of auth + enc by itself', () => {
  const source = { address: '10.244.0.74', bootId: '11111111-2222-3333-4444-555555555555' };
  const destination = { address: '10.244.3.112', bootId: 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee' };
  const aead = good('3+ rfc4106(gcm(aes)) da630c6acdbef2757ab7f5215b8b1811420e3f61 128').current;
  assert.deepEqual(Object.keys(aead.derive({ source, destination })), ['cipher']);
  assert.equal(
    toHex(aead.derive({ source, destination }).cipher),
    '3ca74d47d136a05d8a86ae36a8a350706fcfd0a2',
  );
  const cbc = good(`3+ hmac(sha512) ${hexKey(64)} cbc(aes) ${hexKey(16)}`).current.derive({
    source,
    destination,
  });
  assert.deepEqual([cbc.integrity?.length, cbc.cipher.length], [64, 16]);
});

test('blanks, line ends and 0x do not matter', () => {
  const line = `3+ rfc4106(gcm(aes)) ${K} 128`;
  for (const text of [
    `${line}\n`,
    `  ${line}  \r\n\r\n`,
    `\n\n${line}`,
    line.replaceAll(' ', '  \t'),
    `3+ rfc4106(gcm(aes)) 0x${K} 128`,
    `3+ rfc4106(gcm(aes)) ${K.toUpperCase()} 128`,
    `03+ rfc4106(gcm(aes)) ${K} 128`,
  ]) {
    assert.equal(good(text).current.secretLine(), line);
  }
});

test('of several lines the last is to be sealed with', () => {
  const { keys, current } = good(`3+ rfc4106(gcm(aes)) ${K} 128\n4+ rfc4106(gcm(aes)) ${hexKey(36)} 128\n`);
  assert.deepEqual(
    keys.map(({ id }) => id),
    [3, 4],
  );
  assert.equal(current.id, 4);
});

test('each mistake is told with line, field and what to write', () => {
  const gcm = `rfc4106(gcm(aes)) ${K} 128`;
  const cases: [string, number | undefined, RegExp][] = [
    ['', undefined, /there is no key: write "3\+/],
    ['\n \n', undefined, /there is no key/],
    [gcm, 1, /the key id is missing: write it first/],
    [`abc ${gcm}`, 1, /not a number: write one from 1 to 15/],
    [`${K} ${gcm}`, 1, /not a number/],
    [`0 ${gcm}`, 1, /the key id is 0: write a number from 1 to 15/],
    [`16+ ${gcm}`, 1, /the key id is 16/],
    [`254 ${gcm}`, 1, /the key id is 254/],
    [`-3 ${gcm}`, 1, /sign before it/],
    [`+3 ${gcm}`, 1, /sign before it/],
    [`3++ ${gcm}`, 1, /not a number/],
    [`3.0 ${gcm}`, 1, /not a number/],
    ['3', undefined, /nothing after the key id/],
    ['3 rfc4106(gcm(aes))', undefined, /too few fields, 2 instead of 4/],
    [`3 rfc4106(gcm(aes)) ${K}`, undefined, /too few fields, 3 instead of 4/],
    [`3 ${gcm} 10.0.0.1`, undefined, /too many fields, 5 instead of 4/],
    [`3 ${K} 128`, 2, /no algorithm that is known here: write one of rfc4106/],
    [`3 aes ${K} 128`, 2, /no algorithm/],
    [`3 RFC4106(GCM(AES)) ${K} 128`, 2, /no algorithm/],
    [`3 rfc4543(gcm(aes)) ${K} 128`, 2, /rfc4543\(gcm\(aes\)\) does not encrypt/],
    [`3 hmac(md5) ${K} cbc(aes) ${K}`, 2, /hmac\(md5\) is broken: write/],
    ['3 digest_null "" cipher_null ""', 2, /digest_null does not authenticate/],
    [`3 rfc4106(gcm(aes)) ${K.slice(1)} 128`, 3, /an odd number of hex digits, 39: write 40, 56 or 72/],
    [
      `3 rfc4106(gcm(aes)) ${K.slice(2)} 128`,
      3,
      /has 19 bytes, which does not fit: write 40, 56 or 72 hex digits/,
    ],
    [`3 rfc4106(gcm(aes)) ${hexKey(16)} 128`, 3, /has 16 bytes/],
    [`3 rfc4106(gcm(aes)) z${K.slice(1)} 128`, 3, /characters that are no hex digits/],
    [`3 rfc4106(gcm(aes)) ${'00'.repeat(20)} 128`, 3, /one byte over and over/],
    [`3 rfc4106(gcm(aes)) ${K} 256`, 4, /has no tag of 256 bits: write 128 or 96, the bits of the tag/],
    [`3 rfc4106(gcm(aes)) ${K} 64`, 4, /has no tag of 64 bits/],
    [`3 rfc4106(gcm(aes)) ${K} x`, 4, /not a number/],
    [`3 rfc7539esp(chacha20,poly1305) ${K} 128`, 3, /write 72 hex digits/],
    [`3 hmac(sha256) ${hexKey(32)} cbc(aes)`, undefined, /too few fields, 4 instead of 5/],
    [`3 hmac(sha256) ${hexKey(15)} cbc(aes) ${hexKey(16)}`, 3, /has 15 bytes, which does not fit: write 64/],
    [`3 hmac(sha512) ${hexKey(65)} cbc(aes) ${hexKey(16)}`, 3, /has 65 bytes/],
    [`3 hmac(sha256) ${hexKey(32)} cbc(des3_ede) ${hexKey(24)}`, 4, /withdrawn: write cbc\(aes\)/],
    [
      `3 hmac(sha256) ${hexKey(32)} ${hexKey(16)} cbc(aes)`,
      4,
      /no algorithm that is known here: write cbc\(aes\)/,
    ],
    [
      `3 hmac(sha256) ${hexKey(32)} cbc(aes) ${hexKey(20)}`,
      5,
      /has 20 bytes, which does not fit: write 32, 48 or 64/,
    ],
    [Buffer.from(`3 ${gcm}`).toString('base64'), undefined, /base64 once more/],
    ['x'.repeat(20_000), undefined, /more than/],
  ];
  for (const [text, field, message] of cases) {
    const [problem, ...more] = bad(text);
    assert.ok(problem, text);
    assert.deepEqual(more, []);
    assert.equal(problem.line, 1);
    assert.equal(problem.field, field, `${text} -> ${problem.message}`);
    assert.match(problem.message, message);
  }
});

test('a bad line spoils the Secret, and every bad line is told', () => {
  const problems = bad(`3 rfc4106(gcm(aes)) ${K} 128\n99 x\n\n4 rfc4106(gcm(aes)) zz 128`);
  assert.deepEqual(
    problems.map(({ line, field }) => [line, field]),
    [
      [2, 1],
      [4, 3],
    ],
  );
  assert.match(describeProblems(problems), /^line 2, field 1: .*; line 4, field 3: /);
});

test('an id and a key stand once', () => {
  assert.match(
    bad(`3 rfc4106(gcm(aes)) ${K} 128\n3 rfc4106(gcm(aes)) ${hexKey(36)} 128`)[0]!.message,
    /line 2, field 1: the id 3 stands on line 1 already/,
  );
  assert.match(
    bad(`3 rfc4106(gcm(aes)) ${K} 128\n4 rfc4106(gcm(aes)) ${K} 128`)[0]!.message,
    /line 2: the key is that of line 1/,
  );
});

test('no sentence has six digits of a key in it, however fields are mixed up', () => {
  const secret = hexKey(24);
  const token = fc.constantFrom(
    ...[
      '3',
      '3+',
      '0',
      '16',
      'rfc4106(gcm(aes))',
      'hmac(sha256)',
      'cbc(aes)',
      '128',
      '"',
      '',
      '10.0.0.1',
      '-',
    ],
    ...[
      secret,
      secret.slice(1),
      secret.slice(0, 40),
      `${secret}!`,
      `hmac(${secret})`,
      `${secret.slice(0, 8)}`,
    ],
  );
  const text = fc
    .array(fc.array(token, { maxLength: 7 }), { maxLength: 3 })
    .map(lines => lines.map(line => line.join(' ')).join('\n'));
  fc.assert(
    fc.property(text, given => {
      const parsed = parseSecret(given);
      const said = inspect(parsed, { depth: 9 }) + JSON.stringify(parsed);
      for (let i = 0; i + 6 <= secret.length; i++) assert.ok(!said.includes(secret.slice(i, i + 6)), said);
    }),
    { numRuns: 3000 },
  );
});

test('no text makes it throw', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 200 }), text => void parseSecret(text)));
});
