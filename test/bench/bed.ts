/** A WireGuard program between two namespaces (see ground.ts), and in a third one alone. */
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exited, type Keys, makeKeys, until } from '../engine/pair.ts';
import { cpuSeconds, runIn, startIn } from './command.ts';
import { IperfServer, joinByVeth, makeNamespaces, nameOf, type Tunnelled, untilPackets } from './ground.ts';
import type { Program } from './programs.ts';

const SOCKET_FOLDER = '/var/run/wireguard';

/** One end: a program in its namespace. */
export class End {
  readonly netns: string;
  readonly device: string;
  readonly keys = makeKeys();
  readonly port: number;
  #engine: ChildProcess | undefined;

  constructor({ netns, device }: { netns: string; device: string }, port: number) {
    this.netns = netns;
    this.device = device;
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

export class Bed implements Tunnelled {
  readonly program: Program;
  readonly left: End;
  readonly right: End;
  readonly alone: End;
  readonly #server: IperfServer;

  constructor(program: Program, number: number) {
    this.program = program;
    this.left = new End(nameOf(number, 'l'), 51_821);
    this.right = new End(nameOf(number, 'r'), 51_822);
    this.alone = new End(nameOf(number, 'a'), 51_823);
    this.#server = new IperfServer(this.right.netns);
  }

  get name(): string {
    return this.program.name;
  }

  async open(): Promise<void> {
    const { left, right } = this;
    makeNamespaces(left.netns, right.netns, this.alone.netns);
    joinByVeth(left.netns, right.netns);
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
    await untilPackets(`${this.name} with ${peers} peers`, left.netns);
  }

  serve(): Promise<void> {
    return this.#server.start();
  }

  cpuSeconds(): number {
    return cpuSeconds(this.left.pid) + cpuSeconds(this.right.pid);
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
