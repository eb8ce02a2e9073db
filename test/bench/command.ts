/** Commands inside network namespaces, all of them known so that an interrupted run leaves none behind. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

const running = new Set<ChildProcess>();

/** Clock ticks of /proc/PID/stat: USER_HZ, 100 on every architecture that node runs on. */
const TICKS_PER_SECOND = 100;

/** Starts a program that goes on, without input or output. */
export function startIn(netns: string, program: string, args: readonly string[]): ChildProcess {
  const child = spawn('ip', ['netns', 'exec', netns, program, ...args], {
    stdio: 'ignore',
    env: { ...process.env, LOG_LEVEL: 'error', WG_SUDO: 'true' },
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}

/** What it printed. Rejects with its last words when it fails or takes longer. */
export function runIn(
  netns: string | undefined,
  program: string,
  args: readonly string[],
  options: { seconds?: number; input?: string } = {},
): Promise<string> {
  const [file = '', ...rest] = netns ? ['ip', 'netns', 'exec', netns, program, ...args] : [program, ...args];
  return new Promise((resolve, reject) => {
    const child = spawn(file, rest, {
      stdio: 'pipe',
      timeout: (options.seconds ?? 20) * 1000,
      killSignal: 'SIGKILL',
    });
    running.add(child);
    let output = '';
    let errors = '';
    child.stdout.on('data', chunk => {
      output += chunk;
    });
    child.stderr.on('data', chunk => {
      errors += chunk;
    });
    child.on('error', reject);
    child.on('close', code => {
      running.delete(child);
      if (code === 0) resolve(output);
      else reject(new Error(`${program} ${args.join(' ')}: ${(errors || output).trim().slice(-500)}`));
    });
    child.stdin.on('error', () => {});
    child.stdin.end(options.input);
  });
}

/** Ends all that runs. */
export function killAll(): void {
  for (const child of running) child.kill('SIGKILL');
}

/** Processor time that a process has used, all its threads, in user and kernel mode. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Resident memory of a process, and how much of it is no page of a file (its program, its libraries). */
export function residentBytes(pid: number): { all: number; own: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const of = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1024;
  return { all: of('VmRSS'), own: of('RssAnon') };
}
