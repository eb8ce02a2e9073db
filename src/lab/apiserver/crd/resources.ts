/** The resources that a CustomResourceDefinition defines: one for each served version. */
import {
  clone,
  isObject,
  type JsonObject,
  type KubeObject,
  objects,
  record,
  strings,
  text,
} from '../object.ts';
import { AGE, NAME } from '../registry/columns.ts';
import { type Column, type CustomType, type Resource, resource } from '../registry/resource.ts';
import { age } from '../table.ts';
import { jsonPath } from './jsonpath.ts';
import { dropNulls, fillDefaults, mergeSchema, prune } from './structural.ts';
import { schemaErrors } from './validate.ts';

export function definedResources(definition: KubeObject): Resource[] {
  const spec = record(definition, 'spec');
  const names = record(spec, 'names');
  const group = text(spec, 'group');
  const versions = objects(spec, 'versions').filter(version => version.served === true);
  const storageVersion = text(
    objects(spec, 'versions').find(version => version.storage === true),
    'name',
  );
  return versions.map(version => {
    const name = text(version, 'name');
    const custom = customType(version);
    const subresources = record(version, 'subresources');
    const several = objects(spec, 'versions').length > 1;
    return resource({
      group,
      version: name,
      plural: text(names, 'plural'),
      singular: text(names, 'singular'),
      kind: text(names, 'kind'),
      namespaced: spec.scope === 'Namespaced',
      shortNames: strings(names, 'shortNames'),
      categories: strings(names, 'categories'),
      schema: mergeSchema(schemaOf(version)),
      status: isObject(subresources.status),
      scale: isObject(subresources.scale),
      strategy: { generation: true, fields: selectable(version) },
      columns: columnsOf(version),
      custom,
      ...(several
        ? {
            fromStorage: stored => custom.conform({ ...clone(stored), apiVersion: `${group}/${name}` }, []),
            toStorage: object => ({ ...object, apiVersion: `${group}/${storageVersion}` }),
          }
        : {}),
    });
  });
}

function schemaOf(version: JsonObject): JsonObject {
  return record(version, 'schema', 'openAPIV3Schema');
}

function customType(version: JsonObject): CustomType {
  const schema = schemaOf(version);
  const scale = record(version, 'subresources', 'scale');
  return {
    conform(object, unknown) {
      prune(schema, object, '', unknown);
      dropNulls(schema, object);
      fillDefaults(schema, object);
      return object;
    },
    validate: object => schemaErrors(schema, object, ''),
    openapi: documented(schema),
    deprecation: version.deprecated === true ? text(version, 'deprecationWarning') : undefined,
    scale: isObject(record(version, 'subresources').scale)
      ? {
          replicas: text(scale, 'specReplicasPath'),
          status: text(scale, 'statusReplicasPath'),
          selector: text(scale, 'labelSelectorPath'),
        }
      : undefined,
  };
}

function documented(schema: JsonObject): JsonObject {
  return {
    ...schema,
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      ...record(schema, 'properties'),
      metadata: { type: 'object' },
    },
  };
}

function selectable(version: JsonObject): (object: KubeObject) => Record<string, string> {
  const paths = objects(version, 'selectableFields').map(item => text(item, 'jsonPath'));
  const finders = paths.map(path => [path.replace(/^\./, ''), jsonPath(path)] as const);
  return object => Object.fromEntries(finders.map(([name, find]) => [name, String(find(object)[0] ?? '')]));
}

function columnsOf(version: JsonObject): Column[] {
  const given = objects(version, 'additionalPrinterColumns');
  if (!given.length) return [NAME, AGE];
  return [NAME, ...given.map(printerColumn)];
}

function printerColumn(given: JsonObject): Column {
  const find = jsonPath(text(given, 'jsonPath'));
  const type = text(given, 'type') as Column['type'];
  const isWide = typeof given.priority === 'number' && given.priority > 0;
  return {
    name: text(given, 'name'),
    // Dates are sent as the time since, as the real server does.
    type,
    ...(text(given, 'format') ? { format: text(given, 'format') } : {}),
    ...(text(given, 'description') ? { description: text(given, 'description') } : {}),
    ...(isWide ? { wide: true } : {}),
    value: (object, now) => cell(type, find(object)[0], now),
  };
}

function cell(type: Column['type'], value: unknown, now: Date): unknown {
  if (value === undefined || value === null) return null;
  switch (type) {
    case 'integer':
    case 'number':
      return typeof value === 'number' ? value : null;
    case 'boolean':
      return typeof value === 'boolean' ? value : null;
    case 'date':
      return typeof value === 'string' && !Number.isNaN(Date.parse(value)) ? age(value, now) : '<unknown>';
    default:
      return typeof value === 'object' ? JSON.stringify(value) : String(value);
  }
}
