/**
 * What one program is measured on: two network namespaces joined by a veth pair, its tunnel between them.
 *
 *     pb-…l  192.0.2.1  ───veth, MTU 1500───  192.0.2.2  pb-…r
 *            10.9.0.1   ──tunnel, MTU 1420──  10.9.0.2
 *
 * and a third namespace for measurements of a program alone. The names carry the process id of the run.
 */
import { type ChildProcess, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exited, type Keys, makeKeys, until } from '../engine/pair.ts';
import { cpuSeconds, runIn, startIn } from './command.ts';
import type { Program } from './programs.ts';

const PREFIX = 'pb-';
const RUN = process.pid.toString(36);
const NETNS_FOLDER = '/run/netns';
const SOCKET_FOLDER = '/var/run/wireguard';

/** One end: a program in its namespace. */
export class End {
  readonly netns: string;
  readonly device: string;
  readonly keys = makeKeys();
  readonly port: number;
  #engine: ChildProcess | undefined;

  constructor(name: string, port: number) {
    this.netns = `${PREFIX}${RUN}-${name}`;
    this.device = `pb${RUN}${name}`;
    this.port = port;
  }

  get pid(): number {
    if (!this.#engine?.pid) throw new Error(`${this.device} has no engine`);
    return this.#engine.pid;
  }

  async start(program: Program): Promise<void> {
    const [file = '', ...args] = program.command;
    const engine = startIn(this.netns, file, [...args, '-f', this.device]);
    this.#engine = engine;
    await until(`${program.name} serves ${this.device}`, async () => {
      if (engine.exitCode !== null) throw new Error(`${program.name} ended at its start`);
      if (!existsSync(`${SOCKET_FOLDER}/${this.device}.sock`)) return false;
      return runIn(undefined, 'wg', ['show', this.device]).then(
        () => true,
        () => false,
      );
    });
  }

  /** Address and link. */
  async bringUp(address: string): Promise<void> {
    await runIn(this.netns, 'ip', ['address', 'replace', `${address}/16`, 'dev', this.device]);
    await runIn(this.netns, 'ip', ['link', 'set', this.device, 'mtu', '1420', 'up']);
  }

  /** In the place of what was configured. */
  async configure(peers: readonly string[]): Promise<void> {
    const folder = mkdtempSync(join(tmpdir(), 'pellicle-bench-'));
    try {
      const file = join(folder, 'wg.conf');
      const { privateKey } = this.keys;
      const device = `[Interface]\nPrivateKey = ${privateKey}\nListenPort = ${this.port}\n`;
      writeFileSync(file, device + peers.join(''), { mode: 0o600 });
      await runIn(undefined, 'wg', ['setconf', this.device, file]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  async stop(): Promise<void> {
    if (!this.#engine) return;
    this.#engine.kill('SIGKILL');
    await exited(this.#engine);
    this.#engine = undefined;
    rmSync(`${SOCKET_FOLDER}/${this.device}.sock`, { force: true });
  }
}

export class Bed {
  readonly program: Program;
  readonly left: End;
  readonly right: End;
  readonly alone: End;
  #server: ChildProcess | undefined;

  constructor(program: Program, number: number) {
    this.program = program;
    this.left = new End(`${number}l`, 51_821);
    this.right = new End(`${number}r`, 51_822);
    this.alone = new End(`${number}a`, 51_823);
  }

  async open(): Promise<void> {
    const { left, right } = this;
    for (const { netns } of [left, right, this.alone]) {
      ip('netns', 'add', netns);
      ip('-n', netns, 'link', 'set', 'lo', 'up');
    }
    ip('-n', left.netns, 'link', 'add', 'veth', 'type', 'veth', 'peer', 'name', 'veth', 'netns', right.netns);
    for (const [end, address] of [
      [left, '192.0.2.1/24'],
      [right, '192.0.2.2/24'],
    ] as const) {
      ip('-n', end.netns, 'address', 'add', address, 'dev', 'veth');
      ip('-n', end.netns, 'link', 'set', 'veth', 'up');
    }
    await Promise.all([left.start(this.program), right.start(this.program)]);
    await left.bringUp('10.9.0.1');
    await right.bringUp('10.9.0.2');
    await this.configure(1);
    await this.serve();
  }

  /** Both ends know each other, and more peers that never answer until there are `peers`. Resolves when packets pass. */
  async configure(peers: number): Promise<void> {
    const others = strangers(peers - 1);
    const { left, right } = this;
    await left.configure([peer(right.keys, '10.9.0.2', `192.0.2.2:${right.port}`), ...others]);
    await right.configure([peer(left.keys, '10.9.0.1', `192.0.2.1:${left.port}`), ...others]);
    await until(
      `${this.program.name} passes packets with ${peers} peers`,
      () =>
        runIn(left.netns, 'ping', ['-n', '-c', '1', '-W', '1', '10.9.0.2']).then(
          () => true,
          () => false,
        ),
      20,
    );
  }

  /** A fresh iperf3 server on the right. */
  async serve(): Promise<void> {
    if (this.#server) {
      this.#server.kill('SIGKILL');
      await exited(this.#server);
    }
    this.#server = startIn(this.right.netns, 'iperf3', ['-s']);
    await until('iperf3 listens', async () => {
      return /:5201\b/.test(await runIn(this.right.netns, 'ss', ['-Hltn']));
    });
  }

  /** Processor time of both ends. */
  cpuSeconds(): number {
    return cpuSeconds(this.left.pid) + cpuSeconds(this.right.pid);
  }
}

/** Removes this run's namespaces and sockets, and those of runs that were killed. */
export function removeNamespaces(): void {
  const netns = existsSync(NETNS_FOLDER) ? readdirSync(NETNS_FOLDER) : [];
  for (const name of netns) {
    const [, run] = /^pb-([0-9a-z]+)-\d+[lra]$/.exec(name) ?? [];
    if (!run || (run !== RUN && existsSync(`/proc/${Number.parseInt(run, 36)}`))) continue;
    const pids = execFileSync('ip', ['netns', 'pids', name], { encoding: 'utf8' });
    for (const pid of pids.split('\n').filter(Boolean)) kill(Number(pid));
    ip('netns', 'del', name);
    const device = `pb${name.slice(PREFIX.length).replace('-', '')}`;
    rmSync(`${SOCKET_FOLDER}/${device}.sock`, { force: true });
  }
}

/** Peers that nobody is: keys of their own, an address each, no endpoint. */
export function strangers(count: number): string[] {
  return Array.from({ length: count }, (_, i) =>
    peer({ publicKey: randomBytes(32).toString('base64') }, `10.10.${i >> 8}.${i & 255}`),
  );
}

export function peer(keys: Pick<Keys, 'publicKey'>, address: string, endpoint?: string): string {
  const where = endpoint ? `Endpoint = ${endpoint}\n` : '';
  return `[Peer]\nPublicKey = ${keys.publicKey}\nAllowedIPs = ${address}/32\n${where}`;
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It went by itself.
  }
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'pipe', 'pipe'] });
}
