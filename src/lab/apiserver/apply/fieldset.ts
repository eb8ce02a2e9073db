/**
 * Sets of fields, in the form of FieldsV1: `f:name` a field, `k:{…}` an item of a keyed list, `v:…` an item of a set,
 * `.` the node itself where it has children.
 */
import { isObject, type JsonObject, put } from '../object.ts';

export class FieldSet {
  /** Whether the node itself is in the set. */
  member = false;
  readonly children = new Map<string, FieldSet>();

  get empty(): boolean {
    return !this.member && [...this.children.values()].every(child => child.empty);
  }

  /** The node below this path element, made where it is absent. */
  child(element: string): FieldSet {
    let found = this.children.get(element);
    if (!found) {
      found = new FieldSet();
      this.children.set(element, found);
    }
    return found;
  }

  insert(path: readonly string[]): void {
    let here: FieldSet = this;
    for (const element of path) here = here.child(element);
    here.member = true;
  }

  has(path: readonly string[]): boolean {
    let here: FieldSet | undefined = this;
    for (const element of path) here = here?.children.get(element);
    return here?.member === true;
  }

  union(other: FieldSet): FieldSet {
    return combine(this, other, (a, b) => a || b);
  }

  intersection(other: FieldSet): FieldSet {
    return combine(this, other, (a, b) => a && b);
  }

  /** The nodes of this set that are not in the other; nodes below one another are taken each for itself. */
  difference(other: FieldSet): FieldSet {
    return combine(this, other, (a, b) => a && !b);
  }

  equals(other: FieldSet): boolean {
    return combine(this, other, (a, b) => a !== b).empty;
  }

  /** Every path in the set, parents before children. */
  *paths(prefix: readonly string[] = []): Generator<readonly string[]> {
    if (this.member) yield prefix;
    for (const [element, child] of this.children) yield* child.paths([...prefix, element]);
  }

  toJson(): JsonObject {
    const out: JsonObject = {};
    const children = [...this.children].filter(([, child]) => !child.empty);
    if (this.member && children.length) out['.'] = {};
    for (const [element, child] of children.sort(([a], [b]) => (a < b ? -1 : 1)))
      put(out, element, child.toJson());
    return out;
  }
}

/** Reads FieldsV1; what does not look like it is left out. */
export function readFieldSet(json: unknown, root = true): FieldSet {
  const set = new FieldSet();
  if (!isObject(json)) return set;
  const entries = Object.entries(json);
  if (!root && (entries.length === 0 || Object.hasOwn(json, '.'))) set.member = true;
  for (const [element, inner] of entries) {
    if (element === '.' || !/^[fkvi]:/.test(element)) continue;
    set.children.set(element, readFieldSet(inner, false));
  }
  return set;
}

/** A path as it is told to people: `.spec.containers[name="a"].image`. */
export function pathText(path: readonly string[]): string {
  return path
    .map(element => {
      const rest = element.slice(2);
      if (element.startsWith('f:')) return `.${rest}`;
      if (element.startsWith('v:')) return `[=${rest}]`;
      if (element.startsWith('i:')) return `[${rest}]`;
      const keys = Object.entries(JSON.parse(rest) as JsonObject);
      return `[${keys.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(',')}]`;
    })
    .join('');
}

function combine(a: FieldSet, b: FieldSet, keep: (a: boolean, b: boolean) => boolean): FieldSet {
  const out = new FieldSet();
  out.member = keep(a.member, b.member);
  for (const element of new Set([...a.children.keys(), ...b.children.keys()])) {
    const child = combine(a.children.get(element) ?? NOTHING, b.children.get(element) ?? NOTHING, keep);
    if (!child.empty) out.children.set(element, child);
  }
  return out;
}

const NOTHING = new FieldSet();
