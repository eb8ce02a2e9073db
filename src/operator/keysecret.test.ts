import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Secret } from '../kube/types.ts';
import { newMasterKey, PROFILES } from '../proto/keys/generate.ts';
import {
  CREATED_ANNOTATION,
  type GoodKeySecret,
  KEY_SECRET,
  newKeySecret,
  readKeySecret,
  replaceKey,
} from './keysecret.ts';

const NOW = new Date('2026-01-02T03:04:05Z');
const random = (bytes: number) => Uint8Array.from({ length: bytes }, (_, i) => i + 7);
const key = newMasterKey(3, PROFILES['rfc4106-gcm-aes'], random);
const LATER = '2026-02-02T00:00:00Z';

function good(secret: Secret): GoodKeySecret {
  const read = readKeySecret(secret);
  assert.ok('epoch' in read, JSON.stringify(read));
  return read;
}

/** As somebody with kubectl leaves it. */
function handwritten(secret: Secret, line: string, managedFields?: object[]): Secret {
  const data = { keys: Buffer.from(line).toString('base64') };
  return { ...secret, data, metadata: { ...secret.metadata, ...(managedFields && { managedFields }) } };
}

describe('the Secret with the key', () => {
  it('is read as it was written', () => {
    const read = good(newKeySecret(KEY_SECRET, 'kube-system', key, NOW));
    assert.equal(read.epoch, `ipsec/3/${key.fingerprint}`);
    assert.equal(read.created, NOW.getTime());
    assert.equal(read.current.secretLine(), key.secretLine());
    assert.deepEqual(read.warnings, []);
  });

  it('a new key is written in the place of the one that was read, and of no other', () => {
    const secret = newKeySecret(KEY_SECRET, 'kube-system', key, NOW);
    secret.metadata.resourceVersion = '17';
    const next = newMasterKey(4, PROFILES['rfc4106-gcm-aes'], bytes => random(bytes).reverse());
    const patch = replaceKey(readKeySecret(secret), next, new Date(LATER)) as Secret;
    assert.equal(patch.metadata.resourceVersion, '17');
    const after = good({ ...secret, ...patch, metadata: { ...secret.metadata, ...patch.metadata } });
    assert.equal(after.current.id, 4);
    assert.equal(after.created, Date.parse(LATER));
  });

  it('the age of a key that was written by hand is not that of the one before it', () => {
    const secret = newKeySecret(KEY_SECRET, 'kube-system', key, NOW);
    secret.metadata.creationTimestamp = '2025-01-01T00:00:00Z';
    const line = key.secretLine().replace('3+', '4+');
    assert.equal(good(handwritten(secret, line)).created, Date.parse('2025-01-01T00:00:00Z'));
    const owners = [
      { manager: 'kubectl-create', time: '2025-01-01T00:00:00Z', fieldsV1: { 'f:data': { 'f:keys': {} } } },
      { manager: 'kubectl-patch', time: LATER, fieldsV1: { 'f:data': { '.': {}, 'f:keys': {} } } },
      { manager: 'kubectl-label', time: '2026-03-03T00:00:00Z', fieldsV1: { 'f:metadata': {} } },
    ];
    assert.equal(good(handwritten(secret, line, owners)).created, Date.parse(LATER));
    secret.metadata.annotations = { [CREATED_ANNOTATION]: 'garbage' };
    delete secret.metadata.creationTimestamp;
    assert.equal(good(handwritten(secret, line, [{ manager: 'x' }])).created, undefined);
  });

  it('a bad one says what is wrong, and nothing of what is in it', () => {
    const secret = newKeySecret(KEY_SECRET, 'kube-system', key, NOW);
    for (const [data, problem] of [
      [undefined, /there is no "keys" in its data: write/],
      [{ key: '', other: '' }, /there is no "keys" in its data \(it has key, other\)/],
      [{ keys: '' }, /there is no key/],
      [{ keys: '!!!' }, /there is no key|line 1/],
    ] as const) {
      const { data: _, ...rest } = secret;
      const read = readKeySecret(data ? { ...rest, data: { ...data } } : rest);
      assert.ok('problem' in read);
      assert.match(read.problem, problem);
    }
    const spoilt = readKeySecret(handwritten(secret, `${key.secretLine()}0`));
    assert.ok('problem' in spoilt);
    assert.ok(!spoilt.problem.includes(key.secretLine().split(' ')[2] ?? ''));
  });
});
