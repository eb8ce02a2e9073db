/** Log levels as wireguard-go knows them: LOG_LEVEL is verbose (or debug), error, or silent. */
export interface Log {
  verbose(message: string): void;
  error(message: string): void;
}

type Level = 'verbose' | 'error' | 'silent';

/** `error` for anything that is no level. */
export function levelOf(text: string | undefined): Level {
  if (text === 'verbose' || text === 'debug') return 'verbose';
  return text === 'silent' ? 'silent' : 'error';
}

export function makeLog(name: string, level: Level, write: (line: string) => void): Log {
  const printer = (label: string, isOn: boolean) => (message: string) => {
    if (isOn) write(`${label}: (${name}) ${new Date().toISOString()} ${message}\n`);
  };
  return {
    verbose: printer('DEBUG', level === 'verbose'),
    error: printer('ERROR', level !== 'silent'),
  };
}
