import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { conflistText, installCni, removeCni } from './conflist.ts';

test('installs the shim and the configuration, and removes both', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pellicle-cni-'));
  try {
    const shim = join(folder, 'shim');
    writeFileSync(shim, 'program');
    const paths = {
      shim,
      binary: join(folder, 'bin/cilium-cni'),
      conflist: join(folder, 'net.d/05-cilium.conflist'),
      socketPath: '/run/x.sock',
    };
    await installCni(paths);
    const written = statSync(paths.conflist).mtimeMs;
    assert.equal(readFileSync(paths.binary, 'utf8'), 'program');
    assert.equal(statSync(paths.binary).mode & 0o777, 0o755);
    assert.equal(statSync(paths.conflist).mode & 0o777, 0o600);
    const conflist = JSON.parse(readFileSync(paths.conflist, 'utf8'));
    assert.equal(conflist.plugins[0].type, 'cilium-cni');
    assert.equal(conflist.plugins[0]['agent-socket'], '/run/x.sock');

    writeFileSync(shim, 'newer');
    await installCni(paths);
    assert.equal(readFileSync(paths.binary, 'utf8'), 'newer');
    assert.equal(statSync(paths.conflist).mtimeMs, written, 'what is as wanted is left alone');
    assert.deepEqual(readdirSync(join(folder, 'bin')), ['cilium-cni']);
    assert.deepEqual(readdirSync(join(folder, 'net.d')), ['05-cilium.conflist']);

    await removeCni(paths);
    await removeCni(paths);
    assert.deepEqual([readdirSync(join(folder, 'bin')), readdirSync(join(folder, 'net.d'))], [[], []]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('without a shim no configuration is written', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pellicle-cni-'));
  try {
    const paths = { shim: join(folder, 'none'), binary: join(folder, 'b'), conflist: join(folder, 'c') };
    await assert.rejects(installCni(paths), { code: 'ENOENT' });
    assert.deepEqual(readdirSync(folder), []);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the configuration offers every version that has lists', () => {
  assert.deepEqual(JSON.parse(conflistText('x', '/s')).cniVersions, ['0.3.1', '0.4.0', '1.0.0', '1.1.0']);
});
