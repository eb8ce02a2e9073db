import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { cbcSuite } from '../esp/suite.ts';
import { newMasterKey, PROFILES } from './generate.ts';
import type { MasterKey } from './master.ts';
import { describeProblems, parseSecret } from './secret.ts';
import { refuseSuccessor } from './succession.ts';

let seed = 0;
const random = (bytes: number) =>
  new Uint8Array(createHash('shake256', { outputLength: bytes }).update(`${seed++}`).digest());

const gcm = PROFILES['rfc4106-gcm-aes'];
const gcm256 = PROFILES['rfc4106-gcm-aes-256'];

/** The same key with other particulars. */
function copy(key: MasterKey, change: (line: string) => string): MasterKey {
  const parsed = parseSecret(change(key.secretLine()));
  assert.ok(!('problems' in parsed), 'problems' in parsed ? describeProblems(parsed.problems) : '');
  return parsed.current;
}

test('new keys of every profile are good Secrets, and their fingerprints tell them apart', () => {
  const fingerprints = new Set<string>();
  for (const suite of [...Object.values(PROFILES), cbcSuite('hmac(sha256)', 16, 32)]) {
    for (const id of [1, 15]) {
      const key = newMasterKey(id, suite, random);
      assert.deepEqual(copy(key, line => line).suite, suite);
      assert.match(key.fingerprint, /^[0-9a-f]{16}$/);
      assert.equal(copy(key, line => line).fingerprint, key.fingerprint);
      fingerprints.add(key.fingerprint);
    }
  }
  assert.equal(fingerprints.size, 16);
});

test('a fingerprint is of the key, the algorithm and the tag, not of the id', () => {
  const key = newMasterKey(3, gcm, random);
  assert.equal(copy(key, line => line.replace('3+', '4')).fingerprint, key.fingerprint);
  assert.notEqual(copy(key, line => line.replace(/128$/, '96')).fingerprint, key.fingerprint);
});

test('a new key under a new id may follow, of any algorithm that is not weaker', () => {
  const three = newMasterKey(3, gcm, random);
  assert.equal(refuseSuccessor(newMasterKey(4, gcm, random), [three]), undefined);
  assert.equal(refuseSuccessor(newMasterKey(9, gcm256, random), [three]), undefined);
  assert.equal(refuseSuccessor(newMasterKey(1, PROFILES['cbc-aes-sha256'], random), [three]), undefined);
  assert.equal(refuseSuccessor(three, []), undefined);
});

test('one that is in use may come back', () => {
  const [three, four] = [newMasterKey(3, gcm, random), newMasterKey(4, gcm256, random)];
  assert.equal(refuseSuccessor(three, [three, four]), undefined);
  assert.equal(
    refuseSuccessor(
      copy(three, line => line.replace('3+', '3')),
      [three, four],
    ),
    undefined,
  );
});

test('refused: the same id with another key, another id with the same key, a shorter key', () => {
  const three = newMasterKey(3, gcm256, random);
  const again = refuseSuccessor(newMasterKey(3, gcm256, random), [three]);
  assert.match(again!, /^key 3 is in use with another key .* write 4\+ before it$/);
  const otherTag = copy(three, line => line.replace(/128$/, '96'));
  assert.match(refuseSuccessor(otherTag, [three])!, /in use with another key or algorithm/);
  const twin = copy(three, line => line.replace('3+', '4+'));
  assert.match(refuseSuccessor(twin, [three])!, /^key 4 is key 3 under another id: .* write a new key$/);
  const shorter = refuseSuccessor(newMasterKey(4, gcm, random), [three]);
  assert.match(shorter!, /shorter than key 3 .*: a rotation never weakens, write a key for 256 bits$/);
  for (const text of [again, shorter])
    assert.ok(!text!.includes(three.secretLine().split(' ')[2]!.slice(0, 8)));
});
