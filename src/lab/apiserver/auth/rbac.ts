/** Role-based access control: the rules that bindings give a user, and whether one of them covers a request. */
import { type JsonObject, type KubeObject, objects, record, strings, text } from '../object.ts';
import { RBAC } from '../registry/access.ts';
import type { Store } from '../store.ts';
import { MASTERS, type User } from './user.ts';

export type Attributes =
  | {
      readonly verb: string;
      readonly group: string;
      /** Plural, with `/subresource` where there is one. */
      readonly resource: string;
      readonly namespace: string;
      readonly name: string;
    }
  | { readonly verb: string; readonly path: string };

export interface Rule {
  readonly verbs: readonly string[];
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames: readonly string[];
  readonly nonResourceURLs: readonly string[];
}

interface Binding {
  /** '' for bindings of the whole cluster. */
  readonly namespace: string;
  readonly role: { readonly kind: string; readonly name: string };
  readonly label: string;
}

const ROLES = `roles.${RBAC}`;
const CLUSTER_ROLES = `clusterroles.${RBAC}`;
const ROLE_BINDINGS = `rolebindings.${RBAC}`;
const CLUSTER_ROLE_BINDINGS = `clusterrolebindings.${RBAC}`;

export class Rbac {
  readonly #store: Store;
  #bindings: Map<string, Binding[]> | undefined;
  #rules = new WeakMap<KubeObject, readonly Rule[]>();

  constructor(store: Store) {
    this.#store = store;
    store.onChange(({ resource }) => {
      if (resource === ROLE_BINDINGS || resource === CLUSTER_ROLE_BINDINGS) this.#bindings = undefined;
    });
  }

  /** Why the user may do this; undefined when nothing allows it. */
  allows(user: User, wanted: Attributes): string | undefined {
    if (user.groups.includes(MASTERS)) return '';
    const namespace = 'path' in wanted ? '' : wanted.namespace;
    for (const { rules, label } of this.granted(user, namespace))
      if (rules.some(rule => covers(rule, wanted))) return label;
    return undefined;
  }

  /** The rules a user has in a namespace, those of the whole cluster included, by the binding that gives them. */
  *granted(user: User, namespace: string): Generator<{ rules: readonly Rule[]; label: string }> {
    const index = this.#index();
    const subjects = [`User/${user.name}`, ...user.groups.map(group => `Group/${group}`)];
    const account = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(user.name);
    if (account) subjects.push(`ServiceAccount/${account[1]}/${account[2]}`);
    for (const subject of subjects)
      for (const binding of index.get(subject) ?? []) {
        if (binding.namespace !== '' && binding.namespace !== namespace) continue;
        yield {
          rules: this.rulesOf(binding.role.kind, binding.role.name, binding.namespace),
          label: binding.label,
        };
      }
  }

  rulesOf(kind: string, name: string, namespace: string): readonly Rule[] {
    const role =
      kind === 'ClusterRole'
        ? this.#store.get(CLUSTER_ROLES, '', name)
        : this.#store.get(ROLES, namespace, name);
    if (!role) return [];
    let rules = this.#rules.get(role.object);
    if (!rules) {
      rules = readRules(role.object);
      this.#rules.set(role.object, rules);
    }
    return rules;
  }

  #index(): Map<string, Binding[]> {
    if (this.#bindings) return this.#bindings;
    const index = new Map<string, Binding[]>();
    for (const storage of [CLUSTER_ROLE_BINDINGS, ROLE_BINDINGS])
      for (const { object, namespace } of this.#store.list(storage)) {
        const role = record(object, 'roleRef');
        const bound = { kind: text(role, 'kind'), name: text(role, 'name') };
        for (const subject of objects(object, 'subjects')) {
          const label = `RBAC: allowed by ${object.kind} "${namespace ? `${object.metadata.name}/${namespace}` : object.metadata.name}" of ${bound.kind} "${bound.name}" to ${subject.kind} "${subject.namespace ? `${subject.name}/${subject.namespace}` : subject.name}"`;
          const key = subjectKey(subject);
          index.set(key, [...(index.get(key) ?? []), { namespace, role: bound, label }]);
        }
      }
    this.#bindings = index;
    return index;
  }
}

function subjectKey(subject: JsonObject): string {
  const name = text(subject, 'name');
  return subject.kind === 'ServiceAccount'
    ? `ServiceAccount/${text(subject, 'namespace')}/${name}`
    : `${text(subject, 'kind')}/${name}`;
}

export function readRules(role: KubeObject): readonly Rule[] {
  return objects(role, 'rules').map(rule => ({
    verbs: strings(rule, 'verbs'),
    apiGroups: strings(rule, 'apiGroups'),
    resources: strings(rule, 'resources'),
    resourceNames: strings(rule, 'resourceNames'),
    nonResourceURLs: strings(rule, 'nonResourceURLs'),
  }));
}

export function covers(rule: Rule, wanted: Attributes): boolean {
  const has = (list: readonly string[], item: string) => list.includes('*') || list.includes(item);
  if (!has(rule.verbs, wanted.verb)) return false;
  if ('path' in wanted)
    return rule.nonResourceURLs.some(
      url =>
        url === '*' || url === wanted.path || (url.endsWith('*') && wanted.path.startsWith(url.slice(0, -1))),
    );
  if (!has(rule.apiGroups, wanted.group)) return false;
  const [, subresource] = wanted.resource.split('/');
  if (!has(rule.resources, wanted.resource) && !(subresource && rule.resources.includes(`*/${subresource}`)))
    return false;
  return rule.resourceNames.length === 0 || rule.resourceNames.includes(wanted.name);
}
