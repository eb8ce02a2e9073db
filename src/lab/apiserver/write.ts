/** create and update: defaults, admission, validation, ownership of fields, and one commit. */
import { admitCreate, admitUpdate, restrictNode } from './admission.ts';
import { type Call, view } from './api.ts';
import { trackUpdate } from './apply/managed.ts';
import { decode, decodeMetadata } from './decode.ts';
import { warnIdle } from './idle.ts';
import { metadataProblems } from './names.ts';
import {
  clone,
  equal,
  isObject,
  type JsonObject,
  type KubeObject,
  type ObjectMeta,
  put,
  timestamp,
} from './object.ts';
import { customresourcedefinitions } from './registry/definitions.ts';
import { apiVersion, hasStatus, type Resource } from './registry/resource.ts';
import {
  alreadyExists,
  badRequest,
  conflict,
  forbidden,
  invalid,
  modified,
  notFound,
  StatusError,
} from './status.ts';
import { Stored, type Write } from './store.ts';

/** What a write came to. */
export interface Outcome {
  readonly stored: Stored;
  readonly created: boolean;
  /** The write took the object away (its last finalizer went). */
  readonly removed?: boolean;
}

/** Reads a body as an object of the call's resource: its kind, known fields, strict errors. */
export function parse(call: Call, body: unknown): KubeObject {
  const { resource, request, options } = call;
  if (!isObject(body)) throw badRequest('the object provided is unrecognized (must be of type object)');
  const wanted = apiVersion(resource);
  const given = { ...body } as JsonObject;
  if (!resource.custom) {
    if (given.kind === undefined || given.kind === '') given.kind = resource.kind;
    if (given.apiVersion === undefined || given.apiVersion === '') given.apiVersion = wanted;
  }
  if (typeof given.kind !== 'string' || given.kind === '') throw badRequest("Object 'Kind' is missing");
  if (given.kind !== resource.kind)
    throw badRequest(
      `${given.kind} in version "${String(given.apiVersion).split('/').pop()}" cannot be handled as a ${resource.kind}: ` +
        `converting (${given.kind}) to (${resource.kind}): unknown conversion`,
    );
  if (given.apiVersion !== wanted)
    throw badRequest(
      `the API version in the data (${given.apiVersion}) does not match the expected API version (${wanted})`,
    );
  const unknown: string[] = [];
  const object = decodeFor(resource, given as KubeObject, unknown);
  if (unknown.length && options.fieldValidation !== 'Ignore') {
    const problems = unknown.map(path => `unknown field "${path}"`);
    if (options.fieldValidation === 'Strict')
      throw badRequest(
        `${resource.kind} in version "${resource.version}" cannot be handled as a ${resource.kind}: strict decoding error: ${problems.join(', ')}`,
      );
    for (const problem of problems) call.warn(problem);
  }
  if (resource.namespaced) {
    if (object.metadata.namespace && object.metadata.namespace !== request.namespace)
      throw badRequest(
        'the namespace of the provided object does not match the namespace sent on the request',
      );
    object.metadata.namespace = request.namespace;
  } else delete object.metadata.namespace;
  return object;
}

function decodeFor(resource: Resource, given: KubeObject, unknown: string[]): KubeObject {
  if (!isObject(given.metadata ?? {})) throw badRequest('metadata has to be an object');
  const withMetadata = { ...given, metadata: given.metadata ?? {} } as KubeObject;
  if (resource.custom) return resource.custom.conform(clone(decodeMetadata(withMetadata, unknown)), unknown);
  return decode(resource.schema, withMetadata, unknown);
}

const SUFFIX = 'bcdfghjklmnpqrstvwxz2456789';

function generated(prefix: string, random: () => number): string {
  let suffix = '';
  for (let index = 0; index < 5; index++) suffix += SUFFIX[Math.floor(random() * SUFFIX.length)];
  return prefix.slice(0, 58) + suffix;
}

/** Stores a new object, parsed and owned by the caller. */
export function create(call: Call, object: KubeObject, track = trackUpdate): Outcome {
  const { api, resource, request } = call;
  const { metadata } = object;
  if (metadata.resourceVersion)
    throw badRequest('resourceVersion should not be set on objects to be created');
  requireNamespace(call, metadata.name || metadata.generateName || '');
  requireDefinition(call);
  if (!metadata.name && metadata.generateName) metadata.name = generated(metadata.generateName, api.random);
  if (request.name && metadata.name !== request.name)
    throw badRequest(
      `the name of the object (${metadata.name}) does not match the name on the URL (${request.name})`,
    );
  for (const field of ['uid', 'selfLink', 'generation', 'deletionTimestamp', 'deletionGracePeriodSeconds'])
    delete metadata[field];
  metadata.uid = api.uuid();
  metadata.creationTimestamp = timestamp(api.now());
  if (resource.strategy.generation) metadata.generation = 1;
  resource.strategy.defaults?.(object);
  const owned = clone(object);
  admitCreate(call, object);
  if (hasStatus(resource)) clearStatus(resource, object);
  resource.strategy.create?.(object, api);
  check(resource, object, undefined, call);
  track(call, object, owned, undefined);
  const storage = stored(resource, object);
  if (api.store.get(resource.storage, metadata.namespace ?? '', metadata.name))
    throw alreadyExists(resource, metadata.name);
  warnIdle(call);
  if (call.options.dryRun) return { stored: new Stored(storage, api.store.revision), created: true };
  const [change] = api.store.commit({ resource: resource.storage, put: storage });
  return { stored: change!.stored, created: true };
}

/** Which part of an object an update may change. */
export type Part = '' | 'status' | (string & {});

/**
 * Stores a changed object, parsed and owned by the caller, over an old one.
 * A part other than '' or 'status' is taken as it is: its handler knows what it changed.
 */
export function update(
  call: Call,
  old: Stored,
  object: KubeObject,
  part: Part,
  track = trackUpdate,
): Outcome {
  const { api, resource } = call;
  const before = clone(view(resource, old).object);
  const { metadata } = object;
  restrictNode(call, before);
  checkIdentity(call, before.metadata, metadata);
  carryMetadata(before.metadata, metadata);
  resource.strategy.defaults?.(object);
  const owned = clone(object);
  const next = part === 'status' ? withStatus(resource, before, object) : object;
  if (part === '') {
    if (hasStatus(resource)) restoreStatus(next, before);
    admitUpdate(call, next, before);
    resource.strategy.update?.(next, before, api);
  } else if (part === 'status') resource.strategy.updateStatus?.(next, before, api);
  if (resource.strategy.generation && part !== 'status' && specChanged(resource, before, next))
    next.metadata.generation = (before.metadata.generation ?? 0) + 1;
  check(resource, next, before, call);
  track(call, next, owned, before);
  return save(call, old, next);
}

/** Writes the next state of an object, or removes it when it is deleted and nothing holds it any more. */
export function save(call: Call, old: Stored, next: KubeObject, ...more: Write[]): Outcome {
  const { api, resource } = call;
  const { metadata } = next;
  const storage = stored(resource, next);
  const done =
    metadata.deletionTimestamp && !metadata.finalizers?.length && !metadata.deletionGracePeriodSeconds;
  if (call.options.dryRun) return { stored: new Stored(storage, old.revision), created: false };
  if (done && !held(resource, next)) {
    const remove = { namespace: old.namespace, name: old.name };
    const last = new Stored(storage, old.revision);
    api.store.commit({ resource: resource.storage, remove }, ...more);
    return { stored: last, created: false, removed: true };
  }
  if (sameObject(old.object, storage) && !more.length) return { stored: old, created: false };
  const [change] = api.store.commit({ resource: resource.storage, put: storage }, ...more);
  return { stored: change!.stored, created: false };
}

/** Whether something beside metadata.finalizers keeps a deleted object: namespaces have finalizers in their spec. */
function held(resource: Resource, object: KubeObject): boolean {
  if (resource.storage !== 'namespaces') return false;
  const spec = object.spec as { finalizers?: string[] } | undefined;
  return (spec?.finalizers?.length ?? 0) > 0;
}

function clearStatus(resource: Resource, object: KubeObject): void {
  if (resource.storage === 'nodes') return;
  delete object.status;
  if (!resource.custom) object.status = {};
}

function restoreStatus(next: KubeObject, before: KubeObject): void {
  if (before.status === undefined) delete next.status;
  else next.status = before.status;
}

function withStatus(resource: Resource, before: KubeObject, object: KubeObject): KubeObject {
  const next = clone(before);
  if (object.status === undefined) delete next.status;
  else next.status = object.status;
  const { labels, annotations, finalizers, ownerReferences, managedFields } = object.metadata;
  const kept = resource.custom
    ? { managedFields }
    : { labels, annotations, finalizers, ownerReferences, managedFields };
  for (const [key, value] of Object.entries(kept)) {
    if (value === undefined) delete next.metadata[key];
    else put(next.metadata, key, value);
  }
  return next;
}

function specChanged(resource: Resource, before: KubeObject, next: KubeObject): boolean {
  if (!resource.custom) {
    if (
      resource.storage === 'deployments.apps' &&
      !equal(before.metadata.annotations ?? {}, next.metadata.annotations ?? {})
    )
      return true;
    return !equal(before.spec, next.spec);
  }
  const bare = ({ metadata: _metadata, ...rest }: KubeObject) => {
    if (hasStatus(resource)) delete rest.status;
    return rest;
  };
  return !equal(bare({ ...before }), bare({ ...next }));
}

function checkIdentity(call: Call, before: ObjectMeta, after: ObjectMeta): void {
  const { resource, request } = call;
  if (!after.name) after.name = before.name;
  if (after.name !== before.name)
    throw badRequest(
      `the name of the object (${after.name}) does not match the name on the URL (${request.name})`,
    );
  if (after.uid && after.uid !== before.uid)
    throw conflict(
      resource,
      before.name,
      `Precondition failed: UID in precondition: ${after.uid}, UID in object meta: ${before.uid}`,
    );
  if (
    after.resourceVersion &&
    after.resourceVersion !== '0' &&
    after.resourceVersion !== before.resourceVersion
  )
    throw modified(resource, before.name);
}

/** What the server alone sets stays as it was. */
function carryMetadata(before: ObjectMeta, after: ObjectMeta): void {
  for (const field of [
    'uid',
    'namespace',
    'creationTimestamp',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
    'generation',
    'resourceVersion',
    'generateName',
  ]) {
    if (before[field] === undefined) delete after[field];
    else after[field] = before[field];
  }
  delete after.selfLink;
  for (const field of ['labels', 'annotations'] as const)
    if (after[field] && Object.keys(after[field]).length === 0) delete after[field];
  for (const field of ['finalizers', 'ownerReferences', 'managedFields'] as const)
    if (after[field]?.length === 0 && field !== 'managedFields') delete after[field];
}

function requireNamespace(call: Call, name: string): void {
  const { api, resource, request } = call;
  if (!resource.namespaced) return;
  const namespaces = { plural: 'namespaces', group: '' };
  const namespace = api.store.get('namespaces', '', request.namespace);
  if (!namespace) throw notFound(namespaces, request.namespace);
  if (namespace.object.metadata.deletionTimestamp) {
    const error = forbidden(
      resource,
      name,
      `unable to create new content in namespace ${request.namespace} because it is being terminated`,
    );
    throw new StatusError(403, 'Forbidden', error.message, {
      ...error.details,
      causes: [
        {
          reason: 'NamespaceTerminating',
          message: `namespace ${request.namespace} is being terminated`,
          field: 'metadata.namespace',
        },
      ],
    });
  }
}

/** What is being deleted with its definition gets nothing new. */
function requireDefinition({ api, resource }: Call): void {
  if (!resource.custom) return;
  const definition = api.store.get(
    customresourcedefinitions.storage,
    '',
    `${resource.plural}.${resource.group}`,
  );
  if (definition?.object.metadata.deletionTimestamp)
    throw new StatusError(
      405,
      'MethodNotAllowed',
      'create not allowed while custom resource definition is terminating',
    );
}

function check(resource: Resource, object: KubeObject, old: KubeObject | undefined, call: Call): void {
  const errors = metadataProblems(resource, object.metadata);
  if (old?.metadata.deletionTimestamp) {
    const added = (object.metadata.finalizers ?? []).filter(item => !old.metadata.finalizers?.includes(item));
    if (added.length)
      errors.push({
        field: 'metadata.finalizers',
        reason: 'FieldValueForbidden',
        message: `Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{${added.map(item => `"${item}"`).join(', ')}}`,
      });
  }
  errors.push(...(resource.strategy.validate?.(object, old, call.api) ?? []));
  errors.push(...(resource.custom?.validate(object, old) ?? []));
  if (errors.length) throw invalid(resource.kind, resource.group, object.metadata.name ?? '', errors);
}

function stored(resource: Resource, object: KubeObject): KubeObject {
  return resource.toStorage ? resource.toStorage(object) : object;
}

/** Whether nothing changed but the times in managedFields. */
function sameObject(a: KubeObject, b: KubeObject): boolean {
  const bare = ({ metadata: { managedFields, ...metadata }, ...rest }: KubeObject) => ({
    ...rest,
    metadata: { ...metadata, managedFields: (managedFields ?? []).map(({ time: _time, ...entry }) => entry) },
  });
  return equal(bare(a), bare(b));
}
