/** Reads JSON as a built-in type: takes away unknown fields and nulls, and refuses values of the wrong type. */
import { isObject, type JsonObject, type KubeObject, put } from './object.ts';
import { type Scalar, type Schema, typeNamed } from './schema/schema.ts';
import { badRequest } from './status.ts';

const GO: Record<Scalar, string> = {
  string: 'string',
  integer: 'int32',
  number: 'float64',
  boolean: 'bool',
  bytes: '[]uint8',
  quantity: 'resource.Quantity',
  intOrString: 'intstr.IntOrString',
  time: 'v1.Time',
  microTime: 'v1.MicroTime',
  any: 'interface {}',
};

class WrongType extends Error {}

/** The object with known fields alone; the paths of unknown ones are added to `unknown`. */
export function decode(schema: Schema, object: KubeObject, unknown: string[]): KubeObject {
  try {
    const known = decodeValue(schema, object, '', unknown) as Omit<KubeObject, 'kind' | 'apiVersion'>;
    return { kind: object.kind, apiVersion: object.apiVersion, ...known } as KubeObject;
  } catch (error) {
    if (!(error instanceof WrongType)) throw error;
    const version = object.apiVersion.split('/').pop();
    throw badRequest(
      `${object.kind} in version "${version}" cannot be handled as a ${object.kind}: ${error.message}`,
    );
  }
}

/** The object with metadata of the known fields alone; the rest is a custom resource's own matter. */
export function decodeMetadata(object: KubeObject, unknown: string[]): KubeObject {
  return { ...object, ...decode(METADATA, { ...pick(object), metadata: object.metadata }, unknown) };
}

const METADATA: Schema = {
  type: 'struct',
  name: 'TypeMeta',
  atomic: false,
  fields: new Map([
    ['metadata', { name: 'metadata', schema: typeNamed('ObjectMeta'), number: 0, via: [], keepsZero: true }],
  ]),
};

const pick = ({ apiVersion, kind }: KubeObject) => ({ apiVersion, kind });

function decodeValue(schema: Schema, value: unknown, path: string, unknown: string[]): unknown {
  switch (schema.type) {
    case 'struct': {
      if (!isObject(value)) throw mismatch(value, path, schema.name);
      const out: JsonObject = {};
      for (const [key, item] of Object.entries(value)) {
        const field = schema.fields.get(key);
        const inner = path ? `${path}.${key}` : key;
        if (!field) {
          if (path || (key !== 'kind' && key !== 'apiVersion')) unknown.push(inner);
        } else if (item !== null) {
          const known = decodeValue(field.schema, item, inner, unknown);
          if (field.keepsZero || !isZero(field.schema, known)) out[key] = known;
        }
      }
      return out;
    }
    case 'map': {
      if (!isObject(value)) throw mismatch(value, path, 'map');
      const out: JsonObject = {};
      for (const [key, item] of Object.entries(value))
        put(
          out,
          key,
          item === null ? empty(schema.of) : decodeValue(schema.of, item, `${path}.${key}`, unknown),
        );
      return out;
    }
    case 'list': {
      if (!Array.isArray(value)) throw mismatch(value, path, '[]');
      return value.map((item, index) =>
        item === null ? empty(schema.of) : decodeValue(schema.of, item, `${path}[${index}]`, unknown),
      );
    }
    default:
      return scalar(schema.type, value, path);
  }
}

/** Whether encoding leaves the value out, as an unset one. */
function isZero(schema: Schema, value: unknown): boolean {
  switch (schema.type) {
    case 'string':
    case 'bytes':
      return value === '';
    case 'integer':
    case 'number':
      return value === 0;
    case 'boolean':
      return value === false;
    case 'list':
      return (value as unknown[]).length === 0;
    case 'map':
      return Object.keys(value as JsonObject).length === 0;
    default:
      return false;
  }
}

function empty(schema: Schema): unknown {
  if (schema.type === 'struct' || schema.type === 'map') return {};
  if (schema.type === 'list') return [];
  if (schema.type === 'integer' || schema.type === 'number') return 0;
  if (schema.type === 'boolean') return false;
  return schema.type === 'quantity' ? '0' : '';
}

function scalar(type: Scalar, value: unknown, path: string): unknown {
  switch (type) {
    case 'any':
      return value;
    case 'string':
      if (typeof value !== 'string') throw mismatch(value, path, GO[type]);
      return value;
    case 'boolean':
      if (typeof value !== 'boolean') throw mismatch(value, path, GO[type]);
      return value;
    case 'integer':
      if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw mismatch(value, path, GO[type]);
      return value;
    case 'number':
      if (typeof value !== 'number') throw mismatch(value, path, GO[type]);
      return value;
    case 'intOrString':
      if (typeof value !== 'string' && !Number.isInteger(value)) throw mismatch(value, path, GO[type]);
      return value;
    case 'bytes':
      return base64(value, path);
    case 'quantity':
      if (typeof value === 'number') return String(value);
      if (typeof value !== 'string') throw mismatch(value, path, GO[type]);
      if (!/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+|[KMGTPE]i|[numkMGTPE])?$/.test(value))
        throw new WrongType(
          "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        );
      return value;
    case 'time':
      return time(value, path).replace(/\.\d+Z$/, 'Z');
    case 'microTime':
      return time(value, path);
  }
}

function base64(value: unknown, path: string): string {
  if (typeof value !== 'string') throw mismatch(value, path, GO.bytes);
  const plain = value.replace(/[\r\n]/g, '');
  const wrong = plain.search(/[^A-Za-z0-9+/=]/);
  if (wrong >= 0) throw new WrongType(`illegal base64 data at input byte ${wrong}`);
  if (plain.length % 4 || !/^[A-Za-z0-9+/]*={0,2}$/.test(plain))
    throw new WrongType(
      `illegal base64 data at input byte ${Math.max(0, plain.replace(/=+$/, '').length - 1)}`,
    );
  return plain;
}

const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

function time(value: unknown, path: string): string {
  if (typeof value !== 'string') throw mismatch(value, path, GO.time);
  const date = RFC3339.test(value) ? new Date(value) : undefined;
  if (!date || Number.isNaN(date.getTime()))
    throw new WrongType(
      `parsing time ${JSON.stringify(value)} as "2006-01-02T15:04:05Z07:00": cannot parse ${JSON.stringify(value)}`,
    );
  if (value.endsWith('Z')) return value;
  return date.toISOString();
}

function mismatch(value: unknown, path: string, wanted: string): WrongType {
  const found = Array.isArray(value)
    ? 'array'
    : value === null
      ? 'null'
      : typeof value === 'boolean'
        ? 'bool'
        : typeof value;
  const shown = typeof value === 'number' ? `number ${value}` : found;
  return new WrongType(
    `json: cannot unmarshal ${typeof value === 'number' && wanted === 'int32' ? shown : found} into Go struct field .${path} of type ${wanted}`,
  );
}
