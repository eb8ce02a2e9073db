/** CustomResourceDefinitions, as objects; crd.ts makes resources of them. */

import { schemaProblems } from '../crd/structural.ts';
import { isLabel, isSubdomain } from '../names.ts';
import {
  ensure,
  equal,
  isObject,
  type KubeObject,
  objects,
  preset,
  record,
  strings,
  text,
} from '../object.ts';
import { typeNamed } from '../schema/schema.ts';
import { type FieldError, invalidValue, requiredValue, unsupportedValue } from '../status.ts';
import { CREATED, NAME } from './columns.ts';
import { resource } from './resource.ts';

export const CLEANUP = 'customresourcecleanup.apiextensions.k8s.io';

export const customresourcedefinitions = resource({
  group: 'apiextensions.k8s.io',
  version: 'v1',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  namespaced: false,
  schema: typeNamed('CustomResourceDefinition'),
  status: true,
  shortNames: ['crd', 'crds'],
  categories: ['api-extensions'],
  strategy: {
    generation: true,
    defaults(definition) {
      const spec = ensure(definition, 'spec');
      const names = ensure(spec, 'names');
      if (text(names, 'kind')) {
        preset(names, 'singular', text(names, 'kind').toLowerCase());
        preset(names, 'listKind', `${text(names, 'kind')}List`);
      }
      preset(spec, 'conversion', { strategy: 'None' });
    },
    create(definition) {
      definition.metadata.finalizers = [...new Set([...(definition.metadata.finalizers ?? []), CLEANUP])];
      const versions = objects(definition, 'spec', 'versions');
      definition.status = {
        conditions: [],
        acceptedNames: { plural: '', kind: '' },
        storedVersions: versions.filter(version => version.storage === true).map(version => version.name),
      };
    },
    update(definition, old) {
      const stored = strings(old, 'status', 'storedVersions');
      const now = objects(definition, 'spec', 'versions').find(version => version.storage === true)?.name;
      const status = { ...record(definition, 'status') };
      if (typeof now === 'string' && !stored.includes(now)) status.storedVersions = [...stored, now];
      definition.status = status;
    },
    validate,
  },
  columns: [NAME, CREATED],
});

function validate(definition: KubeObject, old: KubeObject | undefined): FieldError[] {
  const errors: FieldError[] = [];
  const spec = record(definition, 'spec');
  const names = record(spec, 'names');
  const group = text(spec, 'group');
  const plural = text(names, 'plural');
  if (!isSubdomain(group) || !group.includes('.'))
    errors.push(invalidValue('spec.group', group, 'should be a domain with at least one dot'));
  if (definition.metadata.name !== `${plural}.${group}`)
    errors.push(
      invalidValue('metadata.name', definition.metadata.name, 'must be spec.names.plural+"."+spec.group'),
    );
  if (!isLabel(plural))
    errors.push(invalidValue('spec.names.plural', plural, 'has to be a lowercase DNS label'));
  if (!text(names, 'kind')) errors.push(requiredValue('spec.names.kind'));
  if (!['Cluster', 'Namespaced'].includes(text(spec, 'scope')))
    errors.push(unsupportedValue('spec.scope', spec.scope ?? '', ['Cluster', 'Namespaced']));
  if (text(spec, 'conversion', 'strategy') !== 'None')
    errors.push(unsupportedValue('spec.conversion.strategy', record(spec, 'conversion').strategy, ['None']));
  const versions = objects(spec, 'versions');
  if (versions.filter(version => version.storage === true).length !== 1)
    errors.push(
      invalidValue(
        'spec.versions',
        versions.map(version => version.name),
        'must have exactly one version marked as storage version',
      ),
    );
  if (new Set(versions.map(version => version.name)).size !== versions.length)
    errors.push(
      invalidValue(
        'spec.versions',
        versions.map(version => version.name),
        'must contain unique version names',
      ),
    );
  versions.forEach((version, index) => {
    const field = `spec.versions[${index}]`;
    if (!isLabel(text(version, 'name')))
      errors.push(invalidValue(`${field}.name`, version.name ?? '', 'has to be a lowercase DNS label'));
    const schema = record(version, 'schema').openAPIV3Schema;
    if (!isObject(schema))
      errors.push(requiredValue(`${field}.schema.openAPIV3Schema`, 'schemas are required'));
    else errors.push(...schemaProblems(schema, `${field}.schema.openAPIV3Schema`));
    objects(version, 'additionalPrinterColumns').forEach((column, position) => {
      const path = `${field}.additionalPrinterColumns[${position}]`;
      if (!text(column, 'jsonPath').startsWith('.'))
        errors.push(
          invalidValue(
            `${path}.jsonPath`,
            column.jsonPath ?? '',
            'must be a simple json path starting with .',
          ),
        );
      if (!['boolean', 'date', 'integer', 'number', 'string'].includes(text(column, 'type')))
        errors.push(
          unsupportedValue(`${path}.type`, column.type ?? '', [
            'boolean',
            'date',
            'integer',
            'number',
            'string',
          ]),
        );
    });
  });
  if (old) {
    for (const path of [['group'], ['scope'], ['names', 'kind'], ['names', 'plural']] as const)
      if (!equal(text(old, 'spec', ...path), text(spec, ...path)))
        errors.push(invalidValue(`spec.${path.join('.')}`, text(spec, ...path), 'field is immutable'));
  }
  return errors;
}
