/**
 * Network namespaces with WireGuard interfaces of the engine in them, laid out as a test likes. An engine's sockets stay in
 * the namespace that it was started in, also when its device is moved to another one: https://www.wireguard.com/netns/
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { fromBase64 } from '../../src/proto/bytes.ts';
import { parseCidr } from '../../src/proto/ip/cidr.ts';
import { parseEndpoint } from '../../src/proto/wireguard/endpoint.ts';
import { printRequest, type SetDevice, type SetPeer } from '../../src/proto/wireguard/uapi.ts';
import { type DeviceStatus, type PeerStatus, parseStatus } from '../../src/proto/wireguard/uapistatus.ts';
import { answered, ask, ENGINE, exited, type Keys, makeKeys, until } from '../engine/pair.ts';

export interface PeerWish {
  /** In base64, as all keys here. */
  publicKey: string;
  presharedKey?: string;
  /** As `allowed-ips` of wg: these in the place of those that were. */
  allowedIps?: string[];
  endpoint?: string;
  persistentKeepalive?: number;
  remove?: boolean;
}

export interface DeviceWish {
  privateKey?: string;
  listenPort?: number;
  fwmark?: number;
  peers?: PeerWish[];
}

/** A network namespace. */
export class Place {
  readonly netns: string;

  constructor(netns: string) {
    this.netns = netns;
  }

  /** Output of a command in here. Throws with its error output when it fails. */
  run(program: string, ...args: string[]): string {
    return execFileSync('ip', ['netns', 'exec', this.netns, program, ...args], {
      encoding: 'utf8',
      timeout: 30_000,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  /** A process in here, with pipes. */
  spawn(program: string, ...args: string[]): ChildProcess {
    return spawn('ip', ['netns', 'exec', this.netns, program, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  ip(...args: string[]): void {
    ip('-n', this.netns, ...args);
  }

  sysctl(name: string, value: number): void {
    this.run('sysctl', '-qw', `${name}=${value}`);
  }

  nft(rules: string): void {
    execFileSync('ip', ['netns', 'exec', this.netns, 'nft', '-f', '-'], {
      input: rules,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
  }

  /** Packets that a named counter of `table inet test` has seen. */
  counted(counter: string): number {
    const output = this.run('nft', 'list', 'counter', 'inet', 'test', counter);
    return Number(/packets (\d+)/.exec(output)?.[1]);
  }

  /** How many of the first `count` pings of `size` payload bytes came back. Of many two more are sent, as the last would not wait. */
  ping(
    address: string,
    options: { count?: number; size?: number; from?: string; fragment?: boolean; wait?: number } = {},
  ): number {
    const { count = 1, size = 56, from, fragment = false, wait = 1 } = options;
    const words = ['-n', '-i', 0.02, '-c', count === 1 ? 1 : count + 2, '-W', wait, '-s', size];
    if (!fragment) words.push('-M', 'do');
    if (from) words.push('-I', from);
    try {
      return answered(this.run('ping', ...words.map(String), address), count);
    } catch (error) {
      return answered(String((error as { stdout?: string }).stdout), count);
    }
  }
}

/** A WireGuard interface. */
export class Interface {
  readonly device: string;
  readonly keys: Keys = makeKeys();
  readonly process: ChildProcess;

  constructor(device: string, process: ChildProcess) {
    this.device = device;
    this.process = process;
  }

  get socket(): string {
    return socketOf(this.device);
  }

  async set(wish: DeviceWish): Promise<void> {
    const answer = await ask(this.socket, printRequest({ set: requestOf(wish) }));
    if (answer !== 'errno=0\n\n') throw new Error(`${this.device} refused: ${answer.trim()}`);
  }

  async status(): Promise<DeviceStatus> {
    return parseStatus(await ask(this.socket, 'get=1\n\n'));
  }

  async peer(publicKey: string): Promise<PeerStatus> {
    const { peers } = await this.status();
    const found = peers.find(peer => Buffer.from(peer.publicKey).toString('base64') === publicKey);
    if (!found) throw new Error(`${this.device} has no such peer`);
    return found;
  }

  /** Where the peer is, as `address port`. */
  async whereIs(publicKey: string): Promise<string> {
    const { endpoint } = await this.peer(publicKey);
    return endpoint ? `${endpoint.address} ${endpoint.port}` : 'nowhere';
  }

  /** Counters of what was dropped. */
  async drops(): Promise<Record<string, number>> {
    const answer = await ask(this.socket, 'get=statistics\n\n');
    return Object.fromEntries(
      [...answer.matchAll(/^(\w+)=(\d+)$/gm)].map(([, key, value]) => [key, Number(value)]),
    );
  }
}

export class World implements AsyncDisposable {
  readonly #tag = Math.random().toString(36).slice(2, 6);
  readonly #places: Place[] = [];
  readonly #interfaces: Interface[] = [];

  place(): Place {
    const place = new Place(`wgc-${this.#tag}-${this.#places.length}`);
    ip('netns', 'add', place.netns);
    this.#places.push(place);
    place.ip('link', 'set', 'lo', 'up');
    return place;
  }

  remove(place: Place): void {
    ip('netns', 'del', place.netns);
    this.#places.splice(this.#places.indexOf(place), 1);
  }

  /** A veth pair, up, named alike at both ends. */
  join(name: string, left: Place, right: Place): void {
    left.ip('link', 'add', name, 'type', 'veth', 'peer', 'name', name, 'netns', right.netns);
    for (const place of [left, right]) {
      place.sysctl(`net.ipv6.conf.${name}.accept_dad`, 0);
      place.ip('link', 'set', name, 'up');
    }
  }

  /** An engine whose sockets are in one place, and its device in the same or another one. */
  async engine(sockets: Place, home = sockets, program: readonly string[] = ENGINE): Promise<Interface> {
    const device = `wgc${this.#tag}${this.#interfaces.length}`;
    const [file = '', ...args] = program;
    const made = new Interface(device, sockets.spawn(file, ...args, '-f', device));
    this.#interfaces.push(made);
    let errors = '';
    made.process.stderr?.on('data', chunk => {
      errors += chunk;
    });
    await until(`${device} is served`, async () => {
      if (made.process.exitCode !== null) throw new Error(`the engine ended: ${errors}`);
      return existsSync(made.socket) && (await made.status().catch(() => undefined)) !== undefined;
    });
    if (home !== sockets) sockets.ip('link', 'set', device, 'netns', home.netns);
    return made;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { process, socket } of this.#interfaces) {
      process.kill('SIGTERM');
      await exited(process);
      rmSync(socket, { force: true });
    }
    for (const { netns } of this.#places) ip('netns', 'del', netns);
  }
}

function socketOf(device: string): string {
  return `/var/run/wireguard/${device}.sock`;
}

function requestOf(wish: DeviceWish): SetDevice {
  return {
    replacePeers: false,
    peers: (wish.peers ?? []).map(peerOf),
    ...(wish.privateKey !== undefined && { privateKey: fromBase64(wish.privateKey)! }),
    ...(wish.listenPort !== undefined && { listenPort: wish.listenPort }),
    ...(wish.fwmark !== undefined && { fwmark: wish.fwmark }),
  };
}

function peerOf(wish: PeerWish): SetPeer {
  return {
    publicKey: fromBase64(wish.publicKey)!,
    remove: wish.remove ?? false,
    updateOnly: false,
    replaceAllowedIps: wish.allowedIps !== undefined,
    allowedIps: (wish.allowedIps ?? []).map(text => ({ range: parseCidr(text)!, remove: false })),
    ...(wish.presharedKey && { presharedKey: fromBase64(wish.presharedKey)! }),
    ...(wish.endpoint && { endpoint: parseEndpoint(wish.endpoint)! }),
    ...(wish.persistentKeepalive !== undefined && { persistentKeepalive: wish.persistentKeepalive }),
  };
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'pipe', 'pipe'] });
}
