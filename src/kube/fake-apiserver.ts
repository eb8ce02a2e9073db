/**
 * An API server for tests: objects in memory over HTTP, with watches that a test can break.
 * It knows no types, no defaults and no authorization.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { KubeObject } from './types.ts';

interface Stored extends KubeObject {
  metadata: KubeObject['metadata'] & { resourceVersion: string };
}

interface LogEntry {
  version: number;
  collection: string;
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  object: Stored;
}

interface Watch {
  collection: string;
  namespace: string | undefined;
  query: URLSearchParams;
  response: ServerResponse;
}

interface Target {
  /** `/api/v1/pods`, without namespace. */
  collection: string;
  apiVersion: string;
  namespace: string | undefined;
  name: string | undefined;
  subresource: string | undefined;
}

type Body = Record<string, unknown>;

interface Answer {
  status: number;
  body: unknown;
  headers?: Record<string, string>;
}

export class FakeApiServer {
  /** Every request as `METHOD path?query`. */
  readonly requests: string[] = [];
  /** Answers for requests that start with the key, before anything else is looked at. */
  readonly answers = new Map<string, (body: string) => Answer>();
  /** Milliseconds before every answer. */
  delay = 0;
  /** Called after each change. */
  onWrite: ((type: LogEntry['type'], object: KubeObject) => void) | undefined;
  /** Takes over requests to upgrade (exec). */
  onUpgrade: ((request: IncomingMessage, socket: Duplex, head: Buffer) => void) | undefined;
  readonly #server: Server;
  readonly #objects = new Map<string, Stored>();
  readonly #sockets = new Set<Socket>();
  #log: LogEntry[] = [];
  #oldest = 0;
  #version = 100;
  #watches = new Set<Watch>();

  constructor() {
    this.#server = createServer((request, response) => {
      void this.#serve(request, response)
        .catch(error => failure(500, 'InternalError', String(error)))
        .then(answer => answer && send(response, answer));
    });
    this.#server.on('upgrade', (request, socket, head) => {
      if (this.onUpgrade) this.onUpgrade(request, socket, head);
      else socket.destroy();
    });
    this.#server.on('connection', socket => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  /** The URL to connect to. */
  async listen(port = 0): Promise<string> {
    await new Promise<void>(resolve => this.#server.listen(port, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>(resolve => this.#server.close(() => resolve()));
  }

  get watchCount(): number {
    return this.#watches.size;
  }

  /** Creates or replaces without a client. `collection` as in `/api/v1/pods`. */
  put<T extends KubeObject>(collection: string, object: T): T {
    const key = keyOf(collection, object.metadata.namespace, object.metadata.name);
    return this.#store(collection, key, structuredClone(object)) as unknown as T;
  }

  remove(collection: string, name: string, namespace?: string): void {
    this.#delete(collection, keyOf(collection, namespace, name));
  }

  read<T extends KubeObject>(collection: string, name: string, namespace?: string): T | undefined {
    return structuredClone(this.#objects.get(keyOf(collection, namespace, name))) as T | undefined;
  }

  all(collection: string): KubeObject[] {
    return [...this.#objects].filter(([key]) => key.startsWith(`${collection} `)).map(([, object]) => object);
  }

  /** Ends every watch; `rudely` resets the connections. */
  dropWatches(rudely = false): void {
    for (const { response } of this.#watches) rudely ? response.socket?.resetAndDestroy() : response.end();
    this.#watches.clear();
  }

  /** Forgets the past: watches from before now are answered 410. */
  compact(): void {
    this.#log = [];
    this.#oldest = this.#version;
  }

  /** Writes text as it is into every watch. */
  sendRaw(text: string): void {
    for (const { response } of this.#watches) response.write(text);
  }

  bookmark(kind: string): void {
    const object = { kind, apiVersion: 'v1', metadata: { resourceVersion: String(this.#version) } };
    this.sendRaw(`${JSON.stringify({ type: 'BOOKMARK', object })}\n`);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<Answer | undefined> {
    const line = `${request.method} ${request.url}`;
    this.requests.push(line);
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    if (this.delay > 0) await sleep(this.delay);
    const canned = [...this.answers].find(([start]) => line.startsWith(start))?.[1](body);
    if (canned) return canned;
    const url = new URL(request.url ?? '/', 'http://fake');
    const target = parsePath(url.pathname);
    if (!target) return failure(404, 'NotFound', `no path ${url.pathname}`);
    if (request.method === 'GET') return this.#read(target, url.searchParams, response);
    return this.#write(request, target, url.searchParams, body);
  }

  #read(target: Target, query: URLSearchParams, response: ServerResponse): Answer | undefined {
    const { collection, namespace, name } = target;
    if (name !== undefined) {
      const object = this.#objects.get(keyOf(collection, namespace, name));
      return object ? { status: 200, body: object } : notFound(target);
    }
    if (query.get('watch') === 'true') return this.#watch({ collection, namespace, query, response });
    const items = this.all(collection)
      .filter(object => (!namespace || object.metadata.namespace === namespace) && selected(object, query))
      .map(({ apiVersion: _a, kind: _k, ...item }) => item);
    const metadata = { resourceVersion: String(this.#version) };
    return { status: 200, body: { kind: 'List', apiVersion: target.apiVersion, metadata, items } };
  }

  #watch(watch: Watch): Answer | undefined {
    const from = Number(watch.query.get('resourceVersion') ?? 0);
    if (from < this.#oldest) return failure(410, 'Expired', `too old resource version: ${from}`);
    watch.response.writeHead(200, { 'content-type': 'application/json' });
    watch.response.flushHeaders();
    for (const entry of this.#log) if (entry.version > from) tell(watch, entry);
    this.#watches.add(watch);
    watch.response.on('close', () => this.#watches.delete(watch));
    return undefined;
  }

  #write(request: IncomingMessage, target: Target, query: URLSearchParams, body: string): Answer {
    const { collection, namespace, apiVersion } = target;
    const sent = (body === '' ? {} : JSON.parse(body)) as Body & { metadata?: KubeObject['metadata'] };
    const name = target.name ?? sent.metadata?.name ?? `${sent.metadata?.generateName ?? ''}${this.#version}`;
    const key = keyOf(collection, namespace, name);
    const old = this.#objects.get(key);
    const dryRun = query.get('dryRun') === 'All';
    const keep = (status: number, object: KubeObject): Answer => ({
      status,
      body: dryRun ? object : this.#store(collection, key, object),
    });
    const named = {
      apiVersion,
      ...sent,
      metadata: { ...sent.metadata, name, ...(namespace && { namespace }) },
    };
    if (request.method === 'POST' && target.name === undefined) {
      if (old) return failure(409, 'AlreadyExists', `${target.collection} "${name}" already exists`);
      return keep(201, named as unknown as KubeObject);
    }
    const applying = request.headers['content-type'] === 'application/apply-patch+yaml';
    if (!old) return applying ? keep(201, named as unknown as KubeObject) : notFound(target);
    if (request.method === 'DELETE') {
      if (!dryRun) this.#delete(collection, key);
      return { status: 200, body: { kind: 'Status', status: 'Success' } };
    }
    const version = sent.metadata?.resourceVersion;
    if (version && version !== old.metadata.resourceVersion)
      return failure(409, 'Conflict', `the object "${name}" has been modified`);
    if (request.method === 'PUT') return keep(200, named as unknown as KubeObject);
    return keep(200, mergePatch(old, sent) as unknown as KubeObject);
  }

  #store(collection: string, key: string, object: KubeObject): Stored {
    const old = this.#objects.get(key);
    const stored: Stored = {
      ...object,
      metadata: {
        ...object.metadata,
        uid: old?.metadata.uid ?? object.metadata.uid ?? `uid-${this.#version}`,
        resourceVersion: String(++this.#version),
      },
    };
    this.#objects.set(key, stored);
    this.#record({ version: this.#version, collection, type: old ? 'MODIFIED' : 'ADDED', object: stored });
    return stored;
  }

  #delete(collection: string, key: string): void {
    const old = this.#objects.get(key);
    if (!old) return;
    this.#objects.delete(key);
    const object = { ...old, metadata: { ...old.metadata, resourceVersion: String(++this.#version) } };
    this.#record({ version: this.#version, collection, type: 'DELETED', object });
  }

  #record(entry: LogEntry): void {
    this.#log.push(entry);
    for (const watch of this.#watches) tell(watch, entry);
    this.onWrite?.(entry.type, structuredClone(entry.object));
  }
}

function tell(watch: Watch, { collection, type, object }: LogEntry): void {
  if (collection !== watch.collection || !selected(object, watch.query)) return;
  if (watch.namespace && watch.namespace !== object.metadata.namespace) return;
  watch.response.write(`${JSON.stringify({ type, object })}\n`);
}

function selected(object: KubeObject, query: URLSearchParams): boolean {
  const labels = (query.get('labelSelector') ?? '').split(',').filter(Boolean);
  const fields = (query.get('fieldSelector') ?? '').split(',').filter(Boolean);
  return (
    labels.every(pair => object.metadata.labels?.[pair.split('=')[0] ?? ''] === pair.split('=')[1]) &&
    fields.every(pair => {
      const [path = '', value] = pair.split('=');
      return String(path.split('.').reduce<unknown>((at, key) => (at as Body)?.[key], object)) === value;
    })
  );
}

function mergePatch(old: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const merged: Body = typeof old === 'object' && old !== null && !Array.isArray(old) ? { ...old } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = mergePatch(merged[key], value);
  }
  return merged;
}

function parsePath(path: string): Target | undefined {
  const match =
    /^\/(?:api\/(v1)|apis\/([^/]+\/[^/]+))(?:\/namespaces\/([^/]+)(?=\/[^/]+))?\/([^/]+)(?:\/([^/]+))?(?:\/([^/]+))?$/.exec(
      path,
    );
  if (!match?.[4]) return undefined;
  const apiVersion = match[1] ?? match[2] ?? '';
  return {
    apiVersion,
    collection: `${match[1] ? '/api' : '/apis'}/${apiVersion}/${match[4]}`,
    namespace: match[3],
    name: match[5],
    subresource: match[6],
  };
}

function keyOf(collection: string, namespace: string | undefined, name: string): string {
  return `${collection} ${namespace ?? ''}/${name}`;
}

function notFound(target: Target): Answer {
  return failure(404, 'NotFound', `${target.collection.split('/').at(-1)} "${target.name}" not found`);
}

function failure(code: number, reason: string, message: string): Answer {
  return {
    status: code,
    body: { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message },
  };
}

function send(response: ServerResponse, { status, body, headers }: Answer): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}
