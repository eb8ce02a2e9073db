/** The engine with its ciphers left out, which tells the limit of the design: a build that exists for this bench alone. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Program } from './programs.ts';

const ROOT = join(import.meta.dirname, '../..');

/** In a folder of its own, that goes with this process: no program of the project loads that addon. */
export function makeCipherless(): Program {
  const addon = join(ROOT, 'build/engine-nocipher.node');
  execFileSync('make', ['-s', '-C', join(ROOT, 'native'), '../build/engine-nocipher.node'], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, NODE: process.execPath },
  });
  const folder = mkdtempSync(join(tmpdir(), 'pellicle-bench-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  cpSync(join(ROOT, 'package.json'), join(folder, 'package.json'));
  cpSync(join(ROOT, 'dist'), join(folder, 'dist'), { recursive: true });
  mkdirSync(join(folder, 'build'));
  cpSync(join(ROOT, 'build/linux.node'), join(folder, 'build/linux.node'));
  cpSync(addon, join(folder, 'build/engine.node'));
  const program = join(folder, 'dist/pellicle-engine.js');
  return {
    name: 'the engine without its cipher',
    command: [process.execPath, '--disable-warning=ExperimentalWarning', program],
    kind: 'limit',
  };
}
