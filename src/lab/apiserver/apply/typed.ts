/**
 * Values by their schema: which fields they have, how two differ, and how one merges into the other
 * (structured merge, as server-side apply does it: lists merge by key or as sets where the type says so).
 */
import { equal, isObject, type JsonObject, own, put } from '../object.ts';
import { ANY, type ListSchema, type Schema } from '../schema/schema.ts';
import { FieldSet } from './fieldset.ts';

export interface Difference {
  readonly added: FieldSet;
  readonly modified: FieldSet;
  readonly removed: FieldSet;
}

/** The fields that a value sets: leaves, atomic values, items of lists and entries of maps. */
export function fieldsOf(schema: Schema, value: unknown, into = new FieldSet()): FieldSet {
  const shape = shapeOf(schema, value);
  if (shape === 'object')
    for (const [key, item] of Object.entries(value as JsonObject)) {
      const child = into.child(`f:${key}`);
      fieldsOf(fieldSchema(schema, key), item, child);
      const named = schema.type === 'struct' && schema.fields.has(key);
      if (!named || item === null || (isObject(item) && Object.keys(item).length === 0)) child.member = true;
    }
  else if (shape === 'list')
    for (const item of value as unknown[]) {
      const child = into.child(elementOf(schema as ListSchema, item));
      fieldsOf((schema as ListSchema).of, item, child);
      child.member = true;
    }
  else into.member = true;
  return into;
}

/** What changed from one value to the other. Containers that come or go are told with all that is in them. */
export function difference(schema: Schema, before: unknown, after: unknown): Difference {
  const found = { added: new FieldSet(), modified: new FieldSet(), removed: new FieldSet() };
  compare(schema, before ?? undefined, after ?? undefined, [], found);
  return found;
}

/** The value of `applied` laid over `live`. */
export function merge(schema: Schema, live: unknown, applied: unknown): unknown {
  const shape = shapeOf(schema, applied);
  if (shape === 'object') {
    const out: JsonObject = isObject(live) ? { ...live } : {};
    for (const [key, item] of Object.entries(applied as JsonObject))
      put(out, key, merge(fieldSchema(schema, key), own(out, key), item));
    return out;
  }
  if (shape === 'list' && Array.isArray(live))
    return mergeList(schema as ListSchema, live, applied as unknown[]);
  return applied;
}

/** The value without these fields; `keep` tells which of what is below a field has to stay. */
export function removeFields(schema: Schema, value: unknown, gone: FieldSet, keep: FieldSet): unknown {
  if (gone.children.size === 0) return value;
  const shape = shapeOf(schema, value);
  if (shape === 'object') {
    const out = { ...(value as JsonObject) };
    for (const [element, child] of gone.children) {
      const key = element.slice(2);
      if (!element.startsWith('f:') || own(out, key) === undefined) continue;
      const left = removeOne(
        fieldSchema(schema, key),
        out[key],
        child,
        keep.children.get(element) ?? new FieldSet(),
      );
      if (left === undefined) delete out[key];
      else put(out, key, left);
    }
    return out;
  }
  if (shape !== 'list') return value;
  const { of } = schema as ListSchema;
  return (value as unknown[]).flatMap(item => {
    const element = elementOf(schema as ListSchema, item);
    const child = gone.children.get(element);
    if (!child) return [item];
    const left = removeOne(of, item, child, keep.children.get(element) ?? new FieldSet());
    return left === undefined ? [] : [withKeys(schema as ListSchema, left, item)];
  });
}

/** An item that stays keeps what names it. */
function withKeys({ keys }: ListSchema, left: unknown, item: unknown): unknown {
  if (!isObject(left) || !isObject(item)) return left;
  return {
    ...left,
    ...Object.fromEntries(keys.filter(key => own(item, key) !== undefined).map(key => [key, item[key]])),
  };
}

function removeOne(schema: Schema, value: unknown, gone: FieldSet, keep: FieldSet): unknown {
  if (gone.member && keep.empty) return undefined;
  const left = removeFields(schema, value, gone, keep);
  const emptied =
    left !== value &&
    keep.empty &&
    ((Array.isArray(left) && left.length === 0) || (isObject(left) && Object.keys(left).length === 0));
  return emptied ? undefined : left;
}

/** How a value is seen: as fields, as items, or as one. */
function shapeOf(schema: Schema, value: unknown): 'object' | 'list' | 'leaf' {
  if (isObject(value)) {
    if (schema.type === 'any') return 'object';
    return (schema.type === 'struct' || schema.type === 'map') && !schema.atomic ? 'object' : 'leaf';
  }
  if (Array.isArray(value) && schema.type === 'list' && schema.relation !== 'atomic') return 'list';
  return 'leaf';
}

function fieldSchema(schema: Schema, key: string): Schema {
  if (schema.type === 'struct') return schema.fields.get(key)?.schema ?? schema.others ?? ANY;
  return schema.type === 'map' ? schema.of : ANY;
}

/** The path element that names an item of a list. */
function elementOf(schema: ListSchema, item: unknown): string {
  if (schema.relation === 'set' || !isObject(item)) return `v:${JSON.stringify(item)}`;
  const keys: JsonObject = {};
  for (const key of [...schema.keys].sort()) {
    const value = own(item, key) ?? schema.keyDefaults?.get(key);
    if (value !== undefined) keys[key] = value;
  }
  return `k:${JSON.stringify(keys)}`;
}

function compare(
  schema: Schema,
  before: unknown,
  after: unknown,
  path: readonly string[],
  found: Difference,
): void {
  if (before === undefined || after === undefined) {
    if (before !== undefined) everything(schema, before, path, found.removed);
    if (after !== undefined) everything(schema, after, path, found.added);
    return;
  }
  const [left, right] = [shapeOf(schema, before), shapeOf(schema, after)];
  if (left !== right || left === 'leaf') {
    if (!equal(before, after)) found.modified.insert(path);
    return;
  }
  if (left === 'object') {
    const [a, b] = [before as JsonObject, after as JsonObject];
    for (const key of new Set([...Object.keys(a), ...Object.keys(b)]))
      compare(
        fieldSchema(schema, key),
        own(a, key) ?? undefined,
        own(b, key) ?? undefined,
        [...path, `f:${key}`],
        found,
      );
    return;
  }
  const list = schema as ListSchema;
  const [a, b] = [indexed(list, before as unknown[]), indexed(list, after as unknown[])];
  for (const element of new Set([...a.keys(), ...b.keys()]))
    compare(list.of, a.get(element), b.get(element), [...path, element], found);
}

function everything(schema: Schema, value: unknown, path: readonly string[], into: FieldSet): void {
  if (path.length) into.insert(path);
  const shape = shapeOf(schema, value);
  if (shape === 'object')
    for (const [key, item] of Object.entries(value as JsonObject)) {
      if (item !== null && item !== undefined)
        everything(fieldSchema(schema, key), item, [...path, `f:${key}`], into);
    }
  else if (shape === 'list')
    for (const item of value as unknown[])
      everything((schema as ListSchema).of, item, [...path, elementOf(schema as ListSchema, item)], into);
}

function indexed(schema: ListSchema, items: readonly unknown[]): Map<string, unknown> {
  const index = new Map<string, unknown>();
  for (const item of items) {
    const element = elementOf(schema, item);
    if (!index.has(element)) index.set(element, item);
  }
  return index;
}

/** Items of `applied` stand in its order; each other item stays behind the one that preceded it. */
function mergeList(schema: ListSchema, live: readonly unknown[], applied: readonly unknown[]): unknown[] {
  const old = indexed(schema, live);
  const out = applied.map(item => {
    const element = elementOf(schema, item);
    return { element, item: old.has(element) ? merge(schema.of, old.get(element), item) : item };
  });
  const names = new Set(out.map(entry => entry.element));
  let previous = -1;
  for (const item of live) {
    const element = elementOf(schema, item);
    if (names.has(element)) previous = out.findIndex(entry => entry.element === element);
    else {
      previous++;
      out.splice(previous, 0, { element, item });
    }
  }
  return out.map(entry => entry.item);
}
