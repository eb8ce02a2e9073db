import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { encodeTimestamp } from '../proto/wireguard/tai64n.ts';
import { TimestampFile } from './timestampfile.ts';

const folder = mkdtempSync(join(tmpdir(), 'pellicle-timestamp-'));
after(() => rmSync(folder, { recursive: true }));
const [early, late] = [encodeTimestamp(1_700_000_000, 0), encodeTimestamp(1_800_000_000, 0)];

test('what was kept last is read by the next', () => {
  const path = join(folder, 'kept');
  const file = new TimestampFile(path);
  assert.equal(file.read(), undefined);
  file.keep(() => early);
  file.keep(() => late);
  file.flush();
  assert.deepEqual(new TimestampFile(path).read(), late);
  assert.deepEqual(readdirSync(folder), ['kept']);
});

test('what is no label is as if there were none', () => {
  const path = join(folder, 'broken');
  for (const text of ['', '\n', '40', `${'4'.repeat(24)}`, `${'x'.repeat(24)}\n`, `${'4'.repeat(26)}\n`]) {
    writeFileSync(path, text);
    assert.equal(new TimestampFile(path).read(), undefined, JSON.stringify(text));
  }
});

test('a folder that is not there is no harm', () => {
  const file = new TimestampFile(join(folder, 'nowhere', 'file'));
  file.keep(() => early);
  file.flush();
  assert.equal(file.read(), undefined);
  assert.throws(() => readFileSync(join(folder, 'nowhere', 'file')));
});
