/** One line an event, as logfmt on stderr: `time=… level=info msg="…" subsys=reconcile peer=kind-worker2`. */

export type Level = 'debug' | 'info' | 'warning' | 'error';
export type Fields = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Log {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warning(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
  /** The same log with further fields on every line. */
  with(fields: Fields): Log;
}

export interface LogOptions {
  debug?: boolean;
  write?: (line: string) => void;
  now?: () => Date;
}

export function createLog(options: LogOptions = {}, base: Fields = {}): Log {
  const write = options.write ?? (line => process.stderr.write(line));
  const now = options.now ?? (() => new Date());
  const emit =
    (level: Level) =>
    (message: string, fields: Fields = {}) => {
      if (level === 'debug' && !options.debug) return;
      write(`${formatLine(now(), level, message, { ...base, ...fields })}\n`);
    };
  return {
    debug: emit('debug'),
    info: emit('info'),
    warning: emit('warning'),
    error: emit('error'),
    with: fields => createLog(options, { ...base, ...fields }),
  };
}

function formatLine(time: Date, level: Level, message: string, fields: Fields): string {
  const pairs = Object.entries(fields).filter(([, value]) => value !== undefined);
  return [
    `time=${time.toISOString()}`,
    `level=${level}`,
    `msg=${JSON.stringify(message)}`,
    ...pairs.map(([key, value]) => `${key}=${bare(String(value))}`),
  ].join(' ');
}

function bare(text: string): string {
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
}

/** What to say of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
