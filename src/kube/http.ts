/** HTTP to one API server over node:https (or node:http), with keep-alive, deadlines and the caller's credentials. */
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { unreachable } from './errors.ts';

export interface Credentials {
  /** `https://host:port`, with a path when the API server is behind one; `http://` is taken too. */
  server: string;
  /** PEM. */
  ca?: string;
  insecure?: boolean;
  /** PEM, both or none. */
  cert?: string;
  key?: string;
  /** Bearer token; a function is asked before every request. */
  token?: string | (() => string | Promise<string>);
  /** The name to expect in the server's certificate, where it is not the one in `server`. */
  tlsServerName?: string;
  impersonate?: { user: string; groups?: string[] };
}

export interface HttpRequest {
  method: string;
  path: string;
  headers?: Record<string, string>;
  body?: string | Buffer;
  /** Milliseconds for the answer's head (a stream) or the whole answer. */
  timeout: number;
  signal?: AbortSignal;
}

const TOO_LARGE = 256 << 20;
const BUSY_RETRIES = 4;

/** Credentials of a pod's service account. The token is read again, because the kubelet renews it. */
export function inCluster(env: NodeJS.ProcessEnv = process.env, folder = SERVICE_ACCOUNT): Credentials {
  const host = env['KUBERNETES_SERVICE_HOST'];
  const port = env['KUBERNETES_SERVICE_PORT'] ?? '443';
  if (!host)
    throw new Error('not in a pod: KUBERNETES_SERVICE_HOST is not set; give a kubeconfig with --kubeconfig');
  return {
    server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    ca: readFileSync(`${folder}/ca.crt`, 'utf8'),
    token: () => readFileSync(`${folder}/token`, 'utf8').trim(),
  };
}

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

export class HttpConnection {
  readonly server: string;
  readonly #credentials: Credentials;
  readonly #base: URL;
  readonly #agent: http.Agent;
  /** Streams hold their connection: they must not take one from the requests. */
  readonly #streams: http.Agent;

  constructor(credentials: Credentials, maxConnections = Infinity) {
    this.#credentials = credentials;
    this.server = credentials.server.replace(/\/+$/, '');
    this.#base = parseServer(this.server);
    this.#agent = this.#newAgent(maxConnections);
    this.#streams = this.#newAgent(Infinity);
  }

  /** The whole answer. Busy servers (429) are asked again after the time they name. */
  async request(
    request: HttpRequest,
  ): Promise<{ status: number; headers: http.IncomingHttpHeaders; body: Buffer }> {
    const deadline = AbortSignal.timeout(request.timeout);
    const signal = request.signal ? AbortSignal.any([request.signal, deadline]) : deadline;
    for (let attempt = 0; ; attempt++) {
      const response = await this.#send({ ...request, signal }, deadline, this.#agent);
      const body = await this.#collect(response, deadline);
      const status = response.statusCode ?? 0;
      if (status !== 429 || attempt === BUSY_RETRIES) return { status, headers: response.headers, body };
      await this.#pause(Number(response.headers['retry-after'] ?? 1), signal, deadline);
    }
  }

  /** The answer's head, with the body still to be read; `timeout` is for the head alone. */
  async open(request: HttpRequest): Promise<http.IncomingMessage> {
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), request.timeout);
    const signal = request.signal ? AbortSignal.any([request.signal, deadline.signal]) : deadline.signal;
    try {
      return await this.#send({ ...request, signal }, deadline.signal, this.#streams);
    } finally {
      clearTimeout(timer);
    }
  }

  async #send(request: HttpRequest, deadline: AbortSignal, agent: http.Agent): Promise<http.IncomingMessage> {
    const headers = await this.#headers(request);
    for (let attempt = 0; ; attempt++) {
      const sent = { reused: false };
      try {
        return await this.#once(request, headers, agent, sent);
      } catch (error) {
        if (deadline.aborted) throw unreachable(this.server, timedOut(request));
        if (request.signal?.aborted) throw request.signal.reason;
        // The server closed a kept connection just as the request went out: it never read it.
        if (sent.reused && attempt < 2 && isClosed(error)) continue;
        throw unreachable(this.server, error);
      }
    }
  }

  #once(
    request: HttpRequest,
    headers: http.OutgoingHttpHeaders,
    agent: http.Agent,
    sent: { reused: boolean },
  ) {
    return new Promise<http.IncomingMessage>((resolve, reject) => {
      const module = this.#base.protocol === 'https:' ? https : http;
      const call = module.request(
        {
          method: request.method,
          host: this.#base.hostname.replace(/^\[|\]$/g, ''),
          port: this.#base.port || (this.#base.protocol === 'https:' ? 443 : 80),
          path: this.#base.pathname.replace(/\/+$/, '') + request.path,
          headers,
          agent,
          ...(request.signal && { signal: request.signal }),
        },
        resolve,
      );
      call.on('error', error => {
        sent.reused = call.reusedSocket;
        reject(error);
      });
      call.end(request.body);
    });
  }

  #newAgent(maxSockets: number): http.Agent {
    const options = { ...KEEP_ALIVE, maxSockets };
    return this.#base.protocol === 'https:' ? tlsAgent(this.#credentials, options) : new http.Agent(options);
  }

  async #headers(request: HttpRequest): Promise<http.OutgoingHttpHeaders> {
    const { token, impersonate } = this.#credentials;
    const bearer = typeof token === 'function' ? await token() : token;
    return {
      accept: 'application/json',
      'user-agent': 'pellicle',
      ...(bearer && { authorization: `Bearer ${bearer}` }),
      ...(impersonate && { 'impersonate-user': impersonate.user }),
      ...(impersonate?.groups && { 'impersonate-group': impersonate.groups }),
      ...(request.body !== undefined && { 'content-length': Buffer.byteLength(request.body) }),
      ...request.headers,
    };
  }

  async #collect(response: http.IncomingMessage, deadline: AbortSignal): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let size = 0;
    try {
      for await (const chunk of response as AsyncIterable<Buffer>) {
        size += chunk.length;
        if (size > TOO_LARGE) throw new Error(`its answer is larger than ${TOO_LARGE} bytes`);
        chunks.push(chunk);
      }
    } catch (error) {
      throw unreachable(this.server, deadline.aborted ? timedOut() : error);
    }
    return Buffer.concat(chunks);
  }

  async #pause(seconds: number, signal: AbortSignal, deadline: AbortSignal): Promise<void> {
    const wait = Math.min(Math.max(Number.isFinite(seconds) ? seconds : 1, 0.1), 30) * 1000;
    try {
      await sleep(wait, undefined, { signal });
    } catch (error) {
      throw deadline.aborted ? unreachable(this.server, timedOut()) : error;
    }
  }
}

// Ten seconds without a sign and ten probes of a second each: a peer that vanished is noticed in 20 s.
const KEEP_ALIVE = {
  keepAlive: true,
  keepAliveMsecs: 10_000,
  maxFreeSockets: 8,
  scheduling: 'lifo' as const,
};

function tlsAgent(credentials: Credentials, options: https.AgentOptions): https.Agent {
  return new https.Agent({
    ...options,
    ...(credentials.ca && { ca: credentials.ca }),
    ...(credentials.cert && { cert: credentials.cert }),
    ...(credentials.key && { key: credentials.key }),
    ...(credentials.tlsServerName && { servername: credentials.tlsServerName }),
    rejectUnauthorized: credentials.insecure !== true,
  });
}

function parseServer(server: string): URL {
  const url = URL.canParse(server) ? new URL(server) : undefined;
  if (!url || !['http:', 'https:'].includes(url.protocol))
    throw new Error(`"${server}" is no address of an API server: write https://host:port`);
  return url;
}

function timedOut(request?: HttpRequest): Error {
  return Object.assign(new Error('no answer in time'), {
    code: 'ETIMEDOUT',
    ...(request && { path: request.path }),
  });
}

function isClosed(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
}
