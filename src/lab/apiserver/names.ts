/** Names, labels and annotations: what the API machinery accepts. */

import type { ObjectMeta } from './object.ts';
import type { Resource } from './registry/resource.ts';
import { type FieldError, invalidValue, requiredValue } from './status.ts';

const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const LABEL_1035 = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const QUALIFIED = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;
const ANNOTATIONS_LIMIT = 256 * 1024;

const LABEL_TEXT =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end " +
  "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is " +
  "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035_TEXT =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, " +
  "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is " +
  "'[a-z]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN_TEXT =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start " +
  "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is " +
  "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const QUALIFIED_TEXT =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric " +
  "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is " +
  "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE_TEXT =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and " +
  "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is " +
  "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/** What is wrong with a name of this kind of resource; undefined when nothing is. */
export function nameProblem(
  names: NonNullable<Resource['strategy']['names']>,
  name: string,
): string | undefined {
  if (names === 'path') {
    if (name === '.' || name === '..') return `may not be '${name}'`;
    if (/[/%]/.test(name)) return `may not contain '${name.includes('/') ? '/' : '%'}'`;
    return name.length > 253 ? 'must be no more than 253 characters' : undefined;
  }
  if (names === 'subdomain') {
    if (name.length > 253) return 'must be no more than 253 characters';
    return SUBDOMAIN.test(name) ? undefined : SUBDOMAIN_TEXT;
  }
  if (name.length > 63) return 'must be no more than 63 characters';
  if (names === 'label1035') return LABEL_1035.test(name) ? undefined : LABEL_1035_TEXT;
  return LABEL.test(name) ? undefined : LABEL_TEXT;
}

export const isSubdomain = (name: string) => nameProblem('subdomain', name) === undefined;
export const isLabel = (name: string) => nameProblem('label', name) === undefined;

/** Problems of a qualified name such as `app.kubernetes.io/name`. */
export function keyProblem(key: string): string | undefined {
  const parts = key.split('/');
  const name = parts.pop() as string;
  if (parts.length > 1)
    return (
      'a qualified name must consist of alphanumeric characters, ' +
      "'-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or " +
      "'123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS " +
      "subdomain prefix and '/' (e.g. 'example.com/MyName')"
    );
  if (parts.length && !isSubdomain(parts[0] as string)) return `prefix part ${SUBDOMAIN_TEXT}`;
  if (name === '') return 'name part must be non-empty';
  if (name.length > 63) return 'name part must be no more than 63 characters';
  return QUALIFIED.test(name) ? undefined : QUALIFIED_TEXT;
}

export function labelProblems(labels: Readonly<Record<string, string>>, field: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const [key, value] of Object.entries(labels)) {
    const problem = keyProblem(key);
    if (problem) errors.push(invalidValue(field, key, problem));
    if (value.length > 63) errors.push(invalidValue(field, value, 'must be no more than 63 characters'));
    else if (value !== '' && !QUALIFIED.test(value)) errors.push(invalidValue(field, value, VALUE_TEXT));
  }
  return errors;
}

/** Checks what all kinds have in common. */
export function metadataProblems(resource: Resource, metadata: ObjectMeta): FieldError[] {
  const errors: FieldError[] = [];
  const { name, labels = {}, annotations = {}, finalizers = [], ownerReferences = [] } = metadata;
  if (!name) errors.push(requiredValue('metadata.name', 'name or generateName is required'));
  else {
    const problem = nameProblem(resource.strategy.names ?? 'subdomain', name);
    if (problem) errors.push(invalidValue('metadata.name', name, problem));
  }
  errors.push(...labelProblems(labels, 'metadata.labels'));
  let size = 0;
  for (const [key, value] of Object.entries(annotations)) {
    const problem = keyProblem(key.toLowerCase());
    if (problem) errors.push(invalidValue('metadata.annotations', key, problem));
    size += key.length + Buffer.byteLength(value);
  }
  if (size > ANNOTATIONS_LIMIT)
    errors.push({
      field: 'metadata.annotations',
      reason: 'FieldValueTooLong',
      message: `Too long: may not be more than ${ANNOTATIONS_LIMIT} bytes`,
    });
  for (const finalizer of finalizers) {
    const problem = keyProblem(finalizer);
    if (problem) errors.push(invalidValue('metadata.finalizers', finalizer, problem));
  }
  ownerReferences.forEach((owner, index) => {
    for (const field of ['apiVersion', 'kind', 'name', 'uid'] as const)
      if (!owner[field])
        errors.push(
          invalidValue(
            `metadata.ownerReferences[${index}].${field}`,
            owner[field] ?? '',
            `${field} must not be empty`,
          ),
        );
  });
  const controllers = ownerReferences.filter(owner => owner.controller === true);
  if (controllers.length > 1)
    errors.push(
      invalidValue(
        'metadata.ownerReferences',
        controllers.map(owner => owner.name).join(', '),
        'Only one reference can have Controller set to true.',
      ),
    );
  return errors;
}
