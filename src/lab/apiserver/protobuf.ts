/** Protobuf bodies, as `kubectl create` sends them: read by the field numbers of the schema. */
import { isObject, type JsonObject, put } from './object.ts';
import { type Field, type Schema, type StructSchema, typeNamed } from './schema/schema.ts';
import { badRequest } from './status.ts';

export const PROTOBUF = 'application/vnd.kubernetes.protobuf';

const MAGIC = Buffer.from('k8s\0');
const DEEPEST = 64;

/** Kinds whose type in the schema is not named like the kind. */
const NAMED: Record<string, string> = {
  'events.k8s.io/v1/Event': 'events.Event',
  'v1/DeleteOptions': 'DeleteOptions',
};

/** The JSON form of a body `k8s\0` + runtime.Unknown; 400 for one that cannot be read. */
export function decodeProtobuf(body: Buffer): JsonObject {
  if (!body.subarray(0, 4).equals(MAGIC))
    throw badRequest('provided data does not appear to be a protobuf message');
  try {
    return unknownMessage(body.subarray(4));
  } catch (error) {
    if (error instanceof Malformed) throw badRequest(`cannot read the protobuf body: ${error.message}`);
    throw error;
  }
}

class Malformed extends Error {}

function unknownMessage(bytes: Buffer): JsonObject {
  let apiVersion = '';
  let kind = '';
  let raw = bytes.subarray(0, 0);
  for (const [number, value] of fields(bytes)) {
    if (number === 1) {
      for (const [inner, text] of fields(chunk(value))) {
        if (inner === 1) apiVersion = chunk(text).toString();
        if (inner === 2) kind = chunk(text).toString();
      }
    } else if (number === 2) raw = chunk(value);
  }
  const type = NAMED[`${apiVersion}/${kind}`] ?? kind;
  let schema: StructSchema;
  try {
    schema = typeNamed(type);
  } catch {
    throw new Malformed(`no kind "${kind}" is registered for version "${apiVersion}" in protobuf: send JSON`);
  }
  return { kind, apiVersion, ...message(schema, raw, 0) };
}

/** The fields of a message: number and value (a number for varints, bytes for the rest). */
function* fields(bytes: Buffer): Generator<[number, number | bigint | Buffer]> {
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) throw new Malformed('it ends in the middle of a number');
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw new Malformed('a number is too long');
  };
  const take = (size: number): Buffer => {
    if (size > bytes.length - at) throw new Malformed('it ends in the middle of a field');
    at += size;
    return bytes.subarray(at - size, at);
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const number = Math.floor(tag / 8);
    switch (tag % 8) {
      case 0:
        yield [number, varint()];
        break;
      case 1:
        yield [number, take(8)];
        break;
      case 2:
        yield [number, take(Number(varint()))];
        break;
      case 5:
        yield [number, take(4)];
        break;
      default:
        throw new Malformed(`wire type ${tag % 8} is not used`);
    }
  }
}

function chunk(value: number | bigint | Buffer): Buffer {
  if (!Buffer.isBuffer(value)) throw new Malformed('a field has the wrong wire type');
  return value;
}

const byNumber = new WeakMap<StructSchema, Map<string, Field>>();

function numbered(schema: StructSchema): Map<string, Field> {
  let index = byNumber.get(schema);
  if (!index) {
    index = new Map(
      [...schema.fields.values()].map(field => [[...field.via, field.number].join('.'), field]),
    );
    byNumber.set(schema, index);
  }
  return index;
}

function message(
  schema: StructSchema,
  bytes: Buffer,
  depth: number,
  via = '',
  into: JsonObject = {},
): JsonObject {
  if (depth > DEEPEST) throw new Malformed('it is nested too deeply');
  const index = numbered(schema);
  for (const [number, value] of fields(bytes)) {
    const path = via + number;
    const field = index.get(path);
    if (field) add(into, field, value, depth);
    else if ([...index.keys()].some(key => key.startsWith(`${path}.`)))
      message(schema, chunk(value), depth + 1, `${path}.`, into);
  }
  return into;
}

function add(
  into: JsonObject,
  { name, schema }: Field,
  value: number | bigint | Buffer,
  depth: number,
): void {
  if (schema.type === 'list') {
    const items = Array.isArray(into[name]) ? into[name] : [];
    into[name] = items;
    items.push(read(schema.of, value, depth));
  } else if (schema.type === 'map') {
    const entries = isObject(into[name]) ? into[name] : {};
    into[name] = entries;
    let key = '';
    let item: unknown = blank(schema.of);
    for (const [number, inner] of fields(chunk(value))) {
      if (number === 1) key = chunk(inner).toString();
      else if (number === 2) item = read(schema.of, inner, depth);
    }
    put(entries, key, item);
  } else {
    const found = read(schema, value, depth);
    // An empty time is a message without fields: nothing was set.
    if (found !== undefined) into[name] = found;
  }
}

function blank(schema: Schema): unknown {
  return schema.type === 'struct' || schema.type === 'map' ? {} : schema.type === 'list' ? [] : '';
}

function read(schema: Schema, value: number | bigint | Buffer, depth: number): unknown {
  switch (schema.type) {
    case 'struct':
      return message(schema, chunk(value), depth + 1);
    case 'list':
      return [...fields(chunk(value))].map(([, item]) => read(schema.of, item, depth + 1));
    case 'string':
      return chunk(value).toString();
    case 'bytes':
      return chunk(value).toString('base64');
    case 'integer':
      return Number(BigInt.asIntN(64, value as bigint));
    case 'boolean':
      return value !== 0n;
    case 'number':
      return chunk(value).readDoubleLE();
    case 'quantity':
      return textField(chunk(value), 1);
    case 'intOrString':
      return intOrString(chunk(value));
    case 'time':
    case 'microTime':
      return time(chunk(value), schema.type === 'microTime');
    case 'any':
      return free(chunk(value));
    case 'map':
      throw new Malformed('a map cannot stand here');
  }
}

function textField(bytes: Buffer, wanted: number): string {
  for (const [number, value] of fields(bytes)) if (number === wanted) return chunk(value).toString();
  return '';
}

function intOrString(bytes: Buffer): number | string {
  let type = 0;
  let whole = 0;
  let words = '';
  for (const [number, value] of fields(bytes)) {
    if (number === 1) type = Number(value);
    else if (number === 2) whole = Number(BigInt.asIntN(32, value as bigint));
    else if (number === 3) words = chunk(value).toString();
  }
  return type === 1 ? words : whole;
}

function time(bytes: Buffer, micro: boolean): string | undefined {
  let seconds = 0n;
  let nanos = 0n;
  let set = false;
  for (const [number, value] of fields(bytes)) {
    set = true;
    if (number === 1) seconds = BigInt.asIntN(64, value as bigint);
    else if (number === 2) nanos = value as bigint;
  }
  if (!set) return undefined;
  const date = new Date(Number(seconds) * 1000);
  if (Number.isNaN(date.getTime())) throw new Malformed('a time is out of range');
  const text = date.toISOString().slice(0, 19);
  return micro ? `${text}.${String(nanos / 1000n).padStart(6, '0')}Z` : `${text}Z`;
}

/** RawExtension, FieldsV1 and JSON: the JSON text in field 1. */
function free(bytes: Buffer): unknown {
  const text = textField(bytes, 1);
  if (text === '') return {};
  try {
    return JSON.parse(text);
  } catch {
    throw new Malformed('embedded JSON cannot be parsed');
  }
}
