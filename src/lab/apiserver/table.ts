/** Tables, as `kubectl get` asks for them. */
import type { JsonObject, KubeObject } from './object.ts';
import type { Column, Resource } from './registry/resource.ts';

const NAME: Column = {
  name: 'Name',
  type: 'string',
  format: 'name',
  description: 'Name must be unique within a namespace.',
  value: object => object.metadata.name,
};

const AGE: Column = {
  name: 'Age',
  type: 'string',
  value: (object, now) => age(object.metadata.creationTimestamp, now),
};

const CREATED: Column = {
  name: 'Created At',
  type: 'date',
  value: object => object.metadata.creationTimestamp,
};

export function columnsOf(resource: Resource): readonly Column[] {
  if (resource.columns.length) return resource.columns;
  return resource.custom ? [NAME, AGE] : [NAME, CREATED];
}

export function definitions(resource: Resource): JsonObject[] {
  return columnsOf(resource).map(({ name, type, format = '', description = '', wide }) => ({
    name,
    type,
    format,
    description,
    priority: wide ? 1 : 0,
  }));
}

/** One row; `include` tells how much of the object goes with it. */
export function row(
  resource: Resource,
  object: KubeObject,
  now: Date,
  include: string,
  version: string,
): JsonObject {
  const cells = columnsOf(resource).map(column => column.value(object, now) ?? null);
  if (include === 'None') return { cells, object: null };
  return { cells, object: include === 'Object' ? object : partial(object, version) };
}

export function table(
  resource: Resource,
  objects: readonly KubeObject[],
  options: { now: Date; include: string; version: string; metadata: JsonObject; definitions?: boolean },
): JsonObject {
  return {
    kind: 'Table',
    apiVersion: `meta.k8s.io/${options.version}`,
    metadata: options.metadata,
    columnDefinitions: options.definitions === false ? null : definitions(resource),
    rows: objects.map(object => row(resource, object, options.now, options.include, options.version)),
  };
}

export function partial(object: KubeObject, version = 'v1'): JsonObject {
  return { kind: 'PartialObjectMetadata', apiVersion: `meta.k8s.io/${version}`, metadata: object.metadata };
}

/** A time span as kubectl shows it: 5s, 3m2s, 17m, 5h12m, 2d3h, 12d, 2y5d. */
export function duration(seconds: number): string {
  if (seconds < -1) return '<invalid>';
  if (seconds < 0) return '0s';
  const whole = Math.floor(seconds);
  if (whole < 120) return `${whole}s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 10) return whole % 60 ? `${minutes}m${whole % 60}s` : `${minutes}m`;
  if (minutes < 180) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 8) return minutes % 60 ? `${hours}h${minutes % 60}m` : `${hours}h`;
  if (hours < 48) return `${hours}h`;
  const days = Math.floor(hours / 24);
  if (hours < 192) return hours % 24 ? `${days}d${hours % 24}h` : `${days}d`;
  const years = Math.floor(days / 365);
  if (years < 2) return `${days}d`;
  if (years < 8) return days % 365 ? `${years}y${days % 365}d` : `${years}y`;
  return `${years}y`;
}

/** The time since a timestamp; `<unknown>` where there is none. */
export function age(timestamp: unknown, now: Date): string {
  if (typeof timestamp !== 'string') return '<unknown>';
  return duration((now.getTime() - Date.parse(timestamp)) / 1000);
}
