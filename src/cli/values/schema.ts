/** Holds values against deploy/values.schema.json and tells what is wrong in words a person can act on. */
import { readFileSync } from 'node:fs';
import { Ajv, type ErrorObject } from 'ajv';
import { didYouMean, Failure } from '../failure.ts';
import { projectFile } from '../root.ts';
import type { Values } from './strvals.ts';

interface Schema {
  enum?: unknown[];
  type?: string | string[];
  description?: string;
  properties?: Record<string, Schema>;
}

const SHOWN = 5;

/** Throws a Failure with every mistake. */
export function checkValues(values: Values): void {
  const schema = readSchema();
  const validate = new Ajv({ allErrors: true, verbose: true, allowUnionTypes: true, strict: false }).compile(
    schema,
  );
  if (validate(values)) return;
  const mistakes = [
    ...new Set((validate.errors ?? []).map(error => sentence(error, schema)).filter(Boolean)),
  ];
  const more = mistakes.length > SHOWN ? `; and ${mistakes.length - SHOWN} more` : '';
  throw new Failure(mistakes.slice(0, SHOWN).join('; ') + more);
}

/** Whether the schema names this value, and not the person, as with the labels of nodeSelector. */
export function isNamed(path: string[]): boolean {
  let at: Schema | undefined = readSchema();
  for (const name of path)
    at = Object.hasOwn(at?.properties ?? {}, name) ? at?.properties?.[name] : undefined;
  return at !== undefined;
}

function readSchema(): Schema {
  return JSON.parse(readFileSync(projectFile('deploy/values.schema.json'), 'utf8')) as Schema;
}

function sentence(error: ErrorObject, schema: Schema): string | undefined {
  const name = nameOf(error.instancePath);
  const shown = JSON.stringify(error.data);
  const about = (error.parentSchema as Schema | undefined)?.description;
  switch (error.keyword) {
    case 'additionalProperties': {
      const unknown = [name, String(error.params['additionalProperty'])].filter(Boolean).join('.');
      const meant = didYouMean(unknown, allNames(schema));
      return `there is no value "${unknown}"${meant ? `: did you mean "${meant}"?` : ': deploy/values.yaml lists all there are'}`;
    }
    case 'enum': {
      const allowed = (error.params['allowedValues'] as unknown[]).filter(value => value !== '');
      const meant = typeof error.data === 'string' ? didYouMean(error.data, allowed.map(String)) : undefined;
      if (allowed.includes(false))
        return `${name} is ${shown}, but ${lowerFirst(about ?? 'only false is possible')}`;
      return `${name} is ${shown}: write ${orList(allowed)}${meant ? ` (did you mean "${meant}"?)` : ''}`;
    }
    case 'type':
      return wrongType(name, error);
    case 'minimum':
    case 'maximum': {
      const { minimum, maximum } = error.parentSchema as { minimum?: number; maximum?: number };
      const range =
        maximum === undefined ? `${minimum} or more` : `a whole number from ${minimum} to ${maximum}`;
      return `${name} is ${shown}: write ${range}`;
    }
    case 'pattern':
      return `${name} is ${shown}, which does not fit${about ? ` (${lowerFirst(about)})` : ''}: see deploy/values.yaml`;
    case 'anyOf':
    case 'propertyNames':
      return undefined;
    default:
      return `${name} ${error.message}`;
  }
}

function wrongType(name: string, error: ErrorObject): string {
  const wanted = [error.params['type'] as string | string[]].flat();
  const given = error.data;
  if (wanted.includes('boolean') && (given === 'true' || given === 'false'))
    return `${name} is the text "${given}": write true or false without quotes (with --set, not --set-string)`;
  const names: Record<string, string> = {
    boolean: 'true or false',
    integer: 'a whole number',
    number: 'a number',
    string: 'text (with --set-string)',
    array: `a list, such as ${name}={a,b}`,
    object: `${name}.NAME=VALUE, it holds further values`,
  };
  return `${name} is ${JSON.stringify(given)}: write ${wanted.map(type => names[type] ?? type).join(' or ')}`;
}

/** Every value's name, for finding what was meant. */
function allNames(schema: Schema, prefix = ''): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, inner]) => {
    const whole = prefix === '' ? name : `${prefix}.${name}`;
    return [whole, ...allNames(inner, whole)];
  });
}

/** `/a/b/0` as `a.b[0]`. */
function nameOf(pointer: string): string {
  return pointer
    .split('/')
    .slice(1)
    .map(part => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce(
      (name, part) => (/^\d+$/.test(part) ? `${name}[${part}]` : name === '' ? part : `${name}.${part}`),
      '',
    );
}

function orList(values: unknown[]): string {
  const texts = values.map(value => String(value));
  return texts.length < 2 ? texts.join('') : `${texts.slice(0, -1).join(', ')} or ${texts.at(-1)}`;
}

function lowerFirst(text: string): string {
  return text.startsWith('Pellicle') ? text : text.slice(0, 1).toLowerCase() + text.slice(1);
}
