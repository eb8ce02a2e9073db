/** One `lab up` or `lab down` of a lab at a time. */
import { readFileSync } from 'node:fs';
import { mkdir, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { startTime } from './processes.ts';

/** Throws a sentence when another process works on that lab. A lock whose owner is gone is taken over. */
export async function withLabLocked<T>(stateFolder: string, work: () => Promise<T>): Promise<T> {
  const path = `${stateFolder}.lock`;
  await take(path);
  try {
    return await work();
  } finally {
    await rm(path, { force: true });
  }
}

async function take(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o755 });
  for (;;) {
    try {
      const file = await open(path, 'wx', 0o600);
      await file.writeFile(`${process.pid} ${startTime(process.pid)}`);
      await file.close();
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const [pid, started] = ownerOf(path);
      if (pid !== undefined && startTime(pid) === started) {
        throw new Error(`process ${pid} is at work on this lab: wait for it to end, then try again`);
      }
      await rm(path, { force: true });
    }
  }
}

function ownerOf(path: string): [number?, number?] {
  try {
    const [pid, started] = readFileSync(path, 'utf8').split(' ').map(Number);
    return pid && started ? [pid, started] : [];
  } catch {
    return [];
  }
}
