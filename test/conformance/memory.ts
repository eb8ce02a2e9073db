/** What a process has in its memory, by proc_pid_mem(5). */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

const PIECE_BYTES = 16 << 20;

/** Which of the byte strings are anywhere in the memory that the process may read. */
export function inMemoryOf(pid: number, wanted: Readonly<Record<string, Uint8Array>>): string[] {
  const found = new Set<string>();
  const longest = Math.max(...Object.values(wanted).map(({ length }) => length));
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  try {
    for (const [start, end] of readableRanges(pid)) {
      for (let at = start; at < end; at += PIECE_BYTES) {
        const piece = readAt(memory, at, Math.min(PIECE_BYTES + longest, end - at));
        for (const [name, bytes] of Object.entries(wanted)) if (piece.indexOf(bytes) >= 0) found.add(name);
      }
    }
  } finally {
    closeSync(memory);
  }
  return [...found];
}

function readableRanges(pid: number): [number, number][] {
  const maps = readFileSync(`/proc/${pid}/maps`, 'latin1');
  return [...maps.matchAll(/^([0-9a-f]+)-([0-9a-f]+) r.*$/gm)].map(([, start = '', end = '']) => [
    Number.parseInt(start, 16),
    Number.parseInt(end, 16),
  ]);
}

/** Less, or nothing, of what has gone meanwhile, and of pages of the kernel's. */
function readAt(memory: number, position: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  try {
    return bytes.subarray(0, readSync(memory, bytes, 0, length, position));
  } catch {
    return bytes.subarray(0, 0);
  }
}
