/**
 * The grammar of Helm's `--set`: `a.b=1,c[0].d=x,e={x,y}`, with backslashes before characters that are to lose their
 * meaning. Values are true, false, null, whole numbers or text; with `--set-string` all are text.
 */
import { usage } from '../failure.ts';

export type Value = string | number | boolean | null | Value[] | Values;
export interface Values {
  [name: string]: Value;
}

type Step = string | number;

export interface Assignment {
  path: Step[];
  value: Value;
}

const LARGEST_INDEX = 65_536;

/** All assignments of one argument; `flag` is for error messages. */
export function parseSet(text: string, flag: '--set' | '--set-string' = '--set'): Assignment[] {
  const reader = new Reader(text, flag);
  const assignments: Assignment[] = [];
  while (!reader.done) {
    const path = reader.path();
    assignments.push({ path, value: reader.value(flag === '--set') });
  }
  if (assignments.length === 0) throw usage(`${flag} "${text}" sets nothing: write NAME=VALUE`);
  return assignments;
}

/** `a.b=file`: the path and the name of the file. */
export function parseSetFile(text: string): { path: Step[]; file: string } {
  const reader = new Reader(text, '--set-file');
  const path = reader.path();
  return { path, file: reader.rest() };
}

/** Sets one value in place, making the objects and lists on the way. */
export function assign(values: Values, { path, value }: Assignment): void {
  let at: Values | Value[] = values;
  path.forEach((step, index) => {
    const next = path[index + 1];
    if (next === undefined) put(at, step, value);
    else {
      const inner = get(at, step);
      const fits = typeof next === 'number' ? Array.isArray(inner) : isValues(inner);
      const container: Values | Value[] = fits
        ? (inner as Values | Value[])
        : typeof next === 'number'
          ? []
          : {};
      if (!fits) put(at, step, container);
      at = container;
    }
  });
}

export function isValues(value: unknown): value is Values {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function get(container: Values | Value[], step: Step): Value | undefined {
  if (Array.isArray(container)) return container[Number(step)];
  return Object.hasOwn(container, step) ? container[step] : undefined;
}

function put(container: Values | Value[], step: Step, value: Value): void {
  if (Array.isArray(container)) {
    const index = Number(step);
    while (container.length < index) container.push(null);
    container[index] = value;
  } else container[step] = value;
}

class Reader {
  readonly #text: string;
  readonly #flag: string;
  #at = 0;

  constructor(text: string, flag: string) {
    this.#text = text;
    this.#flag = flag;
  }

  get done(): boolean {
    return this.#at >= this.#text.length;
  }

  path(): Step[] {
    const path: Step[] = [];
    for (;;) {
      const name = this.#until('.=[,');
      const stop = this.#text[this.#at];
      if (name === '' && !(path.length > 0 && typeof path.at(-1) === 'number'))
        this.#fail('has an empty name: write NAME=VALUE, and one comma before the next');
      if (name !== '') path.push(forbidReserved(name, this.#flag));
      if (stop === undefined || stop === ',')
        this.#fail(`has no value for "${path.join('.')}": write ${path.join('.')}=VALUE`);
      this.#at++;
      if (stop === '[') path.push(this.#index());
      if (stop === '=') return path;
      while (stop === '[' && this.#text[this.#at] === '[') {
        this.#at++;
        path.push(this.#index());
      }
      if (stop === '[' && this.#text[this.#at] === '=') {
        this.#at++;
        return path;
      }
      if (stop === '[' && this.#text[this.#at] === '.') this.#at++;
    }
  }

  value(typed: boolean): Value {
    if (this.#text[this.#at] === '{') {
      this.#at++;
      const list: Value[] = [];
      while (this.#text[this.#at] !== '}') {
        if (this.done) this.#fail('has a "{" without "}": write for instance name={a,b}');
        list.push(scalar(this.#until(',}'), typed));
        if (this.#text[this.#at] === ',') this.#at++;
      }
      this.#at++;
      if (!this.done && this.#text[this.#at] !== ',')
        this.#fail('has something after "}": put a comma between');
      this.#at++;
      return list;
    }
    const text = this.#until(',');
    this.#at++;
    return scalar(text, typed);
  }

  rest(): string {
    const rest = this.#text.slice(this.#at);
    this.#at = this.#text.length;
    if (rest === '') this.#fail('names no file: write NAME=FILE');
    return rest;
  }

  #index(): number {
    const end = this.#text.indexOf(']', this.#at);
    const text = end < 0 ? '' : this.#text.slice(this.#at, end);
    if (!/^\d{1,6}$/.test(text) || Number(text) > LARGEST_INDEX)
      this.#fail('has a "[" without a number and "]" after it: write for instance name[0]=VALUE');
    this.#at = end + 1;
    return Number(text);
  }

  /** Up to one of the characters, which stays; backslashes are taken off. */
  #until(stops: string): string {
    let text = '';
    for (; this.#at < this.#text.length; this.#at++) {
      const character = this.#text[this.#at] ?? '';
      if (character === '\\') text += this.#text[++this.#at] ?? '';
      else if (stops.includes(character)) break;
      else text += character;
    }
    return text;
  }

  #fail(what: string): never {
    throw usage(`${this.#flag} "${this.#text}" ${what}`);
  }
}

function scalar(text: string, typed: boolean): Value {
  if (!typed) return text;
  if (text === 'true' || text === 'false') return text === 'true';
  if (text === 'null') return null;
  if (/^(0|-?[1-9]\d*)$/.test(text) && Number.isSafeInteger(Number(text))) return Number(text);
  return text;
}

function forbidReserved(name: string, flag: string): string {
  if (name === '__proto__') throw usage(`${flag}: "${name}" is no name of a value`);
  return name;
}
