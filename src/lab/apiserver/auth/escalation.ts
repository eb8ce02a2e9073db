/** Nobody gives away by a role or a binding what he does not hold, unless he may `escalate` or `bind`. */
import type { Call } from '../api.ts';
import { equal, isObject, type KubeObject, record, text } from '../object.ts';
import { RBAC } from '../registry/access.ts';
import { forbidden } from '../status.ts';
import { type Attributes, type Rule, readRules } from './rbac.ts';

const everything: readonly Rule[] = [
  { verbs: ['*'], apiGroups: ['*'], resources: ['*'], resourceNames: [], nonResourceURLs: [] },
  { verbs: ['*'], apiGroups: [], resources: [], resourceNames: [], nonResourceURLs: ['*'] },
];

/** Throws 403. `old` is undefined when the object is new. */
export function refuseEscalation(call: Call, object: KubeObject, old?: KubeObject): void {
  if (call.resource.group !== RBAC) return;
  const namespace = object.metadata.namespace ?? '';
  const given = object.kind.endsWith('Binding')
    ? givenByBinding(call, object, namespace, old)
    : givenByRole(call, object, namespace, old);
  const { user, api } = call;
  const missing = given.filter(rule =>
    pieces(rule, namespace).some(piece => api.rbac.allows(user, piece) === undefined),
  );
  if (missing.length === 0) return;
  const listed = missing.map(rule => `\n${inWords(rule)}`).join('');
  throw forbidden(
    call.resource,
    object.metadata.name,
    `user "${user.name}" (groups=[${user.groups.map(group => `"${group}"`).join(' ')}]) is attempting to grant RBAC permissions not currently held:${listed}`,
  );
}

function givenByRole(
  call: Call,
  role: KubeObject,
  namespace: string,
  old: KubeObject | undefined,
): readonly Rule[] {
  const same =
    old && equal(old.rules ?? [], role.rules ?? []) && equal(old.aggregationRule, role.aggregationRule);
  if (same || may(call, 'escalate', call.resource.plural, namespace, role.metadata.name)) return [];
  return isObject(role.aggregationRule) ? everything : readRules(role);
}

function givenByBinding(
  call: Call,
  binding: KubeObject,
  namespace: string,
  old: KubeObject | undefined,
): readonly Rule[] {
  if (old && equal(old.subjects ?? [], binding.subjects ?? [])) return [];
  const role = record(binding, 'roleRef');
  const [kind, name] = [text(role, 'kind'), text(role, 'name')];
  if (may(call, 'bind', kind === 'ClusterRole' ? 'clusterroles' : 'roles', namespace, name)) return [];
  return call.api.rbac.rulesOf(kind, name, namespace);
}

function may({ api, user }: Call, verb: string, resource: string, namespace: string, name: string): boolean {
  return api.rbac.allows(user, { verb, group: RBAC, resource, namespace, name }) !== undefined;
}

/** The rule as single permissions; a name that is missing stands for all of them. */
function pieces(rule: Rule, namespace: string): Attributes[] {
  const names = rule.resourceNames.length > 0 ? rule.resourceNames : [''];
  return rule.verbs.flatMap(verb => [
    ...rule.nonResourceURLs.map(path => ({ verb, path })),
    ...rule.apiGroups.flatMap(group =>
      rule.resources.flatMap(resource => names.map(name => ({ verb, group, resource, namespace, name }))),
    ),
  ]);
}

function inWords(rule: Rule): string {
  const words = {
    APIGroups: rule.apiGroups,
    Resources: rule.resources,
    ResourceNames: rule.resourceNames,
    NonResourceURLs: rule.nonResourceURLs,
    Verbs: rule.verbs,
  };
  const said = Object.entries(words).filter(([, list]) => list.length > 0);
  return `{${said.map(([key, list]) => `${key}:[${list.map(item => `"${item}"`).join(', ')}]`).join(', ')}}`;
}
