/** Values of custom resources against their schema, with the words of the API server. */
import { isIP, isIPv4, isIPv6 } from 'node:net';
import { equal, isObject, type JsonObject, list, own, record, strings } from '../object.ts';
import { duplicateValue, type FieldError, invalidValue, requiredValue, unsupportedValue } from '../status.ts';

/** What is wrong with a value; at most a hundred errors. */
export function schemaErrors(schema: JsonObject, value: unknown, path: string): FieldError[] {
  const errors: FieldError[] = [];
  check(schema, value, path, errors);
  return errors.slice(0, 100);
}

function check(schema: JsonObject, value: unknown, path: string, errors: FieldError[]): void {
  if (value === null && schema.nullable === true) return;
  const type = typeProblem(schema, value, path);
  if (type) {
    errors.push(type);
    return;
  }
  const allowed = list(schema, 'enum');
  if (allowed.length && !allowed.some(item => equal(item, value)))
    errors.push(unsupportedValue(path, value, allowed.map(String)));
  if (typeof value === 'string') checkString(schema, value, path, errors);
  else if (typeof value === 'number') checkNumber(schema, value, path, errors);
  else if (Array.isArray(value)) checkArray(schema, value, path, errors);
  else if (isObject(value)) checkObject(schema, value, path, errors);
  checkCombined(schema, value, path, errors);
}

function typeProblem(schema: JsonObject, value: unknown, path: string): FieldError | undefined {
  const found = Array.isArray(value) ? 'array' : value === null ? 'null' : typeof value;
  if (schema['x-kubernetes-int-or-string'] === true) {
    if (typeof value === 'string' || Number.isInteger(value)) return undefined;
    return invalidValue(path, found, `${path} in body must be of type integer,string: "${found}"`);
  }
  const wanted = schema.type;
  if (wanted === undefined) return undefined;
  const fits =
    wanted === 'integer'
      ? Number.isInteger(value)
      : wanted === 'number'
        ? found === 'number'
        : found === wanted;
  if (fits) return undefined;
  const shown = found === 'number' && Number.isInteger(value) ? 'integer' : found;
  return invalidValue(path || '<nil>', shown, `${path} in body must be of type ${wanted}: "${shown}"`);
}

function checkString(schema: JsonObject, value: string, path: string, errors: FieldError[]): void {
  const { minLength, maxLength, pattern, format } = schema;
  const length = [...value].length;
  if (typeof maxLength === 'number' && length > maxLength)
    errors.push({
      field: path,
      reason: 'FieldValueTooLong',
      message: `Too long: may not be more than ${maxLength} bytes`,
    });
  if (typeof minLength === 'number' && length < minLength)
    errors.push(invalidValue(path, value, `${path} in body should be at least ${minLength} chars long`));
  if (typeof pattern === 'string' && !expression(pattern)?.test(value))
    errors.push(invalidValue(path, value, `${path} in body should match '${pattern}'`));
  if (typeof format === 'string' && Object.hasOwn(FORMATS, format) && !FORMATS[format]?.(value))
    errors.push(
      invalidValue(path, value, `${path} in body must be of type ${format}: ${JSON.stringify(value)}`),
    );
}

const expressions = new Map<string, RegExp | undefined>();

function expression(pattern: string): RegExp {
  let made = expressions.get(pattern);
  if (!made) {
    try {
      made = new RegExp(pattern, 'u');
    } catch {
      made = /^/; // a pattern of Go's that JavaScript lacks checks nothing
    }
    expressions.set(pattern, made);
  }
  return made;
}

const cidr = (value: string, version: 4 | 6 | 0) => {
  const [address = '', length = '', ...rest] = value.split('/');
  const found = isIP(address);
  if (rest.length || !found || (version && found !== version)) return false;
  return /^\d{1,3}$/.test(length) && Number(length) <= (found === 4 ? 32 : 128);
};

const FORMATS: Record<string, (value: string) => boolean> = {
  'date-time': value => /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d/.test(value) && !Number.isNaN(Date.parse(value)),
  date: value => /^\d{4}-\d\d-\d\d$/.test(value) && !Number.isNaN(Date.parse(value)),
  ipv4: isIPv4,
  ipv6: isIPv6,
  cidr: value => cidr(value, 0),
  byte: value => /^[A-Za-z0-9+/]*={0,2}$/.test(value) && value.length % 4 === 0,
  uuid: value => /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i.test(value),
  mac: value => /^([0-9a-f]{2}[:-]){5}[0-9a-f]{2}$/i.test(value),
  duration: value => /^-?(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$|^0$/.test(value),
};

function checkNumber(schema: JsonObject, value: number, path: string, errors: FieldError[]): void {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = schema;
  if (typeof minimum === 'number' && (exclusiveMinimum === true ? value <= minimum : value < minimum))
    errors.push(
      invalidValue(
        path,
        value,
        `${path} in body should be greater than ${exclusiveMinimum === true ? '' : 'or equal to '}${minimum}`,
      ),
    );
  if (typeof maximum === 'number' && (exclusiveMaximum === true ? value >= maximum : value > maximum))
    errors.push(
      invalidValue(
        path,
        value,
        `${path} in body should be less than ${exclusiveMaximum === true ? '' : 'or equal to '}${maximum}`,
      ),
    );
  if (typeof multipleOf === 'number' && !Number.isInteger(value / multipleOf))
    errors.push(invalidValue(path, value, `${path} in body should be a multiple of ${multipleOf}`));
}

function checkArray(schema: JsonObject, value: unknown[], path: string, errors: FieldError[]): void {
  const { minItems, maxItems, items } = schema;
  if (typeof minItems === 'number' && value.length < minItems)
    errors.push(invalidValue(path, value.length, `${path} in body should have at least ${minItems} items`));
  if (typeof maxItems === 'number' && value.length > maxItems)
    errors.push({
      field: path,
      reason: 'FieldValueTooMany',
      message: `Too many: ${value.length}: must have at most ${maxItems} items`,
    });
  const kind = schema['x-kubernetes-list-type'];
  const keys = strings(schema, 'x-kubernetes-list-map-keys');
  const identity = (item: unknown) =>
    kind === 'map' && isObject(item)
      ? JSON.stringify(Object.fromEntries(keys.map(key => [key, item[key]])))
      : kind === 'set'
        ? JSON.stringify(item)
        : undefined;
  const seen = new Set<string>();
  value.forEach((item, index) => {
    const id = identity(item);
    if (id !== undefined && seen.has(id)) errors.push(duplicateValue(`${path}[${index}]`, JSON.parse(id)));
    if (id !== undefined) seen.add(id);
    if (isObject(items)) check(items, item, `${path}[${index}]`, errors);
  });
}

function checkObject(schema: JsonObject, value: JsonObject, path: string, errors: FieldError[]): void {
  const dot = path ? `${path}.` : '';
  const size = Object.keys(value).length;
  const { minProperties, maxProperties, additionalProperties } = schema;
  if (typeof minProperties === 'number' && size < minProperties)
    errors.push(invalidValue(path, size, `${path} in body should have at least ${minProperties} properties`));
  if (typeof maxProperties === 'number' && size > maxProperties)
    errors.push({
      field: path,
      reason: 'FieldValueTooMany',
      message: `Too many: ${size}: must have at most ${maxProperties} items`,
    });
  for (const name of strings(schema, 'required'))
    if (own(value, name) === undefined) errors.push(requiredValue(`${dot}${name}`));
  const properties = record(schema, 'properties');
  for (const [key, item] of Object.entries(value)) {
    if (path === '' && (key === 'metadata' || key === 'kind' || key === 'apiVersion')) continue;
    const known = own(properties, key);
    if (isObject(known)) check(known, item, `${dot}${key}`, errors);
    else if (isObject(additionalProperties)) check(additionalProperties, item, `${dot}${key}`, errors);
  }
}

function checkCombined(schema: JsonObject, value: unknown, path: string, errors: FieldError[]): void {
  const failing = (inner: unknown) => (isObject(inner) ? schemaErrors(inner, value, path) : []);
  for (const inner of list(schema, 'allOf')) errors.push(...failing(inner));
  const any = list(schema, 'anyOf');
  if (any.length && any.every(inner => failing(inner).length))
    errors.push(
      invalidValue(path, '', `${path} in body must validate at least one schema (anyOf)`),
      ...failing(any[0]),
    );
  const one = list(schema, 'oneOf');
  if (one.length && one.filter(inner => !failing(inner).length).length !== 1)
    errors.push(invalidValue(path, '', `${path} in body must validate one and only one schema (oneOf)`));
  if (isObject(schema.not) && !failing(schema.not).length)
    errors.push(invalidValue(path, '', `${path} in body must not validate the schema (not)`));
}
