/** metadata.managedFields: who owns which fields, after updates and after server-side apply. */
import { type Call, view } from '../api.ts';
import { isObject, type JsonObject, type KubeObject, type ManagedFieldsEntry, own } from '../object.ts';
import { apiVersion, type Resource } from '../registry/resource.ts';
import { badRequest, type Cause, invalid, requiredValue, StatusError } from '../status.ts';
import type { Stored } from '../store.ts';
import { create, hasStatus, type Outcome, parse, timestamp, update } from '../write.ts';
import { FieldSet, pathText, readFieldSet } from './fieldset.ts';
import { difference, fieldsOf, merge, removeFields } from './typed.ts';

interface Manager {
  readonly entry: ManagedFieldsEntry;
  fields: FieldSet;
  changed: boolean;
}

/** Fields that the server sets, which nobody owns. */
const UNOWNED = [
  ['f:apiVersion'],
  ['f:kind'],
  ['f:metadata'],
  ...[
    'name',
    'namespace',
    'creationTimestamp',
    'selfLink',
    'uid',
    'generation',
    'managedFields',
    'resourceVersion',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
  ].map(name => ['f:metadata', `f:${name}`]),
];

/**
 * Writes the owners into `next` after an update by the call's field manager.
 * `owned` is what the client sent, with defaults, before admission; `before` is absent for a create.
 */
export function trackUpdate(
  call: Call,
  next: KubeObject,
  owned: KubeObject,
  before: KubeObject | undefined,
): void {
  const { resource, request } = call;
  const given = owned.metadata.managedFields;
  if (given?.length === 1 && isObject(given[0]) && Object.keys(given[0]).length === 0) {
    delete next.metadata.managedFields;
    return;
  }
  const subresource = request.subresource;
  const stated = subresource ? [] : readManagers(given);
  const managers = stated.length ? stated : readManagers(before?.metadata.managedFields);
  const after = subresource === 'status' ? next : withoutStatus(resource, owned);
  const live = subresource === 'status' ? before : before && withoutStatus(resource, before);
  const { added, modified, removed } = difference(resource.schema, bare(live), bare(after));
  const gained = strip(added.union(modified));
  for (const manager of managers) {
    const left = manager.fields.difference(gained).difference(removed);
    if (!left.equals(manager.fields)) set(manager, left);
  }
  const mine = identity(call, 'Update');
  const found = managers.find(manager => same(manager.entry, mine));
  if (found) {
    const all = found.fields.union(gained);
    if (!gained.empty || !all.equals(found.fields)) set(found, all);
  } else if (!gained.empty) managers.push({ entry: mine, fields: gained, changed: true });
  writeManagers(call, next, managers);
}

/** Server-side apply: creates or updates, or fails with the conflicts. */
export function apply(call: Call, old: Stored | undefined, body: unknown): Outcome {
  const { resource, options, request } = call;
  const config = readConfig(call, body);
  const live = old && view(resource, old).object;
  const managers = readManagers(live?.metadata.managedFields);
  const mine = identity(call, 'Apply');
  const last = managers.find(manager => same(manager.entry, mine));
  const applied = strip(fieldsOf(resource.schema, config));
  const others = managers.filter(manager => manager !== last);
  const current: Manager = {
    entry: { ...mine, ...(last ? { time: last.entry.time } : {}) } as ManagedFieldsEntry,
    fields: applied,
    changed: !last?.fields.equals(applied),
  };
  let merged = merge(resource.schema, bare(live) ?? {}, config) as KubeObject;
  if (last) {
    const kept = others.reduce((all, manager) => all.union(manager.fields), applied);
    merged = removeFields(resource.schema, merged, last.fields.difference(applied), kept) as KubeObject;
  }
  const changes = difference(resource.schema, bare(live), merged);
  settleConflicts(call, others, changes.added.union(changes.modified), live);
  for (const manager of others) {
    const left = manager.fields.difference(changes.removed);
    if (!left.equals(manager.fields)) set(manager, left);
  }
  const all = [...others, ...(applied.empty ? [] : [current])];
  const track = (_call: Call, next: KubeObject) => writeManagers(call, next, all);
  const { resourceVersion, uid } = config.metadata;
  merged.metadata = {
    ...merged.metadata,
    ...(resourceVersion ? { resourceVersion } : {}),
    ...(uid ? { uid } : {}),
  };
  if (!live?.metadata.resourceVersion || !resourceVersion) delete merged.metadata.resourceVersion;
  const object = parse(call, { ...merged, apiVersion: apiVersion(resource), kind: resource.kind });
  if (!old) {
    if (request.subresource)
      throw badRequest('a subresource of an object that is not there cannot be applied');
    if (config.metadata.uid)
      throw new StatusError(
        409,
        'Conflict',
        `uid mismatch: the provided object specified uid ${config.metadata.uid}, and no existing object was found`,
      );
    return create(call, object, track);
  }
  if (
    options.dryRun ||
    !changes.added.empty ||
    !changes.modified.empty ||
    !changes.removed.empty ||
    current.changed
  )
    return update(call, old, object, request.subresource, track);
  return { stored: old, created: false };
}

function readConfig(call: Call, body: unknown): KubeObject {
  const { resource, request } = call;
  if (!isObject(body)) throw badRequest('an apply patch has to be an object');
  for (const field of ['apiVersion', 'kind'])
    if (typeof body[field] !== 'string' || body[field] === '')
      throw badRequest(`${field} must be set in an apply patch`);
  if (body.kind !== resource.kind || body.apiVersion !== apiVersion(resource))
    throw badRequest(
      `failed to create manager for existing fields: incorrect version: the patch is for ${body.apiVersion} ${body.kind}, the request for ${apiVersion(resource)} ${resource.kind}`,
    );
  const metadata = isObject(body.metadata) ? body.metadata : {};
  if (Array.isArray(metadata.managedFields) && metadata.managedFields.length)
    throw badRequest('metadata.managedFields must be nil');
  if (metadata.name !== undefined && metadata.name !== request.name)
    throw badRequest(
      `the name of the object (${metadata.name}) does not match the name on the URL (${request.name})`,
    );
  const { managedFields: _managed, creationTimestamp: _created, ...given } = metadata;
  const named = { ...given, name: request.name };
  const config = { ...body, metadata: named } as KubeObject;
  if (request.subresource === 'status') {
    const { name, namespace } = config.metadata;
    const kept = {
      apiVersion: config.apiVersion,
      kind: config.kind,
      metadata: { name, ...(namespace ? { namespace } : {}) },
    };
    return config.status === undefined ? kept : { ...kept, status: config.status };
  }
  return withoutStatus(resource, config);
}

/** Takes the fields that changed from their other owners, where that is forced; fails where it is not. */
function settleConflicts(
  call: Call,
  others: readonly Manager[],
  changed: FieldSet,
  live: KubeObject | undefined,
): void {
  const allowed = call.options.force ? undefined : lastApplied(call, live);
  const conflicts: { manager: Manager; path: readonly string[] }[] = [];
  for (const manager of others) {
    const taken = manager.fields.intersection(changed);
    if (taken.empty) continue;
    const open = [...taken.paths()].filter(path => !allowed?.has(path));
    if (!call.options.force && open.length) conflicts.push(...open.map(path => ({ manager, path })));
    else set(manager, manager.fields.difference(taken));
  }
  if (conflicts.length) throw conflictError(conflicts);
}

/** What kubectl applied client-side and nobody changed since: kubectl may take it over without force. */
function lastApplied(call: Call, live: KubeObject | undefined): FieldSet | undefined {
  if (call.options.fieldManager !== 'kubectl' || !live) return undefined;
  const text = live.metadata.annotations?.['kubectl.kubernetes.io/last-applied-configuration'];
  if (!text) return undefined;
  try {
    const config: unknown = JSON.parse(text);
    const { modified, removed } = difference(call.resource.schema, config, bare(live));
    return strip(fieldsOf(call.resource.schema, config)).difference(modified).difference(removed);
  } catch {
    return undefined;
  }
}

function conflictError(conflicts: readonly { manager: Manager; path: readonly string[] }[]): StatusError {
  const causes: Cause[] = conflicts.map(({ manager, path }) => ({
    reason: 'FieldManagerConflict',
    message: `conflict with ${managerText(manager)}`,
    field: pathText(path),
  }));
  const [first] = conflicts;
  if (conflicts.length === 1 && first) {
    const message = `Apply failed with 1 conflict: conflict with ${managerText(first.manager)}: ${pathText(first.path)}`;
    return new StatusError(409, 'Conflict', message, { causes });
  }
  const managers = [...new Set(conflicts.map(item => item.manager))];
  const lines = managers.flatMap(manager => [
    `conflicts with ${managerText(manager)}:`,
    ...conflicts.filter(item => item.manager === manager).map(item => `- ${pathText(item.path)}`),
  ]);
  return new StatusError(
    409,
    'Conflict',
    `Apply failed with ${conflicts.length} conflicts: ${lines.join('\n')}`,
    { causes },
  );
}

function managerText({ entry }: Manager): string {
  const name = `"${entry.manager}"${entry.subresource ? ` with subresource "${entry.subresource}"` : ''}`;
  return entry.operation === 'Update' ? `${name} using ${entry.apiVersion}` : name;
}

function identity({ resource, options, request }: Call, operation: 'Apply' | 'Update'): ManagedFieldsEntry {
  if (operation === 'Apply' && !options.fieldManager)
    throw invalid('PatchOptions', 'meta.k8s.io', '', [
      requiredValue('fieldManager', 'is required for apply patch'),
    ]);
  return {
    manager: options.fieldManager,
    operation,
    apiVersion: apiVersion(resource),
    fieldsType: 'FieldsV1',
    ...(request.subresource ? { subresource: request.subresource } : {}),
  };
}

/** Entries are one manager's when name, operation and subresource are, and for updates the version too. */
function same(a: ManagedFieldsEntry, b: ManagedFieldsEntry): boolean {
  return (
    a.manager === b.manager &&
    a.operation === b.operation &&
    (a.subresource ?? '') === (b.subresource ?? '') &&
    (a.operation === 'Apply' || a.apiVersion === b.apiVersion)
  );
}

function set(manager: Manager, fields: FieldSet): void {
  manager.fields = fields;
  manager.changed = true;
}

function readManagers(entries: readonly ManagedFieldsEntry[] | undefined): Manager[] {
  return (entries ?? [])
    .filter(entry => isObject(entry) && isObject(entry.fieldsV1))
    .map(entry => ({ entry, fields: readFieldSet(entry.fieldsV1), changed: false }));
}

function writeManagers({ api }: Call, next: KubeObject, managers: readonly Manager[]): void {
  const now = timestamp(api.now());
  const entries = managers
    .filter(manager => !manager.fields.empty)
    .map(({ entry, fields, changed }) => ({
      manager: entry.manager,
      operation: entry.operation,
      apiVersion: entry.apiVersion,
      time: changed || !entry.time ? now : entry.time,
      fieldsType: 'FieldsV1',
      fieldsV1: fields.toJson(),
      ...(entry.subresource ? { subresource: entry.subresource } : {}),
    })) as ManagedFieldsEntry[];
  entries.sort(
    (a, b) => order(a) - order(b) || compareText(a.time, b.time) || compareText(a.manager, b.manager),
  );
  if (entries.length) next.metadata.managedFields = entries;
  else delete next.metadata.managedFields;
}

/** Appliers stand before updaters. */
const order = (entry: ManagedFieldsEntry) => (entry.operation === 'Apply' ? 0 : 1);
const compareText = (a = '', b = '') => (a < b ? -1 : a > b ? 1 : 0);

function strip(fields: FieldSet): FieldSet {
  const unowned = new FieldSet();
  for (const path of UNOWNED) unowned.insert(path);
  return fields.difference(unowned);
}

/** The object without the list of its owners. */
function bare(object: KubeObject | undefined): JsonObject | undefined {
  if (!object || own(object.metadata, 'managedFields') === undefined) return object;
  const { managedFields: _managed, ...metadata } = object.metadata;
  return { ...object, metadata };
}

/** Where status has a subresource of its own, the main resource does not own it. */
function withoutStatus(resource: Resource, object: KubeObject): KubeObject {
  if (!hasStatus(resource)) return object;
  const { status: _status, ...rest } = object;
  return rest as KubeObject;
}
