import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

export const run = promisify(execFile);

/** A process that keeps a network and a mount namespace; a private tmpfs is on each of `mounts`. */
export class Holder {
  readonly #child: ChildProcess;

  constructor(mounts: string[]) {
    const script = [
      ...mounts.map(path => `mount -t tmpfs tmpfs ${path}`),
      'ip link set lo up',
      'echo up',
      'exec sleep infinity',
    ];
    const args = ['--net', '--mount', '--propagation', 'private', 'sh', '-ec', script.join('; ')];
    this.#child = spawn('unshare', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get flags(): string[] {
    return ['-t', String(this.pid), '-n', '-m', '--'];
  }

  async started(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#child.stdout!.once('data', () => resolve());
      this.#child.once('exit', code => reject(new Error(`a namespace cannot be made (${code})`)));
    });
  }

  sh(script: string) {
    return run('nsenter', [...this.flags, 'sh', '-ec', script]);
  }

  spawn(command: string, args: string[], stderr: 'pipe' | 'ignore'): ChildProcess {
    return spawn('nsenter', [...this.flags, command, ...args], { stdio: ['ignore', 'ignore', stderr] });
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }
}

/** Asks until the answer is neither false nor undefined; throws after 30 s. */
export async function until<T>(
  what: string,
  ask: () => Promise<T | false | undefined>,
  limitMs = 30_000,
): Promise<T> {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const answer = await ask();
    if (answer !== false && answer !== undefined) return answer;
    if (Date.now() > deadline) throw new Error(`not within ${limitMs} ms: ${what}`);
    await sleep(50);
  }
}
