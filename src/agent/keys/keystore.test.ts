import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { loadOrCreateKey, removeKey } from './keystore.ts';

const base = mkdtempSync(join(tmpdir(), 'keys-'));
const path = join(base, 'state', 'cilium_wg0.key');
beforeEach(() => rmSync(join(base, 'state'), { recursive: true, force: true }));
after(() => rmSync(base, { recursive: true }));

test('a key is made once, for its owner alone, and kept', async () => {
  const made = await loadOrCreateKey(path);
  assert.equal(made.fresh, true);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(join(base, 'state')), ['cilium_wg0.key']);
  const again = await loadOrCreateKey(path);
  assert.deepEqual([again.fresh, again.wasExposed], [false, false]);
  assert.deepEqual(again.privateKey, made.privateKey);
});

test('of many who make it at once all have the same', async () => {
  const keys = await Promise.all(Array.from({ length: 8 }, () => loadOrCreateKey(path)));
  assert.equal(new Set(keys.map(({ privateKey }) => Buffer.from(privateKey).toString('hex'))).size, 1);
});

test('it is clamped, as wg genkey does', async () => {
  const { privateKey } = await loadOrCreateKey(path, size => new Uint8Array(size).fill(0xff));
  assert.deepEqual([privateKey[0], privateKey[31]], [0xf8, 0x7f]);
  assert.deepEqual(new Uint8Array(readFileSync(path)), privateKey);
});

test('a file that others can read is closed to them', async () => {
  await loadOrCreateKey(path);
  chmodSync(path, 0o644);
  assert.equal((await loadOrCreateKey(path)).wasExposed, true);
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

for (const [what, bytes] of [
  ['short', Buffer.alloc(31, 1)],
  ['of zeros', Buffer.alloc(32)],
  ['base64', Buffer.from('x'.repeat(44))],
] as const) {
  test(`a file that is ${what} is no key, and is left as it is`, async () => {
    await loadOrCreateKey(path);
    writeFileSync(path, bytes);
    await assert.rejects(loadOrCreateKey(path), /is no WireGuard key \(32 bytes\): move it away/);
    assert.deepEqual(readFileSync(path), bytes);
  });
}

test('removing what is not there is no fault', async () => {
  await removeKey(path);
  await loadOrCreateKey(path);
  await removeKey(path);
  assert.equal((await loadOrCreateKey(path)).fresh, true);
});
