/** Who agent and operator are, and the least they may do. */
import {
  CLUSTERROLEBINDINGS,
  CLUSTERROLES,
  type KubeObject,
  type ObjectMeta,
  type PolicyRule,
  type ResourceType,
  ROLEBINDINGS,
  ROLES,
  SERVICEACCOUNTS,
} from '../../kube/types.ts';
import type { Settings } from '../values/values.ts';
import { CONFIG_NAME } from './config.ts';
import { AGENT, ENGINE, labels, OPERATOR } from './labels.ts';

interface Access {
  type: ResourceType;
  object: KubeObject;
}

/** What a reflector does. */
const FOLLOW = ['list', 'watch'];
const RBAC = 'rbac.authorization.k8s.io';

/** `create` goes with `patch` where an object is applied: the API server asks for both. */
const AGENT_RULES: PolicyRule[] = [
  { apiGroups: [''], resources: ['nodes'], verbs: FOLLOW },
  { apiGroups: [''], resources: ['pods'], verbs: ['get'] },
  { apiGroups: ['cilium.io'], resources: ['ciliumnodes'], verbs: [...FOLLOW, 'create', 'patch'] },
  { apiGroups: ['cilium.io'], resources: ['ciliumnodes/status'], verbs: ['patch'] },
  {
    apiGroups: ['cilium.io'],
    resources: ['ciliumendpoints'],
    verbs: ['get', 'list', 'create', 'patch', 'delete'],
  },
  { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create', 'patch'] },
];

const OPERATOR_RULES: PolicyRule[] = [
  { apiGroups: [''], resources: ['nodes'], verbs: FOLLOW },
  { apiGroups: [''], resources: ['pods'], verbs: ['list'] },
  { apiGroups: ['cilium.io'], resources: ['ciliumnodes'], verbs: [...FOLLOW, 'create', 'patch', 'delete'] },
  { apiGroups: ['cilium.io'], resources: ['ciliumendpoints'], verbs: ['list', 'delete'] },
  { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create', 'patch'] },
];

/** The agent follows it, the operator reads it when it starts. */
function configAccess(verbs: string[]): PolicyRule {
  return { apiGroups: [''], resources: ['configmaps'], resourceNames: [CONFIG_NAME], verbs };
}
/** Where kubeadm says which network holds the pods, for agents whose configuration does not. */
const READ_KUBEADM: PolicyRule = {
  apiGroups: [''],
  resources: ['configmaps'],
  resourceNames: ['kubeadm-config'],
  verbs: ['get'],
};
const OPERATOR_LEASE: PolicyRule[] = [
  { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['create'] },
  {
    apiGroups: ['coordination.k8s.io'],
    resources: ['leases'],
    resourceNames: [OPERATOR],
    verbs: ['get', 'update'],
  },
];

/**
 * To the one Secret with the key of IPsec, or to its place while there is none. Agents may always read it: a cluster that
 * moves away from IPsec opens what is still sealed with that key.
 */
function keyAccess(secretName: string, verbs: string[]): PolicyRule {
  return { apiGroups: [''], resources: ['secrets'], resourceNames: [secretName], verbs };
}

/** DNS pods from before the installation have no network until they are made again. */
const RESTART_DNS: PolicyRule = { apiGroups: [''], resources: ['pods'], verbs: ['delete'] };

export function accessObjects({ encryption }: Settings, namespace: string): Access[] {
  const { secretName } = encryption.ipsec;
  const rotates = encryption.enabled && encryption.type === 'ipsec';
  return [
    account(AGENT, namespace),
    account(ENGINE, namespace, false),
    account(OPERATOR, namespace),
    ...clusterAccess(AGENT, namespace, AGENT_RULES),
    ...clusterAccess(OPERATOR, namespace, OPERATOR_RULES),
    ...localAccess(AGENT, 'cilium-config-agent', namespace, [
      configAccess(FOLLOW),
      keyAccess(secretName, FOLLOW),
    ]),
    ...localAccess(AGENT, 'cilium-kubeadm-agent', namespace, [READ_KUBEADM], 'kube-system'),
    ...localAccess(OPERATOR, OPERATOR, namespace, [
      configAccess(['get']),
      ...OPERATOR_LEASE,
      ...(rotates ? [keyAccess(secretName, [...FOLLOW, 'patch'])] : []),
    ]),
    ...localAccess(OPERATOR, 'cilium-operator-dns', namespace, [RESTART_DNS], 'kube-system'),
  ];
}

function account(name: string, namespace: string, token = true): Access {
  return {
    type: SERVICEACCOUNTS,
    object: {
      ...of(SERVICEACCOUNTS, { name, namespace, labels: labels(name) }),
      automountServiceAccountToken: token,
    },
  };
}

function clusterAccess(name: string, namespace: string, rules: PolicyRule[]): Access[] {
  const metadata = { name, labels: labels(name) };
  return [
    { type: CLUSTERROLES, object: { ...of(CLUSTERROLES, metadata), rules } },
    {
      type: CLUSTERROLEBINDINGS,
      object: {
        ...of(CLUSTERROLEBINDINGS, metadata),
        roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name },
        subjects: [{ kind: 'ServiceAccount', name, namespace }],
      },
    },
  ];
}

function localAccess(
  accountName: string,
  name: string,
  namespace: string,
  rules: PolicyRule[],
  where = namespace,
): Access[] {
  const metadata = { name, namespace: where, labels: labels(accountName) };
  return [
    { type: ROLES, object: { ...of(ROLES, metadata), rules } },
    {
      type: ROLEBINDINGS,
      object: {
        ...of(ROLEBINDINGS, metadata),
        roleRef: { apiGroup: RBAC, kind: 'Role', name },
        subjects: [{ kind: 'ServiceAccount', name: accountName, namespace }],
      },
    },
  ];
}

function of(type: ResourceType, metadata: ObjectMeta): KubeObject {
  return { apiVersion: type.apiVersion, kind: type.kind, metadata };
}
