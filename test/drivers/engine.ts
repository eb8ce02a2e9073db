/** A pellicle-engine with an ESP device in a network namespace. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const program = join(import.meta.dirname, '../../src/main/pellicle-engine.ts');
const DIRECTORY = '/var/run/pellicle';

/** Resolves when its control socket is there. */
export async function startEngine(netns: string, device: string, ...more: string[]): Promise<ChildProcess> {
  const args = [`--net=${netns}`, process.execPath, program, '-f', '--ipsec', device, ...more];
  const engine = spawn('nsenter', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  engine.stderr!.on('data', data => {
    said += data;
  });
  const deadline = Date.now() + 20_000;
  while (!existsSync(`${DIRECTORY}/${device}.sock`)) {
    if (Date.now() > deadline || engine.exitCode !== null)
      throw new Error(`pellicle-engine does not come up: ${said}`);
    await sleep(20);
  }
  return engine;
}

export async function stopEngine(engine: ChildProcess | undefined): Promise<void> {
  if (!engine || engine.exitCode !== null || engine.signalCode !== null) return;
  const ended = new Promise(resolve => engine.once('exit', resolve));
  engine.kill('SIGTERM');
  await ended;
}
