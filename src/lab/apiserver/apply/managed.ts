/** metadata.managedFields: who owns which fields. */
import type { Call } from '../api.ts';
import {
  isObject,
  type JsonObject,
  type KubeObject,
  type ManagedFieldsEntry,
  own,
  timestamp,
} from '../object.ts';
import { apiVersion, hasStatus, type Resource } from '../registry/resource.ts';
import { invalid, requiredValue } from '../status.ts';
import { FieldSet, readFieldSet } from './fieldset.ts';
import { difference } from './typed.ts';

/** One owner, with the fields it owns. */
export interface Manager {
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

export function identity(
  { resource, options, request }: Call,
  operation: 'Apply' | 'Update',
): ManagedFieldsEntry {
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
export function same(a: ManagedFieldsEntry, b: ManagedFieldsEntry): boolean {
  return (
    a.manager === b.manager &&
    a.operation === b.operation &&
    (a.subresource ?? '') === (b.subresource ?? '') &&
    (a.operation === 'Apply' || a.apiVersion === b.apiVersion)
  );
}

export function set(manager: Manager, fields: FieldSet): void {
  manager.fields = fields;
  manager.changed = true;
}

export function readManagers(entries: readonly ManagedFieldsEntry[] | undefined): Manager[] {
  return (entries ?? [])
    .filter(entry => isObject(entry) && isObject(entry.fieldsV1))
    .map(entry => ({ entry, fields: readFieldSet(entry.fieldsV1), changed: false }));
}

export function writeManagers({ api }: Call, next: KubeObject, managers: readonly Manager[]): void {
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

export function strip(fields: FieldSet): FieldSet {
  const unowned = new FieldSet();
  for (const path of UNOWNED) unowned.insert(path);
  return fields.difference(unowned);
}

/** The object without the list of its owners. */
export function bare(object: KubeObject | undefined): JsonObject | undefined {
  if (!object || own(object.metadata, 'managedFields') === undefined) return object;
  const { managedFields: _managed, ...metadata } = object.metadata;
  return { ...object, metadata };
}

/** Where status has a subresource of its own, the main resource does not own it. */
export function withoutStatus(resource: Resource, object: KubeObject): KubeObject {
  if (!hasStatus(resource)) return object;
  const { status: _status, ...rest } = object;
  return rest as KubeObject;
}
