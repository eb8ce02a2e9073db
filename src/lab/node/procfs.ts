/** What /proc tells of a process. */
import { readFileSync } from 'node:fs';

/** Clock ticks after boot at which it started; undefined when there is none or it is a zombie. */
export function processStart(pid: number): number | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : Number(fields[19]);
  } catch {
    return undefined;
  }
}

/** Signals the very process that started then; false when it is gone. */
export function signalProcess(
  process_: { pid: number; start: number },
  signal: NodeJS.Signals | number,
): boolean {
  if (processStart(process_.pid) !== process_.start) return false;
  try {
    process.kill(process_.pid, signal);
    return true;
  } catch {
    return false;
  }
}
