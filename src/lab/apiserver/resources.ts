/** Requests for resources: each verb to what does it, each answer in the form asked for. */

import { type Api, type Call, type Options, view } from './api.ts';
import { apply } from './apply/apply.ts';
import { answerReview } from './auth/reviews.ts';
import type { User } from './auth/user.ts';
import { decode } from './decode.ts';
import { type Exchange, readJson, readYaml } from './http.ts';
import { type Negotiated, negotiate } from './negotiate.ts';
import { clone, isObject, type JsonObject, type KubeObject, record } from './object.ts';
import { jsonPatch } from './patch/json.ts';
import { mergePatch } from './patch/merge.ts';
import { strategicPatch } from './patch/strategic.ts';
import type { ResourceRequest } from './path.ts';
import { serveLog } from './proxy.ts';
import { find, listKind, page } from './read.ts';
import { apiVersion, type Resource } from './registry/resource.ts';
import { deleteOptions, remove, removeCollection } from './remove.ts';
import { type Schema, typeNamed } from './schema/schema.ts';
import { badRequest, methodNotSupported, pathNotFound, StatusError, unsupportedMediaType } from './status.ts';
import type { Stored } from './store.ts';
import { type Answer, bind, evict, finalize, requestToken, scaleOf, setScale } from './subresources.ts';
import { partial, table } from './table.ts';
import { watch } from './watch.ts';
import { create, type Outcome, parse, update } from './write.ts';

export async function serveResource(
  api: Api,
  exchange: Exchange,
  user: User,
  request: ResourceRequest,
): Promise<void> {
  const resource = api.registry.find(request.group, request.version, request.plural);
  if (!resource) throw pathNotFound();
  const call: Call = {
    api,
    resource,
    request,
    user,
    options: readOptions(exchange),
    warn: text => exchange.warn(text),
  };
  checkScope(call);
  if (resource.custom?.deprecation !== undefined)
    call.warn(resource.custom.deprecation || `${apiVersion(resource)} ${resource.kind} is deprecated`);
  if (request.subresource !== '') {
    if (!resource.subresources.some(sub => sub.name === request.subresource)) throw pathNotFound();
    if (request.subresource !== 'status') return serveSubresource(call, exchange);
  }
  if (resource.verbs.length === 1 && request.verb === 'create') {
    const asked = parse(call, await exchange.body());
    return exchange.send(201, JSON.stringify(answerReview(call, asked)));
  }
  await serveVerb(call, exchange);
}

/** The call of an upgrade request, whose answer is a stream. */
export function streamCall(api: Api, user: User, request: ResourceRequest): Call {
  const resource = api.registry.find(request.group, request.version, request.plural);
  if (resource?.storage !== 'pods' || !['exec', 'attach', 'portforward'].includes(request.subresource))
    throw pathNotFound();
  const options: Options = { dryRun: false, fieldManager: '', fieldValidation: 'Ignore', force: false };
  return { api, resource, request, user, options, warn: () => undefined };
}

async function serveSubresource(call: Call, exchange: Exchange): Promise<void> {
  const { request, resource } = call;
  const { query } = exchange;
  const form = negotiate(exchange.request.headers.accept);
  const known = resource.subresources.find(sub => sub.name === request.subresource);
  if (!known?.verbs.includes(request.verb)) throw methodNotSupported(resource, request.verb);
  const answer = ({ code, object }: Answer) => sendJson(exchange, form, code, object);
  switch (request.subresource) {
    case 'log':
      return serveLog(call, exchange.response, query);
    case 'exec':
    case 'attach':
    case 'portforward':
      throw badRequest('Upgrade request required');
    case 'binding':
      return answer(bind(call, await exchange.body()));
    case 'eviction':
      return answer(evict(call, await exchange.body(), query));
    case 'finalize':
      return answer(finalize(call, await exchange.body()));
    case 'token': {
      const body = await exchange.body();
      return answer(requestToken(call, tokenRequest(body)));
    }
    case 'scale':
      return serveScale(call, exchange, form);
    default:
      throw pathNotFound();
  }
}

function tokenRequest(body: unknown): KubeObject {
  if (!isObject(body) || body.kind !== 'TokenRequest') throw badRequest('the body has to be a TokenRequest');
  const asked = { ...body, metadata: record(body, 'metadata') } as KubeObject;
  return decode(typeNamed('TokenRequest'), asked, []);
}

async function serveScale(call: Call, exchange: Exchange, form: Negotiated): Promise<void> {
  const { request } = call;
  if (request.verb === 'get') return sendJson(exchange, form, 200, scaleOf(call, find(call)));
  const body = request.verb === 'update' ? await exchange.body() : (await exchange.bytes()).toString();
  const stored = find(call);
  const scale =
    request.verb === 'update'
      ? body
      : patched(exchange.mediaType, scaleOf(call, stored), body as string, typeNamed('Scale'));
  const outcome = setScale(call, stored, scale);
  return sendJson(exchange, form, 200, scaleOf(call, outcome.stored));
}

function readOptions({ query, request }: Exchange): Options {
  const validation = query.get('fieldValidation') || 'Warn';
  if (validation !== 'Ignore' && validation !== 'Warn' && validation !== 'Strict')
    throw badRequest(
      `fieldValidation: Unsupported value: "${validation}": supported values: "Ignore", "Warn", "Strict"`,
    );
  const dryRun = query.getAll('dryRun');
  if (dryRun.some(item => item !== 'All'))
    throw badRequest(`dryRun: Unsupported value: "${dryRun[0]}": supported values: "All"`);
  const agent = (request.headers['user-agent'] ?? 'unknown').split('/')[0] as string;
  return {
    dryRun: dryRun.length > 0,
    fieldManager: (query.get('fieldManager') || agent).slice(0, 128),
    fieldValidation: validation,
    force: query.get('force') === 'true',
  };
}

/** Namespaced resources are changed in a namespace alone, others in none. */
function checkScope({ resource, request }: Call): void {
  if (!request.name && (request.verb === 'update' || request.verb === 'patch'))
    throw methodNotSupported(resource, request.verb);
  if (resource.namespaced) {
    if (!request.namespace && request.verb !== 'list' && request.verb !== 'watch') {
      if (request.name || request.verb === 'deletecollection') throw pathNotFound();
      throw methodNotSupported(resource, request.verb);
    }
  } else if (request.namespace && resource.storage !== 'namespaces') throw pathNotFound();
}

async function serveVerb(call: Call, exchange: Exchange): Promise<void> {
  const { request, resource, api } = call;
  const { query } = exchange;
  const form = negotiate(exchange.request.headers.accept);
  if (!request.subresource && !resource.verbs.includes(request.verb))
    throw methodNotSupported(resource, request.verb);
  switch (request.verb) {
    case 'get':
      return sendObject(call, exchange, form, 200, find(call));
    case 'list':
      return sendList(call, exchange, form);
    case 'watch':
      return watch(call, query, form, exchange.response);
    case 'create': {
      const { stored } = create(call, parse(call, await exchange.body()));
      return sendObject(call, exchange, form, 201, stored);
    }
    case 'update': {
      const object = parse(call, await exchange.body());
      const old = resource.strategy.upsert
        ? api.store.get(resource.storage, request.namespace, request.name)
        : find(call);
      const outcome = old ? update(call, old, object, request.subresource) : create(call, object);
      return sendObject(call, exchange, form, outcome.created ? 201 : 200, outcome.stored);
    }
    case 'patch': {
      const bytes = await exchange.bytes();
      const outcome = patch(call, exchange.mediaType, bytes.toString());
      return sendObject(call, exchange, form, outcome.created ? 201 : 200, outcome.stored);
    }
    case 'delete': {
      const options = deleteOptions(await exchange.body(), query);
      const old = find(call);
      const { gone, object } = remove(withDryRun(call, options.dryRun), old, options);
      if (!gone) return sendJson(exchange, form, 200, object);
      return sendJson(exchange, form, 200, {
        kind: 'Status',
        apiVersion: 'v1',
        metadata: {},
        status: 'Success',
        details: {
          name: request.name,
          ...(resource.group ? { group: resource.group } : {}),
          kind: resource.plural,
          uid: object.metadata.uid,
        },
      });
    }
    case 'deletecollection': {
      const options = deleteOptions(await exchange.body(), query);
      const items = removeCollection(withDryRun(call, options.dryRun), query, options);
      return exchange.send(
        200,
        listJson(resource, items, { resourceVersion: String(api.store.revision) }),
        form.type,
      );
    }
    default:
      throw methodNotSupported(resource, exchange.request.method ?? '');
  }
}

function withDryRun(call: Call, dryRun: boolean): Call {
  return dryRun ? { ...call, options: { ...call.options, dryRun } } : call;
}

const APPLY = 'application/apply-patch+yaml';

function patch(call: Call, type: string, text: string): Outcome {
  const { resource, request, api } = call;
  if (type === APPLY) {
    const stored = api.store.get(
      resource.storage,
      resource.namespaced ? request.namespace : '',
      request.name,
    );
    return apply(call, stored, readYaml(text));
  }
  const old = find(call);
  const current = clone(view(resource, old).object) as unknown as JsonObject;
  const schema = resource.custom ? undefined : resource.schema;
  const object = parse(call, clone(patched(type, current, text, schema)));
  return update(call, old, object, request.subresource);
}

/** A document after a patch of this media type; strategic patches need a built-in type. */
function patched(type: string, current: JsonObject, text: string, schema: Schema | undefined): unknown {
  if (type === 'application/json-patch+json') return jsonPatch(current, readJson(text));
  if (type === 'application/merge-patch+json') return mergePatch(current, readJson(text));
  if (type === 'application/strategic-merge-patch+json' && schema)
    return strategicPatch(schema, current, readJson(text));
  const strategic = schema ? 'application/strategic-merge-patch+json, ' : '';
  throw unsupportedMediaType(
    'the body of the request was in an unknown format - accepted media types include: ' +
      `application/json-patch+json, application/merge-patch+json, ${strategic}application/apply-patch+yaml`,
  );
}

export function sendObject(
  call: Call,
  exchange: Exchange,
  form: Negotiated,
  code: number,
  stored: Stored,
): Promise<void> {
  const seen = view(call.resource, stored);
  if (form.form === 'object') return exchange.send(code, seen.json, form.type);
  if (form.form === 'metadata')
    return exchange.send(code, JSON.stringify(partial(seen.object, form.version)), form.type);
  const metadata = { resourceVersion: seen.object.metadata.resourceVersion };
  return exchange.send(code, tableJson(call, exchange, form, [seen.object], metadata), form.type);
}

function sendJson(exchange: Exchange, form: Negotiated, code: number, document: unknown): Promise<void> {
  return exchange.send(code, JSON.stringify(document), form.type);
}

function sendList(call: Call, exchange: Exchange, form: Negotiated): Promise<void> {
  const { items, metadata } = page(call, exchange.query);
  const { resource } = call;
  if (form.form === 'object') return exchange.send(200, listJson(resource, items, metadata), form.type);
  const objects = items.map(item => view(resource, item).object);
  if (form.form === 'table')
    return exchange.send(200, tableJson(call, exchange, form, objects, metadata), form.type);
  return sendJson(exchange, form, 200, {
    kind: 'PartialObjectMetadataList',
    apiVersion: `meta.k8s.io/${form.version}`,
    metadata,
    items: objects.map(object => partial(object, form.version)),
  });
}

function listJson(resource: Resource, items: readonly Stored[], metadata: JsonObject): string {
  const { kind, apiVersion } = listKind(resource);
  const joined = items.map(item => view(resource, item).json).join(',');
  return `{"kind":"${kind}","apiVersion":"${apiVersion}","metadata":${JSON.stringify(metadata)},"items":[${joined}]}`;
}

function tableJson(
  call: Call,
  { query }: Exchange,
  form: Negotiated,
  objects: KubeObject[],
  metadata: JsonObject,
): string {
  const include = query.get('includeObject') || 'Metadata';
  if (!['None', 'Metadata', 'Object'].includes(include))
    throw new StatusError(400, 'BadRequest', `unrecognized includeObject value: "${include}"`);
  return JSON.stringify(
    table(call.resource, objects, { now: call.api.now(), include, version: form.version, metadata }),
  );
}
