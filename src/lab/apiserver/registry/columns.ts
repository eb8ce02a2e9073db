/** Table columns that several kinds share. */
import { type JsonObject, type KubeObject, objects, record, text } from '../object.ts';
import { age } from '../table.ts';
import type { Column } from './resource.ts';

export function column(name: string, value: Column['value'], type: Column['type'] = 'string'): Column {
  return { name, type, value };
}

/** A column of -o wide. */
export function wide(name: string, value: Column['value'], type: Column['type'] = 'string'): Column {
  return { name, type, value, wide: true };
}

export const NAME: Column = {
  name: 'Name',
  type: 'string',
  format: 'name',
  description:
    'Name must be unique within a namespace. Is required when creating resources, although some resources may allow ' +
    'a client to request the generation of an appropriate name automatically.',
  value: object => object.metadata.name,
};

export const AGE = column('Age', (object, now) => age(object.metadata.creationTimestamp, now));
export const CREATED = column('Created At', object => object.metadata.creationTimestamp, 'date');

export const NONE = '<none>';
export const UNKNOWN = '<unknown>';
export const UNSET = '<unset>';

/** `a=b,c=d` in the order of keys. */
export function labelText(labels: JsonObject): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  return pairs.length ? pairs.sort().join(',') : NONE;
}

/** A LabelSelector as text. */
export function selectorText(selector: JsonObject): string {
  const terms = Object.entries(record(selector, 'matchLabels')).map(([key, value]) => `${key}=${value}`);
  for (const { key, operator, values } of objects(selector, 'matchExpressions')) {
    const list = `(${[...((values as string[] | undefined) ?? [])].sort().join(',')})`;
    if (operator === 'In') terms.push(`${key} in ${list}`);
    else if (operator === 'NotIn') terms.push(`${key} notin ${list}`);
    else terms.push(operator === 'Exists' ? String(key) : `!${key}`);
  }
  return terms.length ? terms.sort().join(',') : NONE;
}

export function containerNames(object: KubeObject): string {
  return containers(object)
    .map(container => text(container, 'name'))
    .join(',');
}

export function containerImages(object: KubeObject): string {
  return containers(object)
    .map(container => text(container, 'image'))
    .join(',');
}

function containers(object: KubeObject): JsonObject[] {
  return objects(object, 'spec', 'template', 'spec', 'containers');
}

export const CONTAINERS = wide('Containers', containerNames);
export const IMAGES = wide('Images', containerImages);

/** A list as kubectl shortens it: at most three, then how many more. */
export function shortened(items: readonly string[], most = 3): string {
  if (!items.length) return NONE;
  const shown = items.slice(0, most).join(',');
  return items.length > most ? `${shown} + ${items.length - most} more...` : shown;
}
