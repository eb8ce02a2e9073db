/** The typed client that agent, operator, command line and lab share. */
import { ApiError, apiError, KubeUnreachable, unreachable } from './errors.ts';
import { type Credentials, HttpConnection } from './http.ts';
import { type KubeObject, type ResourceType, resourcePath } from './types.ts';

export { ApiError, isConflict, isGone, isNotFound, KubeUnreachable } from './errors.ts';
export { type Credentials, inCluster } from './http.ts';

export interface ListOptions {
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
  limit?: number;
  continue?: string;
}

export interface ListResult<T> {
  items: T[];
  resourceVersion: string;
  /** Set while there are more items than `limit`. */
  continue?: string;
}

export interface WatchOptions {
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
  resourceVersion: string;
  signal: AbortSignal;
  /** Seconds after which the server ends the watch. */
  timeoutSeconds?: number;
}

export interface WatchEvent<T> {
  /** `BOOKMARK` carries only metadata.resourceVersion; `ERROR` a Status in place of the object. */
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  object: T;
}

export interface ApplyOptions {
  fieldManager: string;
  force?: boolean;
  dryRun?: boolean;
  subresource?: 'status';
}

export interface DeleteOptions {
  gracePeriodSeconds?: number;
  propagationPolicy?: 'Background' | 'Foreground' | 'Orphan';
  preconditions?: { uid?: string; resourceVersion?: string };
}

export type PatchKind = 'merge' | 'strategic' | 'json';

/** Refusals are `ApiError`s, transport failures `KubeUnreachable`. */
export interface KubeClient {
  readonly server: string;
  get<T extends KubeObject>(type: ResourceType<T>, name: string, namespace?: string): Promise<T>;
  list<T extends KubeObject>(type: ResourceType<T>, options?: ListOptions): Promise<ListResult<T>>;
  create<T extends KubeObject>(type: ResourceType<T>, object: T, options?: { dryRun?: boolean }): Promise<T>;
  replace<T extends KubeObject>(
    type: ResourceType<T>,
    object: T,
    options?: { subresource?: 'status' },
  ): Promise<T>;
  patch<T extends KubeObject>(
    type: ResourceType<T>,
    name: string,
    namespace: string | undefined,
    body: unknown,
    kind: PatchKind,
    options?: { subresource?: string },
  ): Promise<T>;
  /** Server-side apply. */
  apply<T extends KubeObject>(type: ResourceType<T>, object: T, options: ApplyOptions): Promise<T>;
  delete(type: ResourceType, name: string, namespace?: string, options?: DeleteOptions): Promise<void>;
  watch<T extends KubeObject>(type: ResourceType<T>, options: WatchOptions): AsyncIterable<WatchEvent<T>>;
  /** Any request; also answers of 400 and more are returned. */
  raw(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<{ status: number; body: Buffer }>;
}

export interface ConnectOptions {
  /** Milliseconds until a request is given up. */
  timeout?: number;
  /** At once, watches aside; further requests wait for one of them. */
  maxConnections?: number;
}

export function connect(credentials: Credentials, options: ConnectOptions = {}): KubeClient {
  return new Client(new HttpConnection(credentials, options.maxConnections), options.timeout ?? 10_000);
}

const PATCH_TYPES: Record<PatchKind, string> = {
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  json: 'application/json-patch+json',
};

const LONGEST_LINE = 64 << 20;

class Client implements KubeClient {
  readonly server: string;
  readonly #http: HttpConnection;
  readonly #timeout: number;

  constructor(http: HttpConnection, timeout: number) {
    this.server = http.server;
    this.#http = http;
    this.#timeout = timeout;
  }

  get<T extends KubeObject>(type: ResourceType<T>, name: string, namespace?: string): Promise<T> {
    return this.#object('GET', resourcePath(type, { name: named(type, name), namespace }));
  }

  async list<T extends KubeObject>(type: ResourceType<T>, options: ListOptions = {}): Promise<ListResult<T>> {
    const { namespace, ...query } = options;
    const path = resourcePath(type, { namespace }) + queryString({ ...query });
    const list = await this.#object<RawList<T>>('GET', path);
    const items = (list.items ?? []).map(item => ({ ...item, apiVersion: type.apiVersion, kind: type.kind }));
    const next = list.metadata?.continue;
    return {
      items,
      resourceVersion: list.metadata?.resourceVersion ?? '',
      ...(next && { continue: next }),
    };
  }

  create<T extends KubeObject>(
    type: ResourceType<T>,
    object: T,
    options: { dryRun?: boolean } = {},
  ): Promise<T> {
    const path = resourcePath(type, { namespace: object.metadata.namespace });
    return this.#object('POST', path + queryString({ dryRun: options.dryRun && 'All' }), object);
  }

  replace<T extends KubeObject>(
    type: ResourceType<T>,
    object: T,
    options: { subresource?: 'status' } = {},
  ): Promise<T> {
    return this.#object('PUT', objectPath(type, object, options.subresource), object);
  }

  patch<T extends KubeObject>(
    type: ResourceType<T>,
    name: string,
    namespace: string | undefined,
    body: unknown,
    kind: PatchKind,
    options: { subresource?: string } = {},
  ): Promise<T> {
    const path = resourcePath(type, { name: named(type, name), namespace, ...options });
    return this.#object('PATCH', path, body, { 'content-type': PATCH_TYPES[kind] });
  }

  apply<T extends KubeObject>(type: ResourceType<T>, object: T, options: ApplyOptions): Promise<T> {
    const { fieldManager, force, dryRun, subresource } = options;
    const query = queryString({ fieldManager, force, dryRun: dryRun && 'All' });
    const { managedFields: _, ...metadata } = object.metadata;
    return this.#object(
      'PATCH',
      objectPath(type, object, subresource) + query,
      { ...object, metadata },
      { 'content-type': 'application/apply-patch+yaml' },
    );
  }

  async delete(
    type: ResourceType,
    name: string,
    namespace?: string,
    options: DeleteOptions = {},
  ): Promise<void> {
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', ...options };
    await this.#object('DELETE', resourcePath(type, { name: named(type, name), namespace }), body);
  }

  async *watch<T extends KubeObject>(
    type: ResourceType<T>,
    options: WatchOptions,
  ): AsyncGenerator<WatchEvent<T>> {
    const { namespace, signal, ...query } = options;
    const path =
      resourcePath(type, { namespace }) + queryString({ ...query, watch: true, allowWatchBookmarks: true });
    for await (const line of this.#lines(path, signal)) yield parseEvent<T>(this.server, type, line);
  }

  async raw(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
    const payload =
      body === undefined || typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
    const { status, body: answer } = await this.#http.request({
      method,
      path,
      headers: { ...(payload !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(payload !== undefined && { body: payload }),
      timeout: this.#timeout,
    });
    return { status, body: answer };
  }

  async #object<T>(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<T> {
    const { status, body: answer } = await this.raw(method, path, body, headers);
    const text = answer.toString('utf8');
    if (status >= 400) throw apiError(status, text, `${method} ${path}`);
    try {
      return JSON.parse(text) as T;
    } catch (error) {
      throw unreachable(
        this.server,
        new Error(`${method} ${path} was answered ${status} with no JSON`, { cause: error }),
      );
    }
  }

  async *#lines(path: string, signal: AbortSignal): AsyncGenerator<string> {
    try {
      const response = await this.#http.open({ method: 'GET', path, timeout: this.#timeout, signal });
      const refused = (response.statusCode ?? 0) >= 400;
      const decoder = new TextDecoder();
      let rest = '';
      for await (const chunk of response as AsyncIterable<Buffer>) {
        rest += decoder.decode(chunk, { stream: true });
        if (refused || !rest.includes('\n')) {
          if (rest.length > LONGEST_LINE) throw new Error('a line of the watch is too long');
          continue;
        }
        const lines = rest.split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) if (line !== '') yield line;
      }
      if (refused) throw apiError(response.statusCode ?? 0, rest, `watch ${path}`);
    } catch (error) {
      if (signal.aborted) return;
      throw error instanceof ApiError || error instanceof KubeUnreachable
        ? error
        : unreachable(this.server, error);
    }
  }
}

interface RawList<T> {
  items?: T[] | null;
  metadata?: { resourceVersion?: string; continue?: string };
}

function parseEvent<T extends KubeObject>(
  server: string,
  type: ResourceType<T>,
  line: string,
): WatchEvent<T> {
  try {
    const event = JSON.parse(line) as { type?: unknown; object?: unknown };
    if (typeof event.type === 'string' && typeof event.object === 'object' && event.object !== null)
      return event as WatchEvent<T>;
  } catch {
    // told below
  }
  throw unreachable(server, new Error(`a watch of ${type.plural} brought a line that is no event`));
}

function objectPath(type: ResourceType, object: KubeObject, subresource?: string): string {
  const { name, namespace } = object.metadata;
  return resourcePath(type, { name: named(type, name), namespace, subresource });
}

/** An empty name would turn a request for one object into one for all of them. */
function named(type: ResourceType, name: string): string {
  if (typeof name !== 'string' || name === '') throw new TypeError(`a ${type.kind} needs a name`);
  return name;
}

function queryString(parameters: Record<string, unknown>): string {
  const given = Object.entries(parameters).filter(
    ([, value]) => ![undefined, false, ''].includes(value as undefined),
  );
  const pairs = given.map(([name, value]): [string, string] => [name, String(value)]);
  return pairs.length === 0 ? '' : `?${new URLSearchParams(pairs)}`;
}
