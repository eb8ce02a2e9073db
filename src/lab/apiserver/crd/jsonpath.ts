/** The simple JSON paths of printer columns: fields, indexes, `[*]` and equality filters. */
import { equal, isObject, own } from '../object.ts';

type Step =
  | { readonly kind: 'field'; readonly name: string }
  | { readonly kind: 'index'; readonly index: number }
  | { readonly kind: 'all' }
  | {
      readonly kind: 'filter';
      readonly path: readonly Step[];
      readonly wanted: unknown;
      readonly equal: boolean;
    };

/** A function that finds the values at a path; a path that cannot be read finds nothing. */
export function jsonPath(path: string): (value: unknown) => unknown[] {
  const steps = read(path);
  return value => (steps ? follow(steps, value) : []);
}

const FIELD = /^\.((?:\\.|[^.[\\])+)/;
const BRACKET =
  /^\[(?:(-?\d+)|(\*)|(['"])(.*?)\3|\?\(\s*@((?:\.(?:\\.|[^.[\]=!\s\\])+)+)\s*(==|!=)\s*(?:(['"])(.*?)\7|([\w.-]+))\s*\))\]/;

function read(path: string): Step[] | undefined {
  const steps: Step[] = [];
  let rest = path.replace(/^\{(.*)\}$/, '$1').replace(/^\$/, '');
  while (rest !== '') {
    const field = FIELD.exec(rest);
    if (field) {
      const name = (field[1] as string).replace(/\\(.)/g, '$1');
      steps.push(name === '*' ? { kind: 'all' } : { kind: 'field', name });
      rest = rest.slice(field[0].length);
      continue;
    }
    const bracket = BRACKET.exec(rest);
    if (!bracket) return rest === '.' && steps.length === 0 ? [] : undefined;
    const [whole, index, all, , quoted, filter, operator, , word, literal] = bracket;
    if (index !== undefined) steps.push({ kind: 'index', index: Number(index) });
    else if (all) steps.push({ kind: 'all' });
    else if (quoted !== undefined) steps.push({ kind: 'field', name: quoted });
    else {
      const inner = read(filter as string);
      if (!inner) return undefined;
      steps.push({
        kind: 'filter',
        path: inner,
        wanted: word ?? plain(literal as string),
        equal: operator === '==',
      });
    }
    rest = rest.slice(whole.length);
  }
  return steps;
}

function plain(literal: string): unknown {
  if (literal === 'true' || literal === 'false') return literal === 'true';
  return Number.isNaN(Number(literal)) ? literal : Number(literal);
}

function follow(steps: readonly Step[], value: unknown): unknown[] {
  let here = [value];
  for (const step of steps) here = here.flatMap(item => next(step, item));
  return here;
}

function next(step: Step, value: unknown): unknown[] {
  switch (step.kind) {
    case 'field': {
      const found = isObject(value) ? own(value, step.name) : undefined;
      return found === undefined ? [] : [found];
    }
    case 'index':
      return Array.isArray(value) && value.at(step.index) !== undefined ? [value.at(step.index)] : [];
    case 'all':
      return Array.isArray(value) ? value : isObject(value) ? Object.values(value) : [];
    case 'filter':
      if (!Array.isArray(value)) return [];
      return value.filter(
        item => follow(step.path, item).some(found => equal(found, step.wanted)) === step.equal,
      );
  }
}
