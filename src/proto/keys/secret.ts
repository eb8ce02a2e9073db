/**
 * The value `keys` of the Secret `cilium-ipsec-keys`: one key a line, its fields apart by blanks.
 *
 *     3+ rfc4106(gcm(aes)) 40, 56 or 72 hex digits 128                       id, AEAD, key and salt, bits of the tag
 *     3+ hmac(sha256) 32 to 128 hex digits cbc(aes) 32, 48 or 64 hex digits   id, integrity, its key, cipher, its key
 *
 * The `+` asked Cilium for keys of their own per pair of nodes; here they always are. Of several lines the last is the
 * key to seal with, and the others can still be opened: so a node that comes back in mid-rotation has both.
 *
 * A Secret is good or bad as a whole. What is said of a bad one names line and field, and never repeats what may be a key.
 */
import { fromBase64, fromHex } from '../bytes.ts';
import {
  AEADS,
  type AeadName,
  aeadIcvBits,
  aeadKeyLengths,
  aeadSuite,
  CBC_KEY_LENGTHS,
  CIPHERS,
  cbcSuite,
  INTEGRITIES,
  type IntegrityName,
  integrityKeyRange,
} from '../esp/suite.ts';
import { isKeyId, type KeyId, LAST_KEY_ID, nextKeyId } from './keyid.ts';
import { MasterKey } from './master.ts';

export interface GoodSecret {
  /** In the order of the lines; the last is to be sealed with. */
  readonly keys: readonly MasterKey[];
  readonly current: MasterKey;
  readonly warnings: readonly string[];
}

export interface SecretProblem {
  /** From 1. */
  readonly line: number;
  /** From 1; absent when it is about the whole line. */
  readonly field?: number;
  /** A sentence: where, what is wrong, what to write. */
  readonly message: string;
}

export type ParsedSecret = GoodSecret | { readonly problems: readonly SecretProblem[] };

const EXAMPLE = '"3+ rfc4106(gcm(aes)) <40 hex digits> 128"';
/** A Secret holds 1 MiB at most; keys for all ids need less than this. */
const LONGEST_TEXT = 16_384;

export function parseSecret(text: string): ParsedSecret {
  if (text.length > LONGEST_TEXT) return whole(`the value has more than ${LONGEST_TEXT} characters`);
  if (isEncodedTwice(text))
    return whole('the value is base64 once more after decoding: encode it only once, or use stringData');
  const lines = text
    .split('\n')
    .map((line, i) => ({ number: i + 1, fields: line.split(/[ \t\r]+/).filter(Boolean) }));
  const filled = lines.filter(({ fields }) => fields.length > 0);
  if (filled.length === 0) return whole('there is no key');

  const read = filled.map(({ number, fields }) => readLine(number, fields));
  const problems = read.flatMap(line => ('problem' in line ? [line.problem] : []));
  const keys = read.flatMap(line => ('key' in line ? [{ key: line.key, line: line.line }] : []));
  for (const [i, { key, line }] of keys.entries()) {
    const before = keys.slice(0, i);
    const sameId = before.find(other => other.key.id === key.id);
    if (sameId) {
      problems.push(
        at(
          line,
          1,
          `the id ${key.id} stands on line ${sameId.line} already: give each key an id of its own, the newest last`,
        ),
      );
    }
    const sameKey = before.find(other => other.key.sharesMaterial(key));
    if (sameKey) {
      problems.push(
        at(line, undefined, `the key is that of line ${sameKey.line}: a key is written once, under one id`),
      );
    }
  }
  const current = keys.at(-1);
  if (problems.length > 0 || !current) return { problems };
  return {
    keys: keys.map(({ key }) => key),
    current: current.key,
    warnings: keys.flatMap(({ key, line }) => warningsOf(key, line)),
  };
}

/** Every problem in one sentence. */
export function describeProblems(problems: readonly SecretProblem[]): string {
  return problems.map(({ message }) => message).join('; ');
}

type ReadLine = { key: MasterKey; line: number } | { problem: SecretProblem };

function readLine(line: number, fields: string[]): ReadLine {
  const bad = (field: number | undefined, message: string) => ({ problem: at(line, field, message) });
  const [idText = '', algorithm = ''] = fields;
  const id = readId(idText);
  if (typeof id === 'string') return bad(1, id);
  if (fields.length === 1) return bad(undefined, `there is nothing after the key id: write ${EXAMPLE}`);

  const aead = AEADS.find(name => name === algorithm);
  if (aead) return readAead(line, id, aead, fields);
  const integrity = INTEGRITIES.find(name => name === algorithm);
  if (integrity) return readCbc(line, id, integrity, fields);
  return bad(2, `${unknown(algorithm)}: write one of ${[...AEADS, ...INTEGRITIES].join(', ')}`);
}

interface ReadId {
  id: KeyId;
  marked: boolean;
}

/** The sentence that tells what is wrong, or the id. */
function readId(text: string): ReadId | string {
  const found = /^([0-9]{1,4})(\+?)$/.exec(text);
  const range = `1 to ${LAST_KEY_ID}`;
  if (!found) {
    if (/^rfc|^hmac|^digest/.test(text)) return `the key id is missing: write it first, ${EXAMPLE}`;
    if (/^[-+][0-9]{1,4}\+?$/.test(text))
      return `the key id has a sign before it: write a number from ${range}`;
    return `the key id is not a number: write one from ${range}, with a "+" behind it, ${EXAMPLE}`;
  }
  const id = Number(found[1]);
  if (!isKeyId(id)) return `the key id is ${id}: write a number from ${range} (after ${LAST_KEY_ID} comes 1)`;
  return { id, marked: found[2] === '+' };
}

function readAead(line: number, { id, marked }: ReadId, name: AeadName, fields: string[]): ReadLine {
  const bad = (field: number | undefined, message: string) => ({ problem: at(line, field, message) });
  const lengths = aeadKeyLengths(name);
  const count = countProblem(
    fields,
    4,
    `id, ${name}, key and salt in hex, ${aeadIcvBits(name).join(' or ')}`,
  );
  if (count) return bad(undefined, count);
  const key = readKey(fields[2]!, name, length => lengths.includes(length), lengths);
  if (typeof key === 'string') return bad(3, key);
  const icv = readIcv(fields[3]!, name);
  if (typeof icv === 'string') return bad(4, icv);
  return { line, key: new MasterKey({ id, marked, suite: aeadSuite(name, key.length, icv), cipher: key }) };
}

function readCbc(line: number, { id, marked }: ReadId, name: IntegrityName, fields: string[]): ReadLine {
  const bad = (field: number | undefined, message: string) => ({ problem: at(line, field, message) });
  const count = countProblem(
    fields,
    5,
    `id, ${name}, its key in hex, ${CIPHERS.join(' or ')}, its key in hex`,
  );
  if (count) return bad(undefined, count);
  const { least, whole: full, most } = integrityKeyRange(name);
  const integrity = readKey(fields[2]!, name, length => length >= least && length <= most, [full]);
  if (typeof integrity === 'string') return bad(3, integrity);
  const cipherName = CIPHERS.find(each => each === fields[3]);
  if (!cipherName) return bad(4, `${unknown(fields[3]!)}: write ${CIPHERS.join(' or ')}`);
  const cipher = readKey(fields[4]!, cipherName, length => CBC_KEY_LENGTHS.includes(length), CBC_KEY_LENGTHS);
  if (typeof cipher === 'string') return bad(5, cipher);
  const suite = cbcSuite(name, integrity.length, cipher.length);
  return { line, key: new MasterKey({ id, marked, suite, cipher, integrity }) };
}

function countProblem(fields: string[], wanted: number, form: string): string | undefined {
  if (fields.length === wanted) return undefined;
  const how = fields.length < wanted ? 'too few fields' : 'too many fields';
  return `there are ${how}, ${fields.length} instead of ${wanted}: write ${form}`;
}

/** The sentence that tells what is wrong, or the key. */
function readKey(
  text: string,
  name: string,
  fits: (length: number) => boolean,
  lengths: readonly number[],
): Uint8Array | string {
  const remedy = `write ${lengths
    .map(length => 2 * length)
    .join(', ')
    .replace(/, (?=[^,]*$)/, ' or ')} hex digits`;
  const digits = text.replace(/^0[xX]/, '');
  const key = fromHex(digits);
  if (!key) {
    if (/^[0-9a-fA-F]+$/.test(digits))
      return `the key of ${name} has an odd number of hex digits, ${digits.length}: ${remedy}`;
    return `the key of ${name} has characters that are no hex digits: ${remedy}`;
  }
  if (!fits(key.length)) return `the key of ${name} has ${key.length} bytes, which does not fit: ${remedy}`;
  if (key.every(byte => byte === key[0])) {
    return `the key of ${name} is one byte over and over: make it of random bytes, for instance from /dev/urandom`;
  }
  return key;
}

function readIcv(text: string, name: AeadName): number | string {
  const allowed = aeadIcvBits(name);
  const remedy = `write ${allowed.toReversed().join(' or ')}, the bits of the tag (ICV) and not of the key`;
  const bits = /^[0-9]{1,4}$/.test(text) ? Number(text) : undefined;
  if (bits === undefined) return `the length of the tag is not a number: ${remedy}`;
  return allowed.includes(bits) ? bits : `${name} has no tag of ${bits} bits: ${remedy}`;
}

/** Names an algorithm that is known but not taken; anything else may be a key in the wrong place. */
function unknown(text: string): string {
  const why = REFUSED[text];
  return why === undefined ? 'this is no algorithm that is known here' : `${text} ${why}`;
}

const REFUSED: Readonly<Record<string, string>> = {
  'hmac(md5)': 'is broken',
  'hmac(sha1)': 'is withdrawn',
  'rfc4309(ccm(aes))': 'is not done here',
  'rfc4543(gcm(aes))': 'does not encrypt',
  'xcbc(aes)': 'is not done here',
  'cmac(aes)': 'is not done here',
  'cbc(des3_ede)': 'is withdrawn',
  'rfc3686(ctr(aes))': 'is not done here',
  'ecb(cipher_null)': 'does not encrypt',
  digest_null: 'does not authenticate',
  cipher_null: 'does not encrypt',
};

function warningsOf(key: MasterKey, line: number): string[] {
  const warnings: string[] = [];
  if (!key.marked) {
    warnings.push(
      `line ${line}: key ${key.id} is written without "+"; its keys are derived for each pair of nodes all the same, write ${key.id}+ to say so`,
    );
  }
  if (key.hasOneKeyForBoth) {
    warnings.push(
      `line ${line}: integrity and cipher have the same key; make two in the next rotation, to id ${nextKeyId(key.id)}`,
    );
  }
  return warnings;
}

function whole(message: string): { problems: SecretProblem[] } {
  return { problems: [{ line: 1, message: `${message}: write ${EXAMPLE}` }] };
}

function at(line: number, field: number | undefined, message: string): SecretProblem {
  const where = field === undefined ? `line ${line}` : `line ${line}, field ${field}`;
  return { line, ...(field === undefined ? {} : { field }), message: `${where}: ${message}` };
}

function isEncodedTwice(text: string): boolean {
  const decoded = fromBase64(text.trim());
  return decoded !== undefined && /^[0-9]{1,2}\+? [a-z]/.test(Buffer.from(decoded).toString('latin1'));
}
