/** JSON patch (RFC 6902). */
import { clone, equal, isObject, put } from '../object.ts';
import { badRequest, StatusError } from '../status.ts';

const MOST_OPERATIONS = 10_000;

interface Operation {
  readonly op: string;
  readonly path: string[];
  readonly from: string[];
  readonly value: unknown;
}

/** The document with the operations done, in order; a failing one fails the whole patch. */
export function jsonPatch(document: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch)) throw badRequest('error decoding patch: a JSON patch is an array of operations');
  if (patch.length > MOST_OPERATIONS)
    throw new StatusError(
      413,
      'RequestEntityTooLarge',
      `The allowed maximum operations in a JSON patch is ${MOST_OPERATIONS}, got ${patch.length}`,
    );
  let out = clone(document);
  for (const operation of patch.map(read)) out = apply(out, operation);
  return out;
}

function read(given: unknown): Operation {
  if (!isObject(given) || typeof given.op !== 'string' || typeof given.path !== 'string')
    throw badRequest('error decoding patch: every operation needs an op and a path');
  return {
    op: given.op,
    path: pointer(given.path),
    from: typeof given.from === 'string' ? pointer(given.from) : [],
    value: given.value,
  };
}

function pointer(path: string): string[] {
  if (path === '') return [];
  if (!path.startsWith('/'))
    throw badRequest(`error decoding patch: the path ${JSON.stringify(path)} has to begin with /`);
  return path
    .slice(1)
    .split('/')
    .map(part => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function apply(document: unknown, { op, path, from, value }: Operation): unknown {
  switch (op) {
    case 'add':
      return add(document, path, clone(value ?? null));
    case 'remove':
      return removeAt(document, path);
    case 'replace':
      if (path.length === 0) return clone(value ?? null);
      resolve(document, path, op);
      return replace(document, path, clone(value ?? null));
    case 'move': {
      const moved = resolve(document, from, op);
      return add(removeAt(document, from), path, moved);
    }
    case 'copy':
      return add(document, path, clone(resolve(document, from, op)));
    case 'test':
      if (!equal(resolve(document, path, op), value ?? null))
        throw unprocessable(`testing value /${path.join('/')} failed: test failed`);
      return document;
    default:
      throw badRequest(`error decoding patch: unexpected kind: ${op}`);
  }
}

function unprocessable(why: string): StatusError {
  return new StatusError(
    422,
    'Invalid',
    `the server rejected our request due to an error in our request: ${why}`,
    {},
  );
}

function missing(op: string, path: readonly string[]): StatusError {
  return unprocessable(
    `${op} operation does not apply: doc is missing path: /${path.join('/')}: missing value`,
  );
}

function resolve(document: unknown, path: readonly string[], op: string): unknown {
  let here = document;
  for (const key of path) {
    if (Array.isArray(here) && /^\d+$/.test(key) && Number(key) < here.length) here = here[Number(key)];
    else if (isObject(here) && Object.hasOwn(here, key)) here = here[key];
    else throw missing(op, path);
  }
  return here;
}

function add(document: unknown, path: readonly string[], value: unknown): unknown {
  if (path.length === 0) return value;
  const parent = resolve(document, path.slice(0, -1), 'add');
  const key = path.at(-1) as string;
  if (Array.isArray(parent)) {
    const index = key === '-' ? parent.length : /^\d+$/.test(key) ? Number(key) : -1;
    if (index < 0 || index > parent.length) throw missing('add', path);
    parent.splice(index, 0, value);
  } else if (isObject(parent)) put(parent, key, value);
  else throw missing('add', path);
  return document;
}

function replace(document: unknown, path: readonly string[], value: unknown): unknown {
  const parent = resolve(document, path.slice(0, -1), 'replace');
  const key = path.at(-1) as string;
  if (Array.isArray(parent)) parent[Number(key)] = value;
  else if (isObject(parent)) put(parent, key, value);
  return document;
}

function removeAt(document: unknown, path: readonly string[]): unknown {
  if (path.length === 0) return null;
  resolve(document, path, 'remove');
  const parent = resolve(document, path.slice(0, -1), 'remove');
  const key = path.at(-1) as string;
  if (Array.isArray(parent)) parent.splice(Number(key), 1);
  else if (isObject(parent)) delete parent[key];
  return document;
}
