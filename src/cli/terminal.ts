/** How commands speak: results on stdout, progress and errors on stderr, colour only where a person looks. */
import type { WriteStream } from 'node:tty';

export interface Terminal {
  out(text: string): void;
  err(text: string): void;
  /** Text in a colour, where stdout shows colours. */
  colour(name: Colour, text: string): string;
  /** Aborted by the first Ctrl-C; the second one quits. */
  readonly signal: AbortSignal;
  /** Width of stderr when that is a terminal, where a line can be written over; else undefined. */
  readonly columns?: number | undefined;
}

export type Colour = 'red' | 'green' | 'yellow' | 'blue' | 'magenta' | 'cyan';

const CODES: Record<Colour, number> = { red: 31, green: 32, yellow: 33, blue: 34, magenta: 35, cyan: 36 };

/** Ctrl-C while something runs. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

export function systemTerminal(): Terminal {
  const abort = new AbortController();
  process.on('SIGINT', () => {
    if (abort.signal.aborted) process.exit(130);
    abort.abort(new Interrupted('interrupted'));
  });
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', (error: NodeJS.ErrnoException) => {
      // Whoever read the output has seen enough (head, less).
      if (error.code === 'EPIPE') process.exit(0);
      if (stream === process.stdout)
        process.stderr.write(
          `\nError: stdout cannot be written: ${error.message}; send the output elsewhere\n`,
        );
      process.exit(1);
    });
  const colours = showsColours(process.stdout, process.env);
  return {
    out: text => void process.stdout.write(text),
    err: text => void process.stderr.write(text),
    colour: (name, text) => (colours ? `\x1b[${CODES[name]}m${text}\x1b[0m` : text),
    signal: abort.signal,
    get columns() {
      return process.stderr.isTTY && process.env['TERM'] !== 'dumb' ? process.stderr.columns : undefined;
    },
  };
}

/** Ends the process. After Ctrl-C requests that are still under way do not hold it. */
export function leave(exitCode: number): void {
  if (exitCode === 130) process.exit(exitCode);
  process.exitCode = exitCode;
}

/** Says on stderr what is being waited for, if it takes longer than a second. */
export async function slowly<T>(terminal: Terminal, what: string, work: Promise<T>): Promise<T> {
  const timer = setTimeout(() => terminal.err(`⌛ ${what}…\n`), 1_000);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}

/** The same for work that changes nothing: Ctrl-C does not wait for its end. */
export function asking<T>(terminal: Terminal, what: string, work: Promise<T>): Promise<T> {
  const { signal } = terminal;
  const interrupted = Promise.withResolvers<never>();
  const stop = () => interrupted.reject(signal.reason);
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop);
  return slowly(terminal, what, Promise.race([work, interrupted.promise])).finally(() =>
    signal.removeEventListener('abort', stop),
  );
}

/** Tells on stderr how far something is: in one line that changes, or, where nobody looks, in a line for each change. */
export class Progress {
  readonly #terminal: Terminal;
  #shown = '';

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  show(text: string): void {
    if (text === this.#shown) return;
    this.#shown = text;
    const { columns } = this.#terminal;
    const line = `⌛ ${text}`;
    if (columns === undefined) this.#terminal.err(`${line}\n`);
    else this.#terminal.err(`\r\x1b[2K${line.length < columns ? line : `${line.slice(0, columns - 3)}…`}`);
  }

  /** Takes the changing line away. */
  end(): void {
    if (this.#terminal.columns !== undefined && this.#shown !== '') this.#terminal.err('\r\x1b[2K');
    this.#shown = '';
  }
}

function showsColours(stream: WriteStream, env: NodeJS.ProcessEnv): boolean {
  return stream.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
}
