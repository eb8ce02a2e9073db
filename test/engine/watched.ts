/** Processes of a test whose output is looked at while they run. */
import { once } from 'node:events';
import { type Side, until } from './pair.ts';

/** A process whose output is kept: all of it is there when it has `closed`. */
export function spawned(side: Side, ...command: string[]) {
  const [program = '', ...args] = command;
  const child = side.spawn(program, ...args);
  let [output, errors] = ['', ''];
  child.stdout?.on('data', chunk => {
    output += chunk;
  });
  child.stderr?.on('data', chunk => {
    errors += chunk;
  });
  const closed = once(child, 'close');
  return { status: { process: child, closed, output: () => output, errors: () => errors } };
}

/** Ping(8) takes a processor for itself when it shall send more often than each 10 ms. */
const PING_SECONDS = 0.02;

/** Pings until `stop`, which gives the numbers of those that were not answered. */
export function startPings(
  side: Side,
  address: string,
  seconds = PING_SECONDS,
): { kill(): void; stop(): Promise<number[]> } {
  const { status } = spawned(side, 'ping', '-n', '-i', String(seconds), address);
  const answered = () =>
    new Set(
      [...status.output().matchAll(/ bytes from .* icmp_seq=(\d+) /g)].map(([, number]) => Number(number)),
    );
  return {
    kill() {
      status.process.kill('SIGKILL');
    },
    async stop() {
      // Numbers end at 65535, after more than two minutes.
      const so = Math.max(...answered());
      await until('later pings are answered', () => Math.max(...answered()) > so + 20);
      status.process.kill('SIGINT');
      await status.closed;
      const numbers = answered();
      const last = Math.max(...numbers);
      return Array.from({ length: last }, (_, i) => i + 1).filter(number => !numbers.has(number));
    },
  };
}
