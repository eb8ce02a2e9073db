import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { failpoints } from './failpoints.ts';

const folder = mkdtempSync(join(tmpdir(), 'pellicle-failpoints-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('without a name nothing happens and nothing is written', () => {
  const passed = failpoints(undefined, folder, () => assert.fail('died'));
  passed('before-open');
  assert.deepEqual(readdirSync(folder), []);
});

test('it dies at its step alone, and once, also as the next process', () => {
  const deaths: string[] = [];
  const first = failpoints('after-seal', folder, () => deaths.push('first'));
  first('before-seal');
  first('after-seal');
  first('after-seal');
  const second = failpoints('after-seal', folder, () => deaths.push('second'));
  second('after-seal');
  assert.deepEqual(deaths, ['first']);
});

test('a step that does not exist is refused with those that do', () => {
  assert.throws(() => failpoints('after-lunch', folder), /before-open.*after-close/);
});
