/** OpenAPI v3, a document for each group and version: kinds, their fields, and how they merge. */
import { createHash } from 'node:crypto';
import type { JsonObject } from './object.ts';
import type { Registry } from './registry/registry.ts';
import { apiVersion, type Resource } from './registry/resource.ts';
import type { Field, Schema, StructSchema } from './schema/schema.ts';

function pathOf(group: string, version: string): string {
  return group ? `apis/${group}/${version}` : `api/${version}`;
}

/** The index: where the document of each group and version is; the address changes when the document does. */
export function openapiIndex(registry: Registry): JsonObject {
  const paths: Record<string, JsonObject> = {};
  for (const { group, version } of registry.all()) {
    const path = pathOf(group, version);
    if (paths[path]) continue;
    const resources = registry.all().filter(item => item.group === group && item.version === version);
    const text = resources.some(item => item.custom)
      ? JSON.stringify(openapiDocument(registry, group, version))
      : resources.map(item => item.plural).join();
    const hash = createHash('sha256').update(text).digest('hex').toUpperCase();
    paths[path] = { serverRelativeURL: `/openapi/v3/${path}?hash=${hash}` };
  }
  return { paths };
}

export function openapiDocument(registry: Registry, group: string, version: string): JsonObject | undefined {
  const resources = registry.all().filter(item => item.group === group && item.version === version);
  if (!resources.length) return undefined;
  const schemas: Record<string, unknown> = {};
  const paths: JsonObject = {};
  for (const resource of resources) {
    const kind = { group, version, kind: resource.kind };
    const name = schemaName(resource);
    schemas[name] = resource.custom
      ? { ...(resource.custom.openapi as JsonObject), 'x-kubernetes-group-version-kind': [kind] }
      : { ...struct(resource.schema as StructSchema, schemas), 'x-kubernetes-group-version-kind': [kind] };
    const scope = resource.namespaced ? 'namespaces/{namespace}/' : '';
    paths[`/${pathOf(group, version)}/${scope}${resource.plural}/{name}`] = operations(kind, name);
  }
  return {
    openapi: '3.0.0',
    info: { title: 'Kubernetes', version: 'unversioned' },
    paths,
    components: { schemas },
  };
}

function schemaName(resource: Resource): string {
  if (!resource.custom)
    return `io.k8s.api.${(resource.group || 'core').split('.')[0]}.${resource.version}.${resource.kind}`;
  const [first, ...rest] = apiVersion(resource).split('/') as [string, ...string[]];
  return [...first.split('.').reverse(), ...rest, resource.kind].join('.');
}

function operations(kind: JsonObject, name: string): JsonObject {
  const parameter = (text: string) => ({ name: text, in: 'query', schema: { type: 'string' } });
  const content = { 'application/json': { schema: { $ref: `#/components/schemas/${name}` } } };
  const common = {
    responses: { 200: { description: 'OK', content } },
    'x-kubernetes-group-version-kind': kind,
  };
  return {
    get: { ...common, 'x-kubernetes-action': 'get' },
    put: {
      ...common,
      'x-kubernetes-action': 'put',
      parameters: ['dryRun', 'fieldManager', 'fieldValidation'].map(parameter),
    },
    patch: {
      ...common,
      'x-kubernetes-action': 'patch',
      parameters: ['dryRun', 'fieldManager', 'fieldValidation', 'force'].map(parameter),
    },
  };
}

function struct(schema: StructSchema, schemas: Record<string, unknown>): JsonObject {
  const properties: JsonObject = {};
  if (schema.fields.get('metadata')) {
    properties.apiVersion = { type: 'string' };
    properties.kind = { type: 'string' };
  }
  for (const field of schema.fields.values()) properties[field.name] = property(field, schemas);
  return { type: 'object', properties };
}

function property(field: Field, schemas: Record<string, unknown>): JsonObject {
  const made = node(field.schema, schemas);
  if (field.patch?.key) made['x-kubernetes-patch-merge-key'] = field.patch.key;
  if (field.patch) {
    const strategies = [
      ...(field.patch.merge ? ['merge'] : []),
      ...(field.patch.retainKeys ? ['retainKeys'] : []),
    ];
    made['x-kubernetes-patch-strategy'] = strategies.join(',');
  }
  return made;
}

function node(schema: Schema, schemas: Record<string, unknown>): JsonObject {
  switch (schema.type) {
    case 'struct': {
      const name = `io.k8s.api.${schema.name.includes('.') ? schema.name : `type.${schema.name}`}`;
      if (!Object.hasOwn(schemas, name)) {
        schemas[name] = {};
        schemas[name] = struct(schema, schemas);
      }
      return { allOf: [{ $ref: `#/components/schemas/${name}` }], default: {} };
    }
    case 'map':
      return { type: 'object', additionalProperties: node(schema.of, schemas) };
    case 'list':
      return {
        type: 'array',
        items: node(schema.of, schemas),
        'x-kubernetes-list-type': schema.relation === 'keyed' ? 'map' : schema.relation,
        ...(schema.relation === 'keyed' ? { 'x-kubernetes-list-map-keys': schema.keys } : {}),
      };
    case 'integer':
      return { type: 'integer', format: 'int32' };
    case 'number':
    case 'boolean':
    case 'string':
      return { type: schema.type };
    case 'bytes':
      return { type: 'string', format: 'byte' };
    case 'time':
    case 'microTime':
      return { type: 'string', format: 'date-time' };
    case 'quantity':
      return { type: 'string' };
    case 'intOrString':
      return { oneOf: [{ type: 'integer' }, { type: 'string' }], format: 'int-or-string' };
    case 'any':
      return { type: 'object' };
  }
}
