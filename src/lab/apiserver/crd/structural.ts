/** Structural schemas of custom resources: what is taken away, filled in, and how they merge. */
import { clone, isObject, type JsonObject, own, put, record, strings } from '../object.ts';
import { ANY, type Field, type Schema, typeNamed } from '../schema/schema.ts';
import { type FieldError, forbiddenValue, requiredValue, unsupportedValue } from '../status.ts';

const TYPES = ['array', 'boolean', 'integer', 'number', 'object', 'string'];
const PRESERVE = 'x-kubernetes-preserve-unknown-fields';
const INT_OR_STRING = 'x-kubernetes-int-or-string';
const EMBEDDED = 'x-kubernetes-embedded-resource';

/** What keeps a schema from being structural. */
export function schemaProblems(schema: JsonObject, field: string, depth = 0): FieldError[] {
  const errors: FieldError[] = [];
  if (depth > 64) return [forbiddenValue(field, 'the schema is nested too deeply')];
  const type = schema.type;
  if (schema.$ref !== undefined) errors.push(forbiddenValue(`${field}.$ref`, '$ref is not supported'));
  if (depth === 0 && type !== 'object')
    errors.push({
      field: `${field}.type`,
      reason: 'FieldValueInvalid',
      message: `Invalid value: ${JSON.stringify(type ?? '')}: must be object at the root`,
    });
  else if (type === undefined && schema[PRESERVE] !== true && schema[INT_OR_STRING] !== true)
    errors.push(requiredValue(`${field}.type`, 'must not be empty for specified object fields'));
  else if (type !== undefined && !TYPES.includes(type as string))
    errors.push(unsupportedValue(`${field}.type`, type, TYPES));
  if (type === 'array' && !isObject(schema.items))
    errors.push(requiredValue(`${field}.items`, 'must be specified'));
  for (const [name, inner] of Object.entries(record(schema, 'properties')))
    if (isObject(inner)) errors.push(...schemaProblems(inner, `${field}.properties[${name}]`, depth + 1));
  if (isObject(schema.items)) errors.push(...schemaProblems(schema.items, `${field}.items`, depth + 1));
  if (isObject(schema.additionalProperties)) {
    if (Object.keys(record(schema, 'properties')).length)
      errors.push(
        forbiddenValue(
          `${field}.additionalProperties`,
          'additionalProperties and properties are mutual exclusive',
        ),
      );
    errors.push(...schemaProblems(schema.additionalProperties, `${field}.additionalProperties`, depth + 1));
  }
  return errors;
}

/** Takes away what the schema does not know; the paths taken are added to `unknown`. Changes the value. */
export function prune(schema: JsonObject, value: unknown, path: string, unknown: string[]): void {
  if (Array.isArray(value)) {
    const items = schema.items;
    if (isObject(items))
      value.forEach((item, index) => void prune(items, item, `${path}[${index}]`, unknown));
    return;
  }
  if (!isObject(value)) return;
  const properties = record(schema, 'properties');
  const others = schema.additionalProperties;
  const keeps = schema[PRESERVE] === true || others === true;
  for (const key of Object.keys(value)) {
    const inner = path ? `${path}.${key}` : key;
    const known = own(properties, key);
    if (isReserved(schema, path, key)) continue;
    if (isObject(known)) prune(known, value[key], inner, unknown);
    else if (isObject(others)) prune(others, value[key], inner, unknown);
    else if (!keeps) {
      unknown.push(inner);
      delete value[key];
    }
  }
}

function isReserved(schema: JsonObject, path: string, key: string): boolean {
  if (path !== '' && schema[EMBEDDED] !== true) return false;
  return key === 'apiVersion' || key === 'kind' || key === 'metadata';
}

/** Fills in the defaults of absent fields. Changes the value. */
export function fillDefaults(schema: JsonObject, value: unknown): void {
  if (Array.isArray(value)) {
    if (isObject(schema.items)) for (const item of value) fillDefaults(schema.items, item);
    return;
  }
  if (!isObject(value)) return;
  for (const [key, inner] of Object.entries(record(schema, 'properties'))) {
    if (!isObject(inner)) continue;
    const found = own(value, key);
    const absent = found === undefined || (found === null && inner.nullable !== true);
    if (absent && inner.default !== undefined) put(value, key, clone(inner.default));
    fillDefaults(inner, own(value, key));
  }
  if (isObject(schema.additionalProperties))
    for (const [key, item] of Object.entries(value))
      if (!Object.hasOwn(record(schema, 'properties'), key)) fillDefaults(schema.additionalProperties, item);
}

/** Takes away nulls where the schema does not allow them, as decoding does. Changes the value. */
export function dropNulls(schema: JsonObject, value: unknown): void {
  if (Array.isArray(value)) {
    if (isObject(schema.items)) for (const item of value) dropNulls(schema.items, item);
    return;
  }
  if (!isObject(value)) return;
  for (const [key, inner] of Object.entries(record(schema, 'properties'))) {
    if (!isObject(inner)) continue;
    if (own(value, key) === null && inner.nullable !== true && inner.default !== undefined) delete value[key];
    else dropNulls(inner, own(value, key));
  }
}

/** The schema in the form that ownership of fields is computed by. */
export function mergeSchema(schema: JsonObject, root = true): Schema {
  if (schema[INT_OR_STRING] === true) return { type: 'intOrString' };
  const properties = record(schema, 'properties');
  switch (schema.type) {
    case 'array': {
      if (!isObject(schema.items)) return ANY;
      const of = mergeSchema(schema.items, false);
      const kind = schema['x-kubernetes-list-type'];
      const keys = strings(schema, 'x-kubernetes-list-map-keys');
      if (kind === 'map' && keys.length)
        return { type: 'list', of, relation: 'keyed', keys, keyDefaults: defaultsOf(schema.items, keys) };
      return { type: 'list', of, relation: kind === 'set' ? 'set' : 'atomic', keys: [] };
    }
    case 'object': {
      const atomic = schema['x-kubernetes-map-type'] === 'atomic';
      if (isObject(schema.additionalProperties))
        return { type: 'map', of: mergeSchema(schema.additionalProperties, false), atomic };
      const fields = new Map<string, Field>();
      for (const [name, inner] of Object.entries(properties))
        if (isObject(inner)) fields.set(name, field(name, mergeSchema(inner, false)));
      if (root || schema[EMBEDDED] === true) {
        fields.set('metadata', field('metadata', typeNamed('ObjectMeta')));
        fields.set('apiVersion', field('apiVersion', { type: 'string' }));
        fields.set('kind', field('kind', { type: 'string' }));
      }
      const others = schema[PRESERVE] === true ? { others: ANY } : {};
      return { type: 'struct', name: '', fields, atomic, ...others };
    }
    case 'string':
    case 'integer':
    case 'number':
    case 'boolean':
      return { type: schema.type };
    default:
      return ANY;
  }
}

function defaultsOf(items: JsonObject, keys: readonly string[]): ReadonlyMap<string, unknown> {
  return new Map(keys.map(key => [key, record(items, 'properties', key).default]));
}

function field(name: string, schema: Schema): Field {
  return { name, schema, number: 0, via: [], keepsZero: true };
}
