/**
 * Heartbeats between the agents: each asks each other over TCP, about every 15 s. They go to the node's address, not
 * through the pods' tunnel, so a quiet cluster is silent on cilium_wg0; but under IPsec to the CiliumInternalIP, and so
 * through the tunnel: a quiet cluster shows ESP.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { NodePlan } from '../model/plan.ts';
import type { Log } from './log.ts';
import { messageOf } from './log.ts';

export interface Beat {
  name: string;
  address: string;
  reachable: boolean;
  /** Unix time in milliseconds of the last probe. */
  at: number;
  latencyMs?: number;
  error?: string;
}

export interface HeartbeatOptions {
  port: number;
  nodeName: string;
  log: Log;
  everyMs?: number;
  timeoutMs?: number;
  now?: () => number;
}

/** Whom to ask, and where. */
export function heartbeatPeers({
  peers,
  ipsec,
}: Pick<NodePlan, 'peers' | 'ipsec'>): { name: string; address: string }[] {
  const tunnels = new Map(
    (ipsec?.peers ?? []).flatMap(({ name, seals, tunnel }) =>
      seals ? [[name, tunnel.remote] as const] : [],
    ),
  );
  return peers.flatMap(({ name, addresses }) => {
    const address = tunnels.get(name) ?? addresses[0];
    return address === undefined ? [] : [{ name, address }];
  });
}

const GREETING = 'pellicle';
const MOST_CONNECTIONS = 256;

export class Heartbeat {
  readonly #options: HeartbeatOptions & { everyMs: number; timeoutMs: number; now: () => number };
  readonly #servers = new Map<string, Server>();
  readonly #beats = new Map<string, Beat>();
  #peers: { name: string; address: string }[] = [];
  #timer: NodeJS.Timeout | undefined;
  #roundAt: number | undefined;

  constructor(options: HeartbeatOptions) {
    this.#options = { everyMs: 15_000, timeoutMs: 3000, now: Date.now, ...options };
  }

  /** Answers on these addresses, and no others. */
  listen(addresses: string[]): void {
    for (const [address, server] of this.#servers) {
      if (addresses.includes(address)) continue;
      server.close();
      this.#servers.delete(address);
    }
    for (const address of addresses) {
      if (!this.#servers.has(address)) this.#serve(address);
    }
  }

  /** Asks these from now on; new ones at once. */
  watch(peers: { name: string; address: string }[]): void {
    const known = new Set(this.#peers.map(key));
    this.#peers = peers;
    const keys = new Set(peers.map(key));
    for (const [name, beat] of this.#beats) if (!keys.has(key(beat))) this.#beats.delete(name);
    for (const peer of peers) if (!known.has(key(peer))) void this.#ask(peer);
    this.#timer ??= setTimeout(() => void this.#round(), this.#pause());
  }

  beats(): Beat[] {
    return [...this.#beats.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** When all were asked last. */
  roundAt(): number | undefined {
    return this.#roundAt;
  }

  stop(): void {
    clearTimeout(this.#timer);
    for (const server of this.#servers.values()) server.close();
    this.#servers.clear();
    this.#peers = [];
  }

  async #round(): Promise<void> {
    await Promise.all(this.#peers.map(peer => this.#ask(peer)));
    this.#roundAt = this.#options.now();
    if (this.#peers.length === 0) this.#timer = undefined;
    else this.#timer = setTimeout(() => void this.#round(), this.#pause());
  }

  async #ask(peer: { name: string; address: string }): Promise<void> {
    const { port, timeoutMs, now } = this.#options;
    const started = performance.now();
    const beat = await ask(peer.address, port, timeoutMs).then(
      (): Partial<Beat> => ({ reachable: true, latencyMs: performance.now() - started }),
      (error): Partial<Beat> => ({ error: messageOf(error) }),
    );
    if (!this.#peers.some(({ name, address }) => name === peer.name && address === peer.address)) return;
    this.#beats.set(peer.name, { ...peer, reachable: false, at: now(), ...beat });
    this.#roundAt ??= now();
  }

  #serve(address: string): void {
    const { port, log, nodeName } = this.#options;
    const server = createServer(socket => {
      socket.on('error', () => socket.destroy());
      socket.setTimeout(1000, () => socket.destroy());
      socket.end(`${GREETING} ${nodeName}\n`);
    });
    server.maxConnections = MOST_CONNECTIONS;
    server.on('error', error => {
      log.warning(`heartbeats are not answered on ${address}:${port}: ${error.message}`);
      this.#servers.delete(address);
    });
    server.listen({ host: address, port });
    this.#servers.set(address, server);
  }

  /** A tenth more or less, so that the agents of a cluster do not beat as one. */
  #pause(): number {
    return this.#options.everyMs * (0.9 + 0.2 * Math.random());
  }
}

/** Resolves when the other end has greeted. */
function ask(host: string, port: number, timeoutMs: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket: Socket = connect({ host, port });
  socket.setTimeout(timeoutMs, () => reject(new Error('no answer in time')));
  socket.once('data', data => {
    if (data.toString('latin1').startsWith(GREETING)) resolve();
    else reject(new Error('something else answers'));
  });
  socket.once('error', reject);
  socket.once('close', () => reject(new Error('closed without an answer')));
  return promise.finally(() => socket.destroy());
}

function key({ name, address }: { name: string; address: string }): string {
  return `${name} ${address}`;
}
