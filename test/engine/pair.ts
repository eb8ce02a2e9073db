/**
 * Two network namespaces joined by a veth pair, a WireGuard interface in each:
 *
 *     left  192.0.2.1, 2001:db8::1  ───veth───  192.0.2.2, 2001:db8::2  right
 *           10.9.0.1, fd09::1       ──tunnel──  10.9.0.2, fd09::2
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { errnoOf } from '../../src/proto/wireguard/uapi.ts';
import { type DeviceStatus, type PeerStatus, parseStatus } from '../../src/proto/wireguard/uapistatus.ts';

const ROOT = join(import.meta.dirname, '../..');
export const ENGINE = [process.execPath, join(ROOT, 'src/main/pellicle-engine.ts')];
export const WIREGUARD_GO = ['wireguard-go'];

export interface Keys {
  readonly privateKey: string;
  readonly publicKey: string;
}

export interface PeerOptions {
  presharedKey?: string;
  /** Without one the side waits to hear from the other. */
  endpoint?: string;
  persistentKeepalive?: number;
}

export class Side {
  readonly number: 1 | 2;
  readonly netns: string;
  readonly device: string;
  readonly veth: string;
  readonly keys = makeKeys();
  readonly port: number;
  #engine: ChildProcess | undefined;

  constructor(number: 1 | 2, tag: string) {
    this.number = number;
    this.netns = `engine-${tag}-${number}`;
    this.device = `eng${tag}${number}`;
    this.veth = `engv${tag}${number}`;
    this.port = 51_800 + number;
  }

  get inner4(): string {
    return `10.9.0.${this.number}`;
  }
  get inner6(): string {
    return `fd09::${this.number}`;
  }
  get outer4(): string {
    return `192.0.2.${this.number}`;
  }
  get outer6(): string {
    return `2001:db8::${this.number}`;
  }
  get socket(): string {
    return `/var/run/wireguard/${this.device}.sock`;
  }
  get process(): ChildProcess {
    if (!this.#engine) throw new Error(`${this.device} has no engine`);
    return this.#engine;
  }

  /** Output of a command in this namespace. Throws with its error output when it fails. */
  run(program: string, ...args: string[]): string {
    return execFileSync('ip', ['netns', 'exec', this.netns, program, ...args], {
      encoding: 'utf8',
      timeout: 60_000,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  /** A process in this namespace, with pipes. */
  spawn(program: string, ...args: string[]): ChildProcess {
    return spawn('ip', ['netns', 'exec', this.netns, program, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  async start(program: readonly string[], ...args: string[]): Promise<void> {
    const [file = '', ...rest] = program;
    const engine = this.spawn(file, ...rest, '-f', ...args, this.device);
    this.#engine = engine;
    let errors = '';
    engine.stderr?.on('data', chunk => {
      errors += chunk;
    });
    await until(`${this.device} serves its socket`, async () => {
      if (engine.exitCode !== null) throw new Error(`the engine ended: ${errors}`);
      return existsSync(this.socket) && (await this.status().catch(() => undefined)) !== undefined;
    });
  }

  /** Ends it at once, as a crash would. */
  async kill(): Promise<void> {
    const engine = this.process;
    this.#engine = undefined;
    engine.kill('SIGKILL');
    await exited(engine);
  }

  /** Addresses and link of the tunnel. */
  bringUp(mtu = 1420): void {
    this.run('ip', 'address', 'replace', `${this.inner4}/24`, 'dev', this.device);
    this.run('ip', 'address', 'replace', `${this.inner6}/64`, 'dev', this.device, 'nodad');
    this.run('ip', 'link', 'set', this.device, 'mtu', String(mtu), 'up');
  }

  /** By `wg setconf`, with the other side as the only peer. */
  configure(other: Side, options: PeerOptions = {}): void {
    const lines = [
      '[Interface]',
      `PrivateKey = ${this.keys.privateKey}`,
      `ListenPort = ${this.port}`,
      '[Peer]',
      `PublicKey = ${other.keys.publicKey}`,
      `AllowedIPs = ${other.inner4}/32, ${other.inner6}/128`,
      ...(options.endpoint ? [`Endpoint = ${options.endpoint}`] : []),
      ...(options.presharedKey ? [`PresharedKey = ${options.presharedKey}`] : []),
      ...(options.persistentKeepalive ? [`PersistentKeepalive = ${options.persistentKeepalive}`] : []),
    ];
    setConfiguration(this.device, lines.join('\n'));
  }

  async status(): Promise<DeviceStatus> {
    return parseStatus(await ask(this.socket, 'get=1\n\n'));
  }

  async peer(): Promise<PeerStatus> {
    const { peers } = await this.status();
    if (!peers[0]) throw new Error(`${this.device} has no peer`);
    return peers[0];
  }

  async statistics(): Promise<Record<string, number>> {
    const answer = await ask(this.socket, 'get=statistics\n\n');
    return Object.fromEntries(
      [...answer.matchAll(/^(\w+)=(\d+)$/gm)].map(([, key, value]) => [key, Number(value)]),
    );
  }

  /** How many of the first `count` pings of `size` payload bytes came back. More are sent, as the last would not wait. */
  ping(
    address: string,
    count: number,
    options: { size?: number; interval?: number; fragment?: boolean } = {},
  ): number {
    const { size = 56, interval = 0.05, fragment = false } = options;
    const args = [
      '-n',
      '-c',
      count + 2,
      '-i',
      interval,
      '-W',
      1,
      '-s',
      size,
      ...(fragment ? [] : ['-M', 'do']),
    ];
    try {
      return answered(this.run('ping', ...args.map(String), address), count);
    } catch (error) {
      return answered(String((error as { stdout?: string }).stdout), count);
    }
  }

  async stop(): Promise<void> {
    if (!this.#engine) return;
    this.#engine.kill('SIGTERM');
    await exited(this.#engine);
    this.#engine = undefined;
  }
}

export class Pair implements AsyncDisposable {
  readonly left: Side;
  readonly right: Side;

  constructor() {
    const tag = Math.random().toString(36).slice(2, 6);
    this.left = new Side(1, tag);
    this.right = new Side(2, tag);
    const { left, right } = this;
    for (const { netns } of [left, right]) ip('netns', 'add', netns);
    ip(
      'link',
      'add',
      left.veth,
      'netns',
      left.netns,
      'type',
      'veth',
      'peer',
      'name',
      right.veth,
      'netns',
      right.netns,
    );
    for (const side of [left, right]) {
      const { netns, veth } = side;
      ip('-n', netns, 'link', 'set', 'lo', 'up');
      ip('-n', netns, 'address', 'add', `${side.outer4}/24`, 'dev', veth);
      ip('-n', netns, 'address', 'add', `${side.outer6}/64`, 'dev', veth, 'nodad');
      ip('-n', netns, 'link', 'set', veth, 'up');
    }
  }

  /** Both interfaces up and configured with each other's endpoint. */
  async connect(
    leftProgram: readonly string[] = ENGINE,
    rightProgram: readonly string[] = ENGINE,
    options: { family?: 4 | 6; presharedKey?: string; mtu?: number } = {},
  ): Promise<void> {
    const { family = 4, mtu, ...peer } = options;
    await Promise.all([this.left.start(leftProgram), this.right.start(rightProgram)]);
    for (const [side, other] of this.#directions()) {
      side.configure(other, { ...peer, endpoint: endpointOf(other, family) });
      side.bringUp(mtu);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const side of [this.left, this.right]) {
      await side.stop();
      const timestamp = side.socket.replace(/sock$/, 'timestamp');
      // Of engines that were killed.
      const handovers = ['eng', 'esp'].map(
        kind => `/var/run/pellicle/${kind}${side.device.slice(3)}.handover`,
      );
      for (const left of [side.socket, timestamp, ...handovers]) rmSync(left, { force: true });
      ip('netns', 'del', side.netns);
    }
  }

  #directions(): [Side, Side][] {
    return [
      [this.left, this.right],
      [this.right, this.left],
    ];
  }
}

export function endpointOf(side: Side, family: 4 | 6 = 4): string {
  return family === 4 ? `${side.outer4}:${side.port}` : `[${side.outer6}]:${side.port}`;
}

export function makeKeys(): Keys {
  const { privateKey, publicKey } = generateKeyPairSync('x25519');
  const last32 = (der: Buffer) => der.subarray(-32).toString('base64');
  return {
    privateKey: last32(privateKey.export({ type: 'pkcs8', format: 'der' })),
    publicKey: last32(publicKey.export({ type: 'spki', format: 'der' })),
  };
}

export function wg(...args: string[]): string {
  return execFileSync('wg', args, {
    encoding: 'utf8',
    timeout: 20_000,
    maxBuffer: 64 << 20,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** `wg` opens files alone, no pipes of ours. */
function setConfiguration(device: string, text: string): void {
  const folder = mkdtempSync(join(tmpdir(), 'pellicle-engine-'));
  try {
    writeFileSync(join(folder, 'wg.conf'), `${text}\n`, { mode: 0o600 });
    wg('setconf', device, join(folder, 'wg.conf'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The whole answer to one request over the configuration socket. */
export function ask(path: string, request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => socket.write(request));
    let answer = '';
    socket.setTimeout(20_000, () => socket.destroy(new Error(`${path} does not answer`)));
    socket.on('data', chunk => {
      answer += chunk;
      if (answer.endsWith('\n\n') && errnoOf(answer) !== undefined) socket.end();
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(answer));
  });
}

export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  seconds = 10,
): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`not within ${seconds} s: ${what}`);
    await delay(20);
  }
}

export function exited(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode);
  return new Promise(resolve => child.once('exit', resolve));
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'pipe', 'pipe'] });
}

/** How many of the pings 1 to `count` have a line that tells their answer. */
export function answered(output: string, count: number): number {
  const numbers = [...output.matchAll(/ bytes from .* icmp_seq=(\d+) /g)].map(([, number]) => Number(number));
  return new Set(numbers.filter(number => number <= count)).size;
}
