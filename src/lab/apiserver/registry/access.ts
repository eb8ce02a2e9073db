/** RBAC, and the kinds that are only asked, never stored: reviews of tokens and of access. */
import { equal, isObject, type KubeObject, objects, preset, record, text } from '../object.ts';
import { typeNamed } from '../schema/schema.ts';
import { type FieldError, invalidValue, requiredValue, unsupportedValue } from '../status.ts';
import { AGE, CREATED, column, NAME, wide } from './columns.ts';
import { type Resource, resource } from './resource.ts';

export const RBAC = 'rbac.authorization.k8s.io';

const of = (kind: string, plural: string, more: Partial<Resource>) =>
  resource({ group: RBAC, version: 'v1', kind, plural, schema: typeNamed(kind), ...more });

function ruleProblems(role: KubeObject, namespaced: boolean): FieldError[] {
  return objects(role, 'rules').flatMap((rule, index) => {
    const field = `rules[${index}]`;
    const errors: FieldError[] = [];
    const has = (key: string) => Array.isArray(rule[key]) && rule[key].length > 0;
    if (!has('verbs')) errors.push(requiredValue(`${field}.verbs`, 'verbs must contain at least one value'));
    if (has('nonResourceURLs')) {
      if (namespaced)
        errors.push(
          invalidValue(
            `${field}.nonResourceURLs`,
            rule.nonResourceURLs,
            'namespaced rules cannot apply to non-resource URLs',
          ),
        );
      if (has('apiGroups') || has('resources') || has('resourceNames'))
        errors.push(
          invalidValue(
            `${field}.nonResourceURLs`,
            rule.nonResourceURLs,
            'rules cannot apply to both regular resources and non-resource URLs',
          ),
        );
      return errors;
    }
    if (!has('apiGroups'))
      errors.push(requiredValue(`${field}.apiGroups`, 'resource rules must supply at least one api group'));
    if (!has('resources'))
      errors.push(requiredValue(`${field}.resources`, 'resource rules must supply at least one resource'));
    return errors;
  });
}

function defaultBinding(binding: KubeObject): void {
  if (isObject(binding.roleRef)) preset(binding.roleRef, 'apiGroup', RBAC);
  for (const subject of objects(binding, 'subjects')) {
    if (subject.apiGroup) continue;
    if (subject.kind === 'User' || subject.kind === 'Group') subject.apiGroup = RBAC;
    else delete subject.apiGroup;
  }
}

function bindingProblems(
  binding: KubeObject,
  old: KubeObject | undefined,
  kinds: readonly string[],
): FieldError[] {
  const errors: FieldError[] = [];
  const role = record(binding, 'roleRef');
  if (!kinds.includes(text(role, 'kind')))
    errors.push(unsupportedValue('roleRef.kind', role.kind ?? '', kinds));
  if (!text(role, 'name')) errors.push(requiredValue('roleRef.name'));
  objects(binding, 'subjects').forEach((subject, index) => {
    const field = `subjects[${index}]`;
    if (!text(subject, 'name')) errors.push(requiredValue(`${field}.name`));
    if (!['ServiceAccount', 'User', 'Group'].includes(text(subject, 'kind')))
      errors.push(unsupportedValue(`${field}.kind`, subject.kind ?? '', ['ServiceAccount', 'User', 'Group']));
    if (subject.kind === 'ServiceAccount' && !text(subject, 'namespace') && kinds.length === 1)
      errors.push(requiredValue(`${field}.namespace`));
  });
  if (old && !equal(old.roleRef, binding.roleRef))
    errors.push(invalidValue('roleRef', binding.roleRef, 'cannot change roleRef'));
  return errors;
}

const ROLE = column(
  'Role',
  object => `${text(object, 'roleRef', 'kind')}/${text(object, 'roleRef', 'name')}`,
);

const subjects = (kind: string) => (object: KubeObject) =>
  objects(object, 'subjects')
    .filter(subject => subject.kind === kind)
    .map(subject =>
      kind === 'ServiceAccount' ? `${subject.namespace ?? ''}/${subject.name}` : String(subject.name),
    )
    .join(', ');

const BINDING = [
  NAME,
  ROLE,
  AGE,
  wide('Users', subjects('User')),
  wide('Groups', subjects('Group')),
  wide('ServiceAccounts', subjects('ServiceAccount')),
];

export const rbacResources: readonly Resource[] = [
  of('ClusterRoleBinding', 'clusterrolebindings', {
    namespaced: false,
    strategy: {
      names: 'path',
      defaults: defaultBinding,
      validate: (object, old) => bindingProblems(object, old, ['ClusterRole']),
    },
    columns: BINDING,
  }),
  of('ClusterRole', 'clusterroles', {
    namespaced: false,
    strategy: { names: 'path', validate: object => ruleProblems(object, false) },
    columns: [NAME, CREATED],
  }),
  of('RoleBinding', 'rolebindings', {
    strategy: {
      names: 'path',
      defaults(binding) {
        defaultBinding(binding);
        for (const subject of objects(binding, 'subjects'))
          if (subject.kind === 'ServiceAccount') preset(subject, 'namespace', binding.metadata.namespace);
      },
      validate: (object, old) => bindingProblems(object, old, ['Role', 'ClusterRole']),
    },
    columns: BINDING,
  }),
  of('Role', 'roles', {
    strategy: { names: 'path', validate: object => ruleProblems(object, true) },
    columns: [NAME, CREATED],
  }),
];

const asked = (group: string, kind: string, plural: string, namespaced = false) =>
  resource({ group, version: 'v1', kind, plural, namespaced, schema: typeNamed(kind), verbs: ['create'] });

export const reviewResources: readonly Resource[] = [
  asked('authentication.k8s.io', 'SelfSubjectReview', 'selfsubjectreviews'),
  asked('authentication.k8s.io', 'TokenReview', 'tokenreviews'),
  asked('authorization.k8s.io', 'LocalSubjectAccessReview', 'localsubjectaccessreviews', true),
  asked('authorization.k8s.io', 'SelfSubjectAccessReview', 'selfsubjectaccessreviews'),
  asked('authorization.k8s.io', 'SelfSubjectRulesReview', 'selfsubjectrulesreviews'),
  asked('authorization.k8s.io', 'SubjectAccessReview', 'subjectaccessreviews'),
];
