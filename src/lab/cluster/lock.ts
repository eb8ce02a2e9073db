/** One `lab up` or `lab down` of a lab at a time. */
import { readFileSync } from 'node:fs';
import { mkdir, open, rm, rmdir } from 'node:fs/promises';
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
    await removeEmptyParents(stateFolder);
  }
}

/** /var/lib/pellicle/lab and /var/lib/pellicle, if nothing is in them. */
async function removeEmptyParents(stateFolder: string): Promise<void> {
  const labs = dirname(stateFolder);
  await rmdir(labs)
    .then(() => rmdir(dirname(labs)))
    .catch(() => {});
}

async function take(path: string): Promise<void> {
  for (;;) {
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o755 });
      const file = await open(path, 'wx', 0o600);
      await file.writeFile(`${process.pid} ${startTime(process.pid)}`);
      await file.close();
      return;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Another lab's end took the empty folder away in between.
      if (code === 'ENOENT') continue;
      if (code !== 'EEXIST') throw error;
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
