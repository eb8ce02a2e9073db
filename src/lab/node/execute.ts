/** Programs run inside a container that runs already (`crun exec`). */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { listenForConsole, type Terminal } from '../../linux/pty.ts';
import type { OciConfig } from './bundle.ts';
import type { Runtime } from './runtime.ts';

export interface ExecResult {
  code: number;
  output: string;
}

export interface ExecSession {
  stdin?: Writable | undefined;
  stdout: Readable;
  /** Absent with a terminal. */
  stderr?: Readable;
  terminal?: Terminal;
  /** The exit code, when the program has ended and its output was read. */
  ended: Promise<number>;
  /** Ends the program. */
  kill(): void;
}

/** As shells say of a program that is not there; crun itself has told on stderr. */
const neverStarted = 127;
const mostOutput = 10 * 1024;

/** For probes and hooks: the end of stdout and stderr together. 124 when it took too long. */
export async function execute(
  runtime: Runtime,
  id: string,
  command: string[],
  timeoutMs: number,
): Promise<ExecResult> {
  const session = await openExec(runtime, id, { command, stdin: false, tty: false });
  let output = '';
  for (const stream of [session.stdout, session.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(0, mostOutput);
    });
  }
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    session.kill();
  }, timeoutMs);
  const code = await session.ended;
  clearTimeout(timer);
  return late ? { code: 124, output: `command timed out after ${timeoutMs / 1000}s` } : { code, output };
}

/** Throws when the container or the program cannot be had. */
export async function openExec(
  runtime: Runtime,
  id: string,
  { command, stdin, tty }: { command: string[]; stdin: boolean; tty: boolean },
): Promise<ExecSession> {
  const bundle = runtime.bundle(id);
  const { process: own } = JSON.parse(await readFile(join(bundle, 'config.json'), 'utf8')) as OciConfig;
  const base = join(bundle, `exec-${randomBytes(4).toString('hex')}`);
  const env = tty && !own.env.some(entry => entry.startsWith('TERM=')) ? [...own.env, 'TERM=xterm'] : own.env;
  await writeFile(`${base}.json`, JSON.stringify({ ...own, args: command, env, terminal: tty }));
  const args = ['exec', '--process', `${base}.json`, '--pid-file', `${base}.pid`];
  const forget = () => void Promise.all(['json', 'pid'].map(end => rm(`${base}.${end}`, { force: true })));
  const started = (code: number) => (existsSync(`${base}.pid`) ? code : neverStarted);
  if (!tty) {
    const child = spawn('crun', [...runtime.crunArguments(), ...args, id], {
      stdio: [stdin ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    }) as ChildProcessByStdio<Writable | null, Readable, Readable>;
    const ended = endOf(child, 'close').then(started).finally(forget);
    child.stdin?.on('error', () => {});
    return {
      ...(child.stdin && { stdin: child.stdin }),
      stdout: child.stdout,
      stderr: child.stderr,
      ended,
      kill: () => killProgram(base, child),
    };
  }
  // Not in the bundle: the path of a unix socket has 107 bytes at most.
  const console = listenForConsole(join(runtime.places.sockets, basename(base)));
  const child = spawn(
    'crun',
    [...runtime.crunArguments(), ...args, '--tty', '--console-socket', console.path, id],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint += text;
  });
  const ended = endOf(child, 'exit').then(started).finally(forget);
  const terminal = await Promise.race([
    console.terminal(),
    ended.then(code => {
      throw new Error(complaint.trim() || `crun ended with ${code}`);
    }),
  ]).finally(() => console.close());
  return {
    stdin: terminal,
    stdout: terminal,
    terminal,
    ended,
    kill: () => {
      terminal.destroy();
      killProgram(base, child);
    },
  };
}

function endOf(child: ReturnType<typeof spawn>, event: 'exit' | 'close'): Promise<number> {
  return new Promise(resolve => {
    child.on('error', () => resolve(127));
    child.on(event, (code: number | null) => resolve(code ?? 137));
  });
}

/** By the pid that crun left: killing crun alone would leave the program behind. */
function killProgram(base: string, crun: ReturnType<typeof spawn>): void {
  if (crun.exitCode !== null || crun.signalCode !== null) return;
  try {
    process.kill(Number(readFileSync(`${base}.pid`, 'utf8')), 'SIGKILL');
  } catch {
    crun.kill('SIGKILL');
  }
}
