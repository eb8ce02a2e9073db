/** get and list. */
import { type Api, type Call, view } from './api.ts';
import type { JsonObject, KubeObject } from './object.ts';
import { apiVersion, type Resource } from './registry/resource.ts';
import { fieldSelector, labelSelector } from './selectors.ts';
import { badRequest, expired, notFound, StatusError } from './status.ts';
import type { Stored } from './store.ts';

/** The stored object that the request names; 404 when there is none. */
export function find(call: Call): Stored {
  const { resource, request, api } = call;
  const namespace = resource.namespaced ? request.namespace : '';
  const stored = api.store.get(resource.storage, namespace, request.name);
  if (!stored) throw notFound(resource, request.name);
  return stored;
}

export interface Filter {
  readonly namespace: string | undefined;
  matches(object: KubeObject): boolean;
}

/** The filter of a list or watch: namespace, label selector and field selector. */
export function filter(resource: Resource, namespace: string, query: URLSearchParams): Filter {
  const labels = query.get('labelSelector');
  const fields = query.get('fieldSelector');
  const byLabel = labels ? labelSelector(labels) : undefined;
  const byField = fields ? fieldMatcher(resource, fields) : undefined;
  return {
    namespace: resource.namespaced && namespace ? namespace : undefined,
    matches: object => (!byLabel || byLabel(object.metadata.labels ?? {})) && (!byField || byField(object)),
  };
}

function fieldMatcher(resource: Resource, selector: string): (object: KubeObject) => boolean {
  const terms = fieldSelector(selector);
  const known = resource.strategy.fields;
  const blank = { apiVersion: '', kind: '', metadata: { name: '' } };
  for (const { field } of terms) {
    if (field === 'metadata.name' || field === 'metadata.namespace') continue;
    if (known && Object.hasOwn(known(blank), field)) continue;
    throw badRequest(`field label not supported: ${field}`);
  }
  return object => {
    const more = known?.(object) ?? {};
    return terms.every(({ field, value, equal }) => {
      const found =
        field === 'metadata.name'
          ? object.metadata.name
          : field === 'metadata.namespace'
            ? (object.metadata.namespace ?? '')
            : (more[field] ?? '');
      return (found === value) === equal;
    });
  };
}

export interface Page {
  readonly items: readonly Stored[];
  readonly metadata: JsonObject;
}

interface Token {
  revision: number;
  after: [string, string];
}

const SNAPSHOTS = 64;
const snapshots = new WeakMap<Api, Map<string, readonly Stored[]>>();

/** One page of a list, with the ListMeta that goes with it. */
export function page(call: Call, query: URLSearchParams): Page {
  const { api, resource, request } = call;
  const chosen = filter(resource, request.namespace, query);
  const limit = numeric(query, 'limit');
  const token = query.get('continue') ? readToken(query.get('continue') as string) : undefined;
  checkRevision(api, query, token !== undefined);
  const revision = token?.revision ?? api.store.revision;
  const found = token ? resumed(call, token) : api.store.list(resource.storage, chosen.namespace);
  const items = found.filter(
    item =>
      (chosen.namespace === undefined || item.namespace === chosen.namespace) &&
      chosen.matches(view(resource, item).object),
  );
  const metadata: JsonObject = { resourceVersion: String(revision) };
  if (limit <= 0 || items.length <= limit) return { items, metadata };
  const last = items[limit - 1] as Stored;
  keep(api, `${resource.storage}@${revision}`, found);
  metadata.continue = writeToken({ revision, after: [last.namespace, last.name] });
  if (!query.get('labelSelector') && !query.get('fieldSelector'))
    metadata.remainingItemCount = items.length - limit;
  return { items: items.slice(0, limit), metadata };
}

/** The head and tail between which the items of a list stand. */
export function listKind(resource: Resource): { kind: string; apiVersion: string } {
  return { kind: `${resource.kind}List`, apiVersion: apiVersion(resource) };
}

export function numeric(query: URLSearchParams, name: string): number {
  const value = query.get(name);
  if (!value) return 0;
  if (!/^-?\d{1,15}$/.test(value)) throw badRequest(`strconv.ParseInt: parsing "${value}": invalid syntax`);
  return Number(value);
}

function checkRevision(api: Api, query: URLSearchParams, continued: boolean): void {
  const asked = query.get('resourceVersion') ?? '';
  const match = query.get('resourceVersionMatch') ?? '';
  if (match && !['Exact', 'NotOlderThan'].includes(match))
    throw badRequest(`resourceVersionMatch is invalid: supported values are "Exact", "NotOlderThan"`);
  if (!asked || asked === '0') return;
  if (continued) throw badRequest('specifying resource version is not allowed when using continue');
  if (!/^\d{1,15}$/.test(asked)) throw badRequest(`invalid resource version "${asked}"`);
  if (Number(asked) > api.store.revision) throw tooLargeRevision(Number(asked), api.store.revision);
  if (match === 'Exact' && Number(asked) < api.store.revision)
    throw expired('The resourceVersion for the provided list is too old.');
}

export function tooLargeRevision(asked: number, current: number): StatusError {
  return new StatusError(504, 'Timeout', `Too large resource version: ${asked}, current: ${current}`, {
    causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
    retryAfterSeconds: 1,
  });
}

function keep(api: Api, key: string, items: readonly Stored[]): void {
  const kept = snapshots.get(api) ?? new Map<string, readonly Stored[]>();
  snapshots.set(api, kept);
  kept.delete(key);
  kept.set(key, items);
  for (const old of kept.keys()) if (kept.size > SNAPSHOTS) kept.delete(old);
}

function resumed({ api, resource }: Call, token: Token): readonly Stored[] {
  const all = snapshots.get(api)?.get(`${resource.storage}@${token.revision}`);
  if (!all)
    throw expired(
      'The provided continue parameter is too old to display a consistent list result. You can start a new list ' +
        'without the continue parameter.',
    );
  const [namespace, name] = token.after;
  return all.filter(item => item.namespace > namespace || (item.namespace === namespace && item.name > name));
}

function writeToken(token: Token): string {
  return Buffer.from(JSON.stringify(token)).toString('base64url');
}

function readToken(token: string): Token {
  try {
    const { revision, after } = JSON.parse(Buffer.from(token, 'base64url').toString());
    if (Number.isSafeInteger(revision) && typeof after[0] === 'string' && typeof after[1] === 'string')
      return { revision, after: [after[0], after[1]] };
  } catch {
    // told below
  }
  throw badRequest('continue key is not valid: it has to come from the list before');
}
