/** Watches: changes since a resource version, each a line of JSON, until the time is up or the client is too slow. */
import type { ServerResponse } from 'node:http';
import { type Call, view } from './api.ts';
import type { Negotiated } from './negotiate.ts';
import type { JsonObject, KubeObject } from './object.ts';
import { type Filter, filter, numeric, tooLargeRevision } from './read.ts';
import { apiVersion } from './registry/resource.ts';
import { badRequest, expired } from './status.ts';
import { type Change, Stored } from './store.ts';
import { partial, table } from './table.ts';

/** Bytes that may wait for a slow client before its watch is ended. */
const BACKLOG = 16 << 20;
const BOOKMARK_EVERY = 30_000;

/** Answers a watch; returns when the first events are written, the rest follows as it happens. */
export function watch(call: Call, query: URLSearchParams, form: Negotiated, response: ServerResponse): void {
  const { api, resource, request } = call;
  const chosen = filter(resource, request.namespace, query);
  const bookmarks = query.get('allowWatchBookmarks') === 'true';
  const start = starting(call, query, bookmarks);
  const watcher = new Watcher(call, chosen, form, query.get('includeObject') ?? 'Metadata', response);
  response.writeHead(200, { 'Content-Type': form.type === 'json' ? 'application/json' : 'application/yaml' });
  response.flushHeaders();
  for (const stored of start.initial) watcher.initial(stored);
  if (start.endMark) watcher.bookmark({ 'k8s.io/initial-events-end': 'true' });
  for (const change of start.changes) watcher.change(change);
  const stop = api.store.onChange(change => watcher.change(change));
  const seconds = numeric(query, 'timeoutSeconds') || 1800 + Math.floor(api.random() * 1800);
  const timers = [setTimeout(() => watcher.end(bookmarks), Math.min(seconds, 86_400) * 1000)];
  if (bookmarks) timers.push(setInterval(() => watcher.bookmark(), BOOKMARK_EVERY));
  response.once('close', () => {
    stop();
    for (const timer of timers) clearTimeout(timer);
  });
}

interface Start {
  readonly initial: readonly Stored[];
  readonly changes: readonly Change[];
  readonly endMark: boolean;
}

function starting({ api, resource, request }: Call, query: URLSearchParams, bookmarks: boolean): Start {
  const asked = query.get('resourceVersion') ?? '';
  if (asked && !/^\d{1,15}$/.test(asked))
    throw badRequest(`Invalid value: "${asked}": invalid resource version`);
  const revision = Number(asked || '0');
  const namespace = resource.namespaced && request.namespace ? request.namespace : undefined;
  const streaming = query.get('sendInitialEvents');
  if (streaming !== null) {
    if (query.get('resourceVersionMatch') !== 'NotOlderThan')
      throw badRequest('sendInitialEvents requires setting resourceVersionMatch to NotOlderThan');
    if (revision > api.store.revision) throw tooLargeRevision(revision, api.store.revision);
  } else if (query.get('resourceVersionMatch'))
    throw badRequest('resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided');
  if (streaming === 'true' || (streaming === null && revision === 0))
    return {
      initial: api.store.list(resource.storage, namespace),
      changes: [],
      endMark: streaming === 'true' && bookmarks,
    };
  if (revision === 0) return { initial: [], changes: [], endMark: false };
  const changes = api.store.since(revision);
  if (!changes) throw expired(`too old resource version: ${revision} (${api.store.compacted})`);
  return { initial: [], changes, endMark: false };
}

/** An object that no longer matches is told as deleted, as it last matched, at the revision of the change. */
function lastSeen(previous: Stored, { revision }: Stored): Stored {
  const metadata = { ...previous.object.metadata, resourceVersion: String(revision) };
  return new Stored({ ...previous.object, metadata }, revision);
}

class Watcher {
  readonly #call: Call;
  readonly #filter: Filter;
  readonly #form: Negotiated;
  readonly #include: string;
  readonly #response: ServerResponse;
  #defined = false;
  #marked = 0;

  constructor(call: Call, chosen: Filter, form: Negotiated, include: string, response: ServerResponse) {
    this.#call = call;
    this.#filter = chosen;
    this.#form = form;
    this.#include = include;
    this.#response = response;
  }

  initial(stored: Stored): void {
    if (this.#filter.matches(view(this.#call.resource, stored).object)) this.#send('ADDED', stored);
  }

  change({ resource, type, stored, previous }: Change): void {
    if (resource !== this.#call.resource.storage) return;
    if (this.#filter.namespace !== undefined && stored.namespace !== this.#filter.namespace) return;
    const is = type !== 'DELETED' && this.#filter.matches(view(this.#call.resource, stored).object);
    const was = previous !== undefined && this.#filter.matches(view(this.#call.resource, previous).object);
    if (is) this.#send(was ? 'MODIFIED' : 'ADDED', stored);
    else if (was) this.#send('DELETED', type === 'DELETED' ? stored : lastSeen(previous, stored));
  }

  /** Tells how far the watch has come. */
  bookmark(annotations?: Record<string, string>): void {
    const { resource, api } = this.#call;
    if (!annotations && api.store.revision === this.#marked) return;
    this.#marked = api.store.revision;
    const metadata: JsonObject = {
      resourceVersion: String(api.store.revision),
      creationTimestamp: null,
      ...(annotations ? { annotations } : {}),
    };
    const object = {
      kind: resource.kind,
      apiVersion: apiVersion(resource),
      metadata,
    } as unknown as KubeObject;
    this.#write(
      'BOOKMARK',
      this.#form.form === 'object' ? JSON.stringify(object) : this.#shaped(object, true),
    );
  }

  end(bookmarks: boolean): void {
    if (bookmarks) this.bookmark();
    this.#response.end();
  }

  #send(type: string, stored: Stored): void {
    const seen = view(this.#call.resource, stored);
    this.#write(type, this.#form.form === 'object' ? seen.json : this.#shaped(seen.object, false));
  }

  #shaped(object: KubeObject, bookmark: boolean): string {
    if (this.#form.form === 'metadata') return JSON.stringify(partial(object, this.#form.version));
    const definitions = !this.#defined;
    this.#defined = true;
    return JSON.stringify(
      table(this.#call.resource, bookmark ? [] : [object], {
        now: this.#call.api.now(),
        include: this.#include,
        version: this.#form.version,
        metadata: { resourceVersion: object.metadata.resourceVersion },
        definitions,
      }),
    );
  }

  #write(type: string, json: string): void {
    if (this.#response.destroyed || this.#response.writableEnded) return;
    this.#response.write(`{"type":"${type}","object":${json}}\n`);
    if (this.#response.writableLength > BACKLOG) this.#response.destroy();
  }
}
