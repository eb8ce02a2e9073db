/** Server-side apply: a client states the fields it cares for, and owns them. */
import { type Call, view } from '../api.ts';
import { isObject, type KubeObject, type ManagedFieldsEntry } from '../object.ts';
import { apiVersion } from '../registry/resource.ts';
import { badRequest, type Cause, StatusError } from '../status.ts';
import type { Stored } from '../store.ts';
import { create, type Outcome, parse, update } from '../write.ts';
import { type FieldSet, pathText } from './fieldset.ts';
import {
  bare,
  identity,
  type Manager,
  readManagers,
  same,
  set,
  strip,
  withoutStatus,
  writeManagers,
} from './managed.ts';
import { difference, fieldsOf, merge, removeFields } from './typed.ts';

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
