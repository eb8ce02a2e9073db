/**
 * A lab's processes. /proc is the only truth: each namespace's init carries a marker in its arguments
 * (`pellicle-lab`, state folder, what it is), so that a lab can be found, repaired and ended without any record of it.
 */
import { execFile, spawn } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';

export const marker = 'pellicle-lab';

export interface LabProcesses {
  /** The init that holds the lab's network and PID namespace: with it everything ends. */
  holder?: number;
  /** Host pid of each node's init, by node name. */
  nodes: Map<string, number>;
  slirp?: number;
}

/** Host pids of a running lab, found by their markers. */
export function findLab(stateFolder: string, slirpSocket: string): LabProcesses {
  const found: LabProcesses = { nodes: new Map() };
  for (const pid of allPids()) {
    const argv = commandLine(pid);
    const at = argv.indexOf(marker);
    if (at > 0 && argv[at + 1] === stateFolder && isNamespaceInit(pid)) {
      const what = argv[at + 2];
      if (what === 'holder') found.holder = pid;
      else if (what !== undefined) found.nodes.set(what, pid);
    } else if (argv[0]?.endsWith('slirp4netns') && argv.includes(slirpSocket)) {
      found.slirp = pid;
    }
  }
  return found;
}

/** State folders of all labs that have a process on this machine. */
export function runningLabs(): string[] {
  const folders = new Set<string>();
  for (const pid of allPids()) {
    const argv = commandLine(pid);
    const at = argv.indexOf(marker);
    if (at > 0 && argv[at + 2] === 'holder' && isNamespaceInit(pid)) folders.add(argv[at + 1]!);
  }
  return [...folders];
}

/** Starts a program that outlives us: a session of its own, output to a file. */
export function startDetached(
  program: string,
  args: string[],
  options: { log: string; env?: Record<string, string> },
): { pid: number; failed: Promise<Error> } {
  const log = openSync(options.log, 'a', 0o600);
  try {
    const child = spawn(program, args, {
      detached: true,
      stdio: ['ignore', log, log],
      cwd: '/',
      env: { PATH: standardPath, LANG: 'C.UTF-8', ...options.env },
    });
    const failed = new Promise<Error>(resolve => {
      child.on('error', resolve);
      child.on('exit', (code, signal) =>
        resolve(new Error(`${program} ended (${signal ?? code}); its log is ${options.log}`)),
      );
    });
    child.unref();
    return { pid: child.pid ?? 0, failed };
  } finally {
    closeSync(log);
  }
}

export const standardPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Runs a shell script (`set -e`) in namespaces of a process, e.g. `['-n']`; rejects with what it said. */
export function runScript(
  script: string,
  options: { target?: number; namespaces?: string[]; timeoutMs?: number } = {},
): Promise<string> {
  const shell = ['sh', '-ec', script];
  const command =
    options.target === undefined
      ? shell
      : ['nsenter', '-t', String(options.target), ...(options.namespaces ?? ['-n']), ...shell];
  return new Promise((resolve, reject) => {
    execFile(
      command[0]!,
      command.slice(1),
      { timeout: options.timeoutMs ?? 20_000, env: { PATH: standardPath, LANG: 'C.UTF-8' } },
      (error, stdout, stderr) => {
        if (error) reject(new Error(stderr.trim() || error.message));
        else resolve(stdout);
      },
    );
  });
}

/** SIGKILL, then waits until the process is gone. */
export async function killAndWait(pid: number, timeoutMs = 10_000): Promise<void> {
  const started = startTime(pid);
  if (started === undefined) return;
  const deadline = Date.now() + timeoutMs;
  while (startTime(pid) === started) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      return;
    }
    if (Date.now() > deadline) throw new Error(`process ${pid} does not end`);
    await new Promise(resolve => setTimeout(resolve, 10));
  }
}

/** Clock ticks after boot at which a process started: with the pid, it names a process for good. Zombies have none. */
export function startTime(pid: number): number | undefined {
  const text = readProc(pid, 'stat');
  if (text === undefined) return undefined;
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : Number(fields[19]);
}

function allPids(): number[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(Number);
}

function commandLine(pid: number): string[] {
  return readProc(pid, 'cmdline')?.split('\0') ?? [];
}

/** PID 1 of a PID namespace below ours, and root's. */
function isNamespaceInit(pid: number): boolean {
  const status = readProc(pid, 'status') ?? '';
  const pids = /^NSpid:\s+(.*)$/m.exec(status)?.[1]?.split(/\s+/) ?? [];
  return pids.length > 1 && pids.at(-1) === '1' && /^Uid:\s+0\s/m.test(status);
}

function readProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return undefined;
  }
}
