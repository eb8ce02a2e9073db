/** What the agent answers, and where: all of it on its unix socket, probes and metrics on TCP. */
import type { Server } from 'node:http';
import type { AgentConfig } from '../model/config.ts';
import { type Answer, type Handlers, json, serveTcp, serveUnix, text } from './api.ts';
import { messageOf } from './log.ts';
import type { AgentStatus } from './status.ts';

/** What is asked when somebody asks. */
export interface ServingSources {
  status: () => Promise<AgentStatus>;
  /** Why the node is not ready, as a sentence. */
  notReady: () => string | undefined;
  metrics: () => Promise<string>;
  endpoints: () => unknown;
  peers: () => unknown;
  config: () => unknown;
  debugInfo: () => Promise<unknown>;
}

export class Serving {
  readonly #sources: ServingSources;
  readonly #unix: Server[] = [];
  readonly #tcp = new Map<string, { where: string; server: Server | undefined }>();

  constructor(sources: ServingSources) {
    this.#sources = sources;
  }

  async start(socket: string, healthPort: number): Promise<void> {
    this.#unix.push(await serveUnix(socket, this.#handlers()));
    await this.#serveOnTcp('health', '127.0.0.1', healthPort, this.#healthHandlers());
  }

  /** Where the configuration wants probes and metrics; again when it wants them elsewhere. */
  async follow({ agentHealthPort, prometheusAddress }: AgentConfig): Promise<void> {
    await this.#serveOnTcp('health', '127.0.0.1', agentHealthPort, this.#healthHandlers());
    const [, host = '', port = '0'] = /^\[?([^\]]*)\]?:(\d+)$/.exec(prometheusAddress) ?? [];
    await this.#serveOnTcp('metrics', host || '0.0.0.0', Number(port), { '/metrics': () => this.#metrics() });
  }

  stop(): void {
    const tcp = [...this.#tcp.values()].flatMap(({ server }) => server ?? []);
    for (const server of [...this.#unix, ...tcp]) server.close().closeAllConnections();
  }

  /** Port 0: not at all. */
  async #serveOnTcp(name: string, host: string, port: number, handlers: Handlers): Promise<void> {
    const where = `${host}:${port}`;
    const there = this.#tcp.get(name);
    if (there?.where === where) return;
    there?.server?.close();
    try {
      this.#tcp.set(name, { where, server: port === 0 ? undefined : await serveTcp(host, port, handlers) });
    } catch (error) {
      this.#tcp.delete(name);
      throw new Error(
        `cannot listen on ${where}: ${messageOf(error)}; stop what has the port, or name another in cilium-config`,
      );
    }
  }

  #healthHandlers(): Handlers {
    return { '/healthz': () => text('ok\n'), '/readyz': () => this.#ready() };
  }

  #handlers(): Handlers {
    const { status, endpoints, peers, config, debugInfo } = this.#sources;
    return {
      '/v1/healthz': () => this.#ready(),
      '/v1/status': async () => json(await status()),
      '/v1/encrypt': async () => json((await status()).encryption),
      '/v1/endpoint': () => json(endpoints()),
      '/v1/cluster/nodes': () => json(peers()),
      '/v1/config': () => json(config()),
      '/v1/debuginfo': async () => json(await debugInfo()),
      '/metrics': () => this.#metrics(),
    };
  }

  /** 503 with a sentence until pods can come, and while what they send elsewhere is dropped. */
  #ready(): Answer {
    const reason = this.#sources.notReady();
    return reason === undefined ? text('ok\n') : text(`${reason}\n`, 503);
  }

  async #metrics(): Promise<Answer> {
    return { type: 'text/plain; version=0.0.4; charset=utf-8', body: await this.#sources.metrics() };
  }
}
