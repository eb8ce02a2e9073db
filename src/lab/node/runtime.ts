/**
 * Containers, by crun (OCI runtime) under conmon (a monitor per container: it holds the output pipes, writes the log
 * in the CRI's format and leaves the exit code in a file). Both live on while the kubelet restarts.
 */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, watch } from 'node:fs';
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Image } from '../images/catalog.ts';
import type { LayerStore } from '../images/layers.ts';
import type { OciConfig } from './bundle.ts';
import { mustRun, runCommand } from './command.ts';
import { processStart } from './procfs.ts';

export interface RuntimePlaces {
  /** Folder of container bundles, on a tmpfs. */
  containers: string;
  /** crun's own state. */
  crun: string;
  exits: string;
  /** Console sockets: a short path. */
  sockets: string;
  layers: LayerStore;
  /** The machine's root, lowest layer of every container. */
  machineRoot: string;
}

export interface ExitRecord {
  code: number;
  /** Milliseconds since 1970. */
  finishedAt: number;
}

export interface Running {
  pid: number;
  start: number;
}

const largestLog = 10 << 20;

export class Runtime {
  readonly places: RuntimePlaces;

  constructor(places: RuntimePlaces) {
    this.places = places;
  }

  async prepare(): Promise<void> {
    for (const folder of [this.places.containers, this.places.crun, this.places.exits, this.places.sockets]) {
      await mkdir(folder, { recursive: true, mode: 0o700 });
    }
  }

  bundle(id: string): string {
    return join(this.places.containers, id);
  }

  /** Mounts the root, starts conmon, and leaves the container created, its program not yet running. */
  async create(id: string, config: OciConfig, image: Image, logPath: string): Promise<Running> {
    const bundle = this.bundle(id);
    await mkdir(join(bundle, 'rootfs'), { recursive: true, mode: 0o755 });
    for (const name of ['upper', 'work']) await mkdir(join(bundle, name), { mode: 0o755 });
    await mkdir(dirname(logPath), { recursive: true });
    await writeFile(join(bundle, 'config.json'), JSON.stringify(config), { mode: 0o600 });
    const lower = [...(await this.places.layers.layers(image)), this.places.machineRoot];
    const options = `lowerdir=${lower.join(':')},upperdir=${bundle}/upper,workdir=${bundle}/work`;
    await mustRun('mount', ['-t', 'overlay', 'overlay', '-o', options, join(bundle, 'rootfs')]);
    await this.#monitor(id, bundle, logPath, config.process.terminal);
    const pid = Number(await readFile(join(bundle, 'pid'), 'utf8'));
    const start = processStart(pid);
    if (start === undefined) throw new Error('the container ended before it was started');
    return { pid, start };
  }

  /** Throws what crun said, e.g. that the program is not there. */
  async start(id: string): Promise<void> {
    const { code, stderr } = await this.#crun(['start', id]);
    if (code !== 0) throw new Error(plainError(stderr));
  }

  /** Forgets a container that ended, and frees its root. Idempotent. */
  async remove(id: string, keepBundle = false): Promise<void> {
    const bundle = this.bundle(id);
    if (existsSync(join(this.places.crun, id))) await this.#crun(['delete', '--force', id]);
    if (existsSync(join(bundle, 'rootfs'))) {
      await runCommand('umount', ['--lazy', join(bundle, 'rootfs')]);
      for (const name of ['rootfs', 'upper', 'work']) {
        await rm(join(bundle, name), { recursive: true, force: true, maxRetries: 3 });
      }
    }
    await rm(join(this.places.exits, id), { force: true });
    if (!keepBundle) await rm(bundle, { recursive: true, force: true });
  }

  async exitOf(id: string): Promise<ExitRecord | undefined> {
    const path = join(this.places.exits, id);
    try {
      const [text, { mtimeMs }] = await Promise.all([readFile(path, 'utf8'), stat(path)]);
      return { code: Number(text), finishedAt: mtimeMs };
    } catch {
      return undefined;
    }
  }

  /** Ids with a bundle on disk. */
  bundles(): string[] {
    return readdirSync(this.places.containers);
  }

  /** Calls with the id of each container whose exit is recorded from now on. */
  onExit(listener: (id: string) => void): void {
    watch(this.places.exits, (_event, name) => {
      if (typeof name === 'string' && /^[0-9a-f]{64}$/.test(name)) listener(name);
    });
  }

  crunArguments(): string[] {
    return ['--root', this.places.crun, '--cgroup-manager=disabled'];
  }

  #crun(args: string[]) {
    return runCommand('crun', [...this.crunArguments(), ...args]);
  }

  #monitor(id: string, bundle: string, logPath: string, terminal: boolean): Promise<void> {
    const args = [
      ...['--api-version', '1', '--cid', id, '--cuuid', id, '--name', id],
      ...['--runtime', programPath('crun'), '--bundle', bundle],
      ...this.crunArguments().flatMap(arg => ['--runtime-arg', arg]),
      ...['--container-pidfile', join(bundle, 'pid'), '--conmon-pidfile', join(bundle, 'conmon.pid')],
      ...['--log-path', `k8s-file:${logPath}`, '--log-size-max', String(largestLog), '--log-level', 'error'],
      ...['--exit-dir', this.places.exits, '--persist-dir', bundle, '--full-attach', '--no-new-keyring'],
      ...(terminal ? ['--terminal'] : []),
    ];
    return new Promise((resolve, reject) => {
      const child = spawn('conmon', args, {
        detached: true,
        stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
        env: { PATH: process.env['PATH'] ?? '', _OCI_SYNCPIPE: '3' },
      });
      let text = '';
      let complaint = '';
      const timer = setTimeout(() => {
        child.kill('SIGKILL');
        settle(new Error('conmon took too long'));
      }, 30_000);
      const settle = (error?: Error) => {
        clearTimeout(timer);
        child.stderr?.destroy();
        child.stdio[3]?.destroy();
        if (error) reject(error);
        else resolve();
      };
      child.on('error', settle);
      child.stderr?.on('data', chunk => {
        complaint += chunk;
      });
      child.stdio[3]?.on('data', chunk => {
        text += chunk;
        const answer = parseSync(text);
        if (!answer) return;
        if (answer.pid > 0) settle();
        else settle(new Error(plainError(answer.message || complaint)));
      });
      child.stdio[3]?.on('end', () => settle(new Error(plainError(complaint) || 'conmon ended early')));
    });
  }
}

/** conmon's line on its sync pipe: `{"data": PID}`, or a negative number and a message. */
function parseSync(text: string): { pid: number; message: string } | undefined {
  const line = text.split('\n').find(each => each.trim() !== '');
  if (!line) return undefined;
  try {
    const value = JSON.parse(line) as { data?: number; pid?: number; message?: string };
    return { pid: value.data ?? value.pid ?? -1, message: value.message ?? '' };
  } catch {
    return undefined;
  }
}

/** crun's complaint as one line: without the time, its log's JSON, and the like. */
export function plainError(text: string): string {
  const lines = text
    .split('\n')
    .map(line => {
      const json = /"msg"\s*:\s*"((?:[^"\\]|\\.)*)"/.exec(line)?.[1];
      return (json === undefined ? line : JSON.parse(`"${json}"`)).replace(/^\S*Z:\s*/, '').trim();
    })
    .filter(line => line !== '');
  const missing = /(?:executable file|error executing file) `([^`]*)`(?:[^:]*): (.*)$/.exec(lines.join(' '));
  if (missing) return `exec: "${missing[1]}": ${missing[2]}`;
  return lines.join('; ');
}

/** Version of the OCI runtime, as a node reports it: `crun://1.8.1`. */
export async function runtimeVersion(): Promise<string> {
  const { stdout } = await runCommand('crun', ['--version']);
  return `crun://${/version (\S+)/.exec(stdout)?.[1] ?? 'unknown'}`;
}

/** conmon wants an absolute path. */
function programPath(name: string): string {
  const folders = (process.env['PATH'] ?? '/usr/bin').split(':');
  const folder = folders.find(each => existsSync(join(each, name)));
  if (folder === undefined) throw new Error(`${name} is not installed`);
  return join(folder, name);
}

/** Home folder by uid, from a passwd(5) file. */
export function homeFolders(path = '/etc/passwd'): Map<number, string> {
  const homes = new Map<number, string>([[0, '/root']]);
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    const fields = line.split(':');
    if (fields.length >= 7 && !homes.has(Number(fields[2]))) homes.set(Number(fields[2]), fields[5]!);
  }
  return homes;
}
