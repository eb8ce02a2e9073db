/**
 * What the API server knows of a type: its fields, how lists and maps of it merge, and its protobuf numbers.
 *
 * Built-in types are written in a line notation, `Type field@number:kind…`, a leading `  ` continuing a line:
 * kinds are s string, i integer, f number, b boolean, y bytes, q quantity, x int-or-string, t time, u micro-time,
 * `*` free JSON, or the name of a type; then `[]` atomic list, `[=]` set, `[a b]` list keyed by a and b, `{}` map,
 * `{!}` atomic map, `{[]}` map of lists; then, for strategic merge patches, `~key` merge by key (`~` alone: as a
 * set of primitives) and `^` retain keys. A `&` before the kind: a zero value is told, where others leave it out. `...Type@number` is inlined. A `!` after a type's name makes it atomic.
 */
import { access } from './access.ts';
import { apps } from './apps.ts';
import { core } from './core.ts';
import { meta } from './meta.ts';
import { network } from './network.ts';
import { other } from './other.ts';

export type Scalar =
  | 'string'
  | 'integer'
  | 'number'
  | 'boolean'
  | 'bytes'
  | 'quantity'
  | 'intOrString'
  | 'time'
  | 'microTime'
  | 'any';

export type Schema =
  | { readonly type: Scalar }
  | StructSchema
  | { readonly type: 'map'; readonly of: Schema; readonly atomic: boolean }
  | ListSchema;

export interface StructSchema {
  readonly type: 'struct';
  readonly name: string;
  readonly fields: ReadonlyMap<string, Field>;
  readonly atomic: boolean;
  /** What fields not named are, where they are allowed (custom resources that keep unknown fields). */
  readonly others?: Schema;
}

export interface ListSchema {
  readonly type: 'list';
  readonly of: Schema;
  readonly relation: 'atomic' | 'set' | 'keyed';
  readonly keys: readonly string[];
  /** Values that keys have when an item does not tell. */
  readonly keyDefaults?: ReadonlyMap<string, unknown>;
}

export interface Field {
  readonly name: string;
  readonly schema: Schema;
  readonly number: number;
  /** The message that holds this field on the protobuf wire, when it is inlined in JSON. */
  readonly via: readonly number[];
  /** Whether a zero value (0, false, '', [] or {}) is kept rather than left out. */
  readonly keepsZero: boolean;
  readonly patch?: Patch;
}

/** How a strategic merge patch treats the field. */
export interface Patch {
  readonly merge: boolean;
  readonly key?: string;
  readonly retainKeys: boolean;
}

export const ANY: Schema = { type: 'any' };

const SCALARS: Record<string, Scalar> = {
  s: 'string',
  i: 'integer',
  f: 'number',
  b: 'boolean',
  y: 'bytes',
  q: 'quantity',
  x: 'intOrString',
  t: 'time',
  u: 'microTime',
  '*': 'any',
};

let lines: Map<string, string> | undefined;
const types = new Map<string, StructSchema>();

/** The built-in type of this name (`Pod`, `events.Event`); throws for one that is not there. */
export function typeNamed(name: string): StructSchema {
  const known = types.get(name);
  if (known) return known;
  lines ??= readLines();
  const line = lines.get(name);
  if (line === undefined) throw new Error(`no type ${name} in the schema`);
  const fields = new Map<string, Field>();
  const atomic = line.startsWith('!');
  const made: StructSchema = { type: 'struct', name, fields, atomic };
  types.set(name, made);
  for (const word of line.slice(atomic ? 1 : 0).match(/\S+?(\[[^\]]*\]\S*)?(?=\s|$)/g) ?? [])
    addField(fields, word);
  return made;
}

function readLines(): Map<string, string> {
  const found = new Map<string, string>();
  for (const part of [meta, core, apps, access, network, other]) {
    for (const line of part.replaceAll('\n  ', ' ').split('\n')) {
      const split = /^([\w.]+)(!?) (.*)$/.exec(line);
      if (split) found.set(split[1] as string, `${split[2]}${split[3]}`);
    }
  }
  return found;
}

function addField(fields: Map<string, Field>, word: string): void {
  const inlined = /^\.\.\.([\w.]+)@(\d+)$/.exec(word);
  if (inlined) {
    const inner = typeNamed(inlined[1] as string);
    for (const field of inner.fields.values())
      fields.set(field.name, { ...field, via: [Number(inlined[2]), ...field.via] });
    return;
  }
  const parts = /^(\S+?)@(\d+):(&?)([\w.*]+)(\[[^\]]*\]|\{[^}]*\})?(!?)(?:(~)([\w.]*))?(\^?)$/.exec(word);
  if (!parts) throw new Error(`cannot read the schema word ${word}`);
  const [, name, number, zero, base, shape, , merge, key, retain] = parts as unknown as string[];
  const of: Schema = SCALARS[base as string]
    ? { type: SCALARS[base as string] as Scalar }
    : typeNamed(base as string);
  const patch =
    merge || retain
      ? { merge: merge === '~', retainKeys: retain === '^', ...(key ? { key } : {}) }
      : undefined;
  fields.set(name as string, {
    name: name as string,
    schema: shaped(of, shape),
    number: Number(number),
    via: [],
    keepsZero: zero === '&',
    ...(patch ? { patch } : {}),
  });
}

function shaped(of: Schema, shape: string | undefined): Schema {
  if (!shape) return of;
  if (shape === '{[]}')
    return { type: 'map', atomic: false, of: { type: 'list', of, relation: 'atomic', keys: [] } };
  if (shape.startsWith('{')) return { type: 'map', of, atomic: shape === '{!}' };
  if (shape === '[]') return { type: 'list', of, relation: 'atomic', keys: [] };
  if (shape === '[=]') return { type: 'list', of, relation: 'set', keys: [] };
  const keys = shape.slice(1, -1).split(' ');
  return { type: 'list', of, relation: 'keyed', keys, ...(keys.includes('protocol') ? { keyDefaults } : {}) };
}

const keyDefaults: ReadonlyMap<string, unknown> = new Map([['protocol', 'TCP']]);
