/** Container logs in the CRI's format, `TIME stdout|stderr F|P TEXT`: parsed, cut to what was asked, followed. */
import { createReadStream, type FSWatcher, statSync, watch } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Writable } from 'node:stream';

export interface LogOptions {
  follow: boolean;
  timestamps: boolean;
  tailLines?: number;
  limitBytes?: number;
  /** Lines before it are left out. */
  since?: Date;
}

/** A line's text with its newline, unless it is a part of one. Undefined when it is none, or too old. */
export function formatLine(
  line: string,
  options: Pick<LogOptions, 'timestamps' | 'since'>,
): string | undefined {
  const match = /^(\S+) (?:stdout|stderr) ([FP])(?::\S+)? (.*)$/s.exec(line);
  if (!match) return undefined;
  const [, time = '', tag, text = ''] = match;
  if (options.since && Date.parse(time) < options.since.getTime()) return undefined;
  const prefix = options.timestamps ? `${time.replace('+00:00', 'Z')} ` : '';
  return `${prefix}${text}${tag === 'F' ? '\n' : ''}`;
}

/**
 * Writes a log to `out`; with `follow`, until `running` says no and the file is read to its end, or `signal` aborts.
 */
export async function writeLog(
  path: string,
  options: LogOptions,
  out: Writable,
  running: () => boolean,
  signal: AbortSignal,
): Promise<void> {
  let budget = options.limitBytes ?? Number.POSITIVE_INFINITY;
  const send = async (text: string) => {
    const bytes = Buffer.from(text).subarray(0, Math.min(budget, Buffer.byteLength(text)));
    budget -= bytes.length;
    if (bytes.length > 0 && !out.write(bytes)) await drained(out, signal);
  };
  let position = await tailPosition(path, options.tailLines);
  let rest = '';
  let inode = inodeOf(path);
  const readOn = async () => {
    for await (const chunk of createReadStream(path, { start: position, encoding: 'utf8' })) {
      if (signal.aborted) return;
      const text = chunk as string;
      position += Buffer.byteLength(text);
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      const formatted = lines.map(line => formatLine(line, options) ?? '').join('');
      if (formatted !== '') await send(formatted);
      if (budget <= 0) return;
    }
  };
  await readOn();
  if (!options.follow) return;
  const changes = new Changes(dirname(path), signal);
  try {
    while (!signal.aborted && budget > 0) {
      const live = running();
      const now = inodeOf(path);
      if (now !== inode) {
        inode = now;
        position = 0;
        rest = '';
      }
      const before = position;
      await readOn();
      if (!live && position === before) return;
      if (position === before) await changes.next();
    }
  } finally {
    changes.close();
  }
}

/** Offset where the last `lines` lines begin. */
async function tailPosition(path: string, lines: number | undefined): Promise<number> {
  if (lines === undefined) return 0;
  const { size } = await stat(path);
  if (lines === 0) return size;
  const file = await open(path);
  try {
    const block = 64 * 1024;
    let end = size;
    let seen = 0;
    while (end > 0) {
      const start = Math.max(0, end - block);
      const { buffer } = await file.read(Buffer.alloc(end - start), 0, end - start, start);
      for (let at = buffer.length - 1; at >= 0; at--) {
        if (buffer[at] !== 10 || start + at === size - 1) continue;
        if (++seen === lines) return start + at + 1;
      }
      end = start;
    }
    return 0;
  } finally {
    await file.close();
  }
}

function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}

function drained(out: Writable, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const done = () => {
      out.off('drain', done).off('close', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    out.on('drain', done).on('close', done);
    signal.addEventListener('abort', done);
  });
}

/** Tells when a file in the folder changed; at the latest after half a second, for the container's end. */
class Changes {
  readonly #watcher: FSWatcher;
  readonly #signal: AbortSignal;
  #changed = false;
  #wake: () => void = () => {};

  constructor(folder: string, signal: AbortSignal) {
    this.#signal = signal;
    this.#watcher = watch(folder, () => {
      this.#changed = true;
      this.#wake();
    });
    this.#watcher.on('error', () => {});
  }

  async next(): Promise<void> {
    if (!this.#changed) {
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, 500);
        const done = () => {
          clearTimeout(timer);
          resolve();
        };
        this.#wake = done;
        this.#signal.addEventListener('abort', done, { once: true });
      });
    }
    this.#changed = false;
  }

  close(): void {
    this.#watcher.close();
  }
}
