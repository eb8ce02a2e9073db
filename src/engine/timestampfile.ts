/**
 * Keeps the label of the last initiation over the engine's death. A peer takes only a greater label than the last one: when
 * the clock was set back meanwhile, an engine that had forgotten would be refused until the clock has caught up.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { fromHex, toHex } from '../proto/bytes.ts';

/** One label in hex, and the end of the line. */
const LINE = /^[0-9a-f]{24}\n$/;
const DELAY_MS = 500;

export class TimestampFile {
  readonly #path: string;
  #timer: NodeJS.Timeout | undefined;
  #waiting: (() => Uint8Array) | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Undefined when there is none, or what is there is none. */
  read(): Uint8Array | undefined {
    try {
      const line = readFileSync(this.#path, 'latin1');
      return LINE.test(line) ? fromHex(line.trimEnd()) : undefined;
    } catch {
      return undefined;
    }
  }

  /** Writes the label as it is half a second from now: one write for the many that a busy engine gives out. */
  keep(label: () => Uint8Array): void {
    this.#waiting = label;
    this.#timer ??= setTimeout(() => this.flush(), DELAY_MS).unref();
  }

  /** What was to be written later is written now. Without the right to write it goes without. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.#waiting) return;
    const line = `${toHex(this.#waiting())}\n`;
    this.#waiting = undefined;
    try {
      // Whole or not at all, whenever the machine stops.
      writeFileSync(`${this.#path}.new`, line, { mode: 0o600 });
      renameSync(`${this.#path}.new`, this.#path);
    } catch {}
  }
}
