/**
 * The inputs that fuzzing kept (native/fuzz/corpus), run again through native code with AddressSanitizer and
 * UndefinedBehaviorSanitizer. Fuzzing itself is `make -C native/fuzz run`.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { projectRoot } from '../../src/linux/project.ts';

const fuzz = join(projectRoot(), 'native/fuzz');
const programs = join(projectRoot(), 'build/fuzz');
const targets = execFileSync('make', ['-s', '-C', fuzz, 'list'], { encoding: 'utf8' }).trim().split(' ');
const scratch = mkdtempSync(join(tmpdir(), 'fuzz-'));

before(() => {
  const made = spawnSync('make', ['-s', '-j2', '-C', fuzz, 'replays'], {
    encoding: 'utf8',
    timeout: 900_000,
  });
  assert.equal(made.status, 0, made.stderr);
});
after(() => rmSync(scratch, { recursive: true }));

function replay(target: string, path: string): { ok: boolean; said: string } {
  const { status, stdout, stderr } = spawnSync(join(programs, `replay-${target}`), [path], {
    encoding: 'utf8',
    timeout: 300_000,
  });
  return { ok: status === 0, said: stdout + stderr };
}

describe('kept inputs', () => {
  for (const target of targets) {
    test(target, () => {
      const corpus = join(fuzz, 'corpus', target);
      const { ok, said } = replay(target, corpus);
      assert.ok(ok, said);
      assert.equal(said.trim(), `${readdirSync(corpus).length} inputs`);
    });
  }
});

test('what is wrong is found: a read too far, an overflow, a requirement that does not hold', () => {
  const signs = {
    overread: /AddressSanitizer: heap-buffer-overflow/,
    overflow: /runtime error: signed integer overflow/,
    requirement: /does not hold: length == 0/,
  };
  for (const [text, sign] of Object.entries(signs)) {
    const path = join(scratch, text);
    writeFileSync(path, text);
    const { ok, said } = replay('canary', path);
    assert.ok(!ok, text);
    assert.match(said, sign);
  }
  const path = join(scratch, 'nothing');
  writeFileSync(path, 'nothing');
  assert.deepEqual(replay('canary', path), { ok: true, said: '1 inputs\n' });
});
