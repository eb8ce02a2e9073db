/**
 * Strategic merge patch: a merge patch that knows which lists merge by key, with the directives `$patch`
 * (replace, delete, merge), `$retainKeys`, `$deleteFromPrimitiveList/f` and `$setElementOrder/f`.
 */
import { equal, isObject, type JsonObject, put } from '../object.ts';
import type { Field, Patch, Schema } from '../schema/schema.ts';
import { badRequest } from '../status.ts';

const DIRECTIVE = '$patch';
const RETAIN = '$retainKeys';
const ORDER = '$setElementOrder/';
const DELETE_PRIMITIVE = '$deleteFromPrimitiveList/';

/** The patched object; neither argument is changed. */
export function strategicPatch(schema: Schema, target: JsonObject, patch: unknown): JsonObject {
  if (!isObject(patch)) throw badRequest('error decoding patch: a strategic merge patch is an object');
  return mergeObject(schema, target, patch);
}

function mergeObject(schema: Schema, target: JsonObject, patch: JsonObject): JsonObject {
  const directive = patch[DIRECTIVE];
  if (directive === 'replace') {
    const { [DIRECTIVE]: _directive, ...rest } = patch;
    return rest;
  }
  if (directive === 'delete') return {};
  if (directive !== undefined && directive !== 'merge')
    throw badRequest(`unknown patch type found: ${directive}`);
  const out = retained(target, patch);
  for (const [key, value] of Object.entries(patch)) {
    if (key === DIRECTIVE || key === RETAIN || key.startsWith(ORDER)) continue;
    if (key.startsWith(DELETE_PRIMITIVE)) {
      deletePrimitives(out, key.slice(DELETE_PRIMITIVE.length), value);
      continue;
    }
    if (value === null) delete out[key];
    else put(out, key, mergeValue(fieldOf(schema, key), own(out, key), value, own(patch, ORDER + key)));
  }
  for (const [key, order] of Object.entries(patch)) {
    const name = key.startsWith(ORDER) ? key.slice(ORDER.length) : undefined;
    if (name !== undefined && !Object.hasOwn(patch, name) && Array.isArray(out[name]))
      out[name] = ordered(out[name], order, fieldOf(schema, name).patch);
  }
  return out;
}

function own(object: JsonObject, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

function retained(target: JsonObject, patch: JsonObject): JsonObject {
  const keys = patch[RETAIN];
  if (keys === undefined) return { ...target };
  if (!Array.isArray(keys)) throw badRequest('bad patch: $retainKeys has to be a list');
  return Object.fromEntries(Object.entries(target).filter(([key]) => keys.includes(key)));
}

function fieldOf(schema: Schema, key: string): Pick<Field, 'schema' | 'patch'> {
  if (schema.type === 'struct') return schema.fields.get(key) ?? { schema: { type: 'any' } };
  return { schema: schema.type === 'map' ? schema.of : { type: 'any' } };
}

function mergeValue(
  field: Pick<Field, 'schema' | 'patch'>,
  old: unknown,
  value: unknown,
  order: unknown,
): unknown {
  if (isObject(value)) return mergeObject(field.schema, isObject(old) ? old : {}, value);
  if (!Array.isArray(value)) return value;
  if (!field.patch?.merge || field.schema.type !== 'list') return stripped(value);
  const before = Array.isArray(old) ? old : [];
  const merged = field.patch.key
    ? mergeKeyed(field.schema.of, field.patch.key, before, value)
    : [...before, ...value.filter(item => !before.some(other => equal(other, item)))];
  return order === undefined ? merged : ordered(merged, order, field.patch);
}

function mergeKeyed(of: Schema, key: string, before: unknown[], patch: unknown[]): unknown[] {
  let out = [...before];
  const items = patch.map(item => {
    if (!isObject(item)) throw badRequest(`bad patch: an item of a list keyed by ${key} has to be an object`);
    return item;
  });
  if (items.some(item => item[DIRECTIVE] === 'replace' && item[key] === undefined)) out = [];
  for (const item of items) {
    const { [DIRECTIVE]: directive, ...rest } = item;
    if (directive === 'replace' && item[key] === undefined) continue;
    if (item[key] === undefined)
      throw badRequest(`map: ${JSON.stringify(item)} does not contain declared merge key: ${key}`);
    const index = out.findIndex(other => isObject(other) && equal(other[key], item[key]));
    if (directive === 'delete') out = out.filter(other => !isObject(other) || !equal(other[key], item[key]));
    else if (index < 0) out.push(mergeObject(of, {}, rest));
    else if (directive === 'replace') out[index] = rest;
    else out[index] = mergeObject(of, out[index] as JsonObject, item);
  }
  return out;
}

function stripped(items: unknown[]): unknown[] {
  return items.filter(
    item => !(isObject(item) && item[DIRECTIVE] !== undefined && Object.keys(item).length === 1),
  );
}

function deletePrimitives(out: JsonObject, key: string, values: unknown): void {
  if (!Array.isArray(values)) throw badRequest(`bad patch: ${DELETE_PRIMITIVE}${key} has to be a list`);
  const before = own(out, key);
  if (Array.isArray(before)) out[key] = before.filter(item => !values.some(value => equal(value, item)));
}

/**
 * Items that the order names stand as it says; each of the others stays behind the item that preceded it.
 */
function ordered(items: unknown[], order: unknown, patch: Patch | undefined): unknown[] {
  if (!Array.isArray(order)) throw badRequest(`bad patch: ${ORDER} has to be a list`);
  const key = patch?.key;
  const identity = (item: unknown) => (key && isObject(item) ? item[key] : item);
  const rank = (item: unknown) => order.findIndex(entry => equal(identity(entry), identity(item)));
  const named = items.filter(item => rank(item) >= 0).sort((a, b) => rank(a) - rank(b));
  const others = items.map((item, index) => ({ item, index })).filter(({ item }) => rank(item) < 0);
  const out: unknown[] = [...named];
  for (const { item, index } of others) {
    const before = items
      .slice(0, index)
      .reverse()
      .find(other => out.includes(other));
    out.splice(before === undefined ? 0 : out.indexOf(before) + 1, 0, item);
  }
  return out;
}
