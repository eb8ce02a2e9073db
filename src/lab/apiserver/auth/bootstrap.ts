/** The roles and bindings that a cluster has from its first start. */
import type { JsonObject, KubeObject } from '../object.ts';
import { RBAC } from '../registry/access.ts';

const BOOTSTRAP = { 'kubernetes.io/bootstrapping': 'rbac-defaults' };
const AUTOUPDATE = { 'rbac.authorization.kubernetes.io/autoupdate': 'true' };
const READ = ['get', 'list', 'watch'];
const WRITE = ['create', 'delete', 'deletecollection', 'patch', 'update'];
const ALL = [...WRITE, ...READ];

const rule = (group: string, resources: string, verbs: readonly string[], names?: string[]): JsonObject => ({
  apiGroups: [group],
  resources: resources.split(' '),
  verbs,
  ...(names ? { resourceNames: names } : {}),
});
const urls = (paths: string, verbs: readonly string[]): JsonObject => ({
  nonResourceURLs: paths.split(' '),
  verbs,
});

const AUTHN = 'authentication.k8s.io';
const AUTHZ = 'authorization.k8s.io';
const COORDINATION = 'coordination.k8s.io';
const DISCOVERY = 'discovery.k8s.io';
const EVENTS = 'events.k8s.io';
const NETWORKING = 'networking.k8s.io';

const CORE_EDIT =
  'pods services services/proxy endpoints persistentvolumeclaims configmaps events replicationcontrollers ' +
  'replicationcontrollers/scale';
const CORE_VIEW =
  `${CORE_EDIT} serviceaccounts pods/log pods/status services/status persistentvolumeclaims/status limitranges ` +
  'resourcequotas resourcequotas/status replicationcontrollers/status namespaces namespaces/status bindings';
const APPS_EDIT =
  'daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets ' +
  'statefulsets/scale';
const APPS_VIEW = `${APPS_EDIT} controllerrevisions daemonsets/status deployments/status replicasets/status statefulsets/status`;

const VIEW_RULES = [
  rule('', CORE_VIEW, READ),
  rule(DISCOVERY, 'endpointslices', READ),
  rule('apps', APPS_VIEW, READ),
  rule('batch', 'cronjobs cronjobs/status jobs jobs/status', READ),
  rule('policy', 'poddisruptionbudgets poddisruptionbudgets/status', READ),
  rule(NETWORKING, 'ingresses ingresses/status networkpolicies', READ),
];

const EDIT_RULES = [
  rule('', 'pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy', READ),
  rule('', 'serviceaccounts', ['impersonate']),
  rule('', 'pods pods/attach pods/exec pods/portforward pods/proxy', WRITE),
  rule('', 'pods/eviction', ['create']),
  rule('', `${CORE_EDIT} secrets serviceaccounts`, WRITE),
  rule('', 'serviceaccounts/token', ['create']),
  rule('apps', APPS_EDIT, WRITE),
  rule('batch', 'cronjobs jobs', WRITE),
  rule('policy', 'poddisruptionbudgets', WRITE),
  rule(NETWORKING, 'ingresses networkpolicies', WRITE),
  rule(COORDINATION, 'leases', ALL),
];

const ADMIN_RULES = [
  rule(AUTHZ, 'localsubjectaccessreviews', ['create']),
  rule(RBAC, 'rolebindings roles', ALL),
];

const NODE_RULES = [
  rule(AUTHN, 'tokenreviews', ['create']),
  rule(AUTHZ, 'localsubjectaccessreviews subjectaccessreviews', ['create']),
  rule('', 'services', READ),
  rule('', 'nodes', ['create', 'get', 'list', 'watch']),
  rule('', 'nodes/status', ['patch', 'update']),
  rule('', 'nodes', ['patch', 'update']),
  rule('', 'pods', READ),
  rule('', 'pods', ['create', 'delete']),
  rule('', 'pods/status', ['patch', 'update']),
  rule('', 'pods/eviction', ['create']),
  rule('', 'configmaps secrets', READ),
  rule('', 'persistentvolumeclaims persistentvolumes', ['get']),
  rule('', 'serviceaccounts/token', ['create']),
  rule('', 'serviceaccounts', ['get']),
  rule('', 'endpoints', READ),
  rule(DISCOVERY, 'endpointslices', READ),
  rule(COORDINATION, 'leases', ['create', 'delete', 'get', 'patch', 'update']),
  rule('storage.k8s.io', 'csidrivers csinodes', ALL),
  rule('node.k8s.io', 'runtimeclasses', READ),
  rule('', 'events', ['create', 'patch', 'update']),
  rule(EVENTS, 'events', ['create', 'patch', 'update']),
];

/** The lab's controllers are one program with one identity: what it may do is what all of them need together. */
const CONTROLLER_RULES = [
  rule('*', '*', ['deletecollection', 'delete', 'get', 'list', 'patch', 'update', 'watch']),
  rule(
    '',
    'configmaps endpoints events namespaces pods pods/binding bindings pods/eviction secrets serviceaccounts',
    ['create'],
  ),
  rule('', 'serviceaccounts/token', ['create']),
  rule(EVENTS, 'events', ['create']),
  rule('apps', 'controllerrevisions replicasets', ['create']),
  rule('batch', 'jobs', ['create']),
  rule(COORDINATION, 'leases', ['create']),
  rule(DISCOVERY, 'endpointslices', ['create']),
  rule(AUTHN, 'tokenreviews', ['create']),
  rule(AUTHZ, 'subjectaccessreviews', ['create']),
  urls('*', ['get']),
];

const SCHEDULER_RULES = [
  rule('', 'events', ['create', 'patch', 'update']),
  rule(EVENTS, 'events', ['create', 'patch', 'update']),
  rule(COORDINATION, 'leases', ['create', 'get', 'list', 'update', 'watch']),
  rule('', 'nodes namespaces services replicationcontrollers persistentvolumeclaims persistentvolumes', READ),
  rule('', 'pods', ['delete', 'get', 'list', 'watch']),
  rule('', 'bindings pods/binding', ['create']),
  rule('', 'pods/status', ['patch', 'update']),
  rule('apps', 'replicasets statefulsets', READ),
  rule('policy', 'poddisruptionbudgets', READ),
];

const DISCOVERY_URLS =
  '/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/';

function clusterRole(
  name: string,
  rules: JsonObject[],
  more: JsonObject = {},
  labels: Record<string, string> = {},
): KubeObject {
  return {
    apiVersion: `${RBAC}/v1`,
    kind: 'ClusterRole',
    metadata: { name, labels: { ...BOOTSTRAP, ...labels }, annotations: AUTOUPDATE },
    rules,
    ...more,
  };
}

/** A role whose rules are those of all roles with one of these labels. */
function aggregate(name: string, ...from: string[]): KubeObject {
  const selectors = from.map(label => ({ matchLabels: { [`${RBAC}/aggregate-to-${label}`]: 'true' } }));
  const labels: Record<string, string> =
    name === 'view'
      ? { [`${RBAC}/aggregate-to-edit`]: 'true' }
      : name === 'edit'
        ? { [`${RBAC}/aggregate-to-admin`]: 'true' }
        : {};
  return clusterRole(name, [], { aggregationRule: { clusterRoleSelectors: selectors } }, labels);
}

const part = (to: string, rules: JsonObject[]) =>
  clusterRole(`system:aggregate-to-${to}`, rules, {}, { [`${RBAC}/aggregate-to-${to}`]: 'true' });

export function bootstrapRoles(): KubeObject[] {
  return [
    clusterRole('cluster-admin', [rule('*', '*', ['*']), urls('*', ['*'])]),
    aggregate('admin', 'admin'),
    aggregate('edit', 'edit'),
    aggregate('view', 'view'),
    part('admin', ADMIN_RULES),
    part('edit', EDIT_RULES),
    part('view', VIEW_RULES),
    clusterRole('system:discovery', [urls(DISCOVERY_URLS, ['get'])]),
    clusterRole('system:monitoring', [
      urls('/healthz /healthz/* /livez /livez/* /metrics /readyz /readyz/*', ['get']),
    ]),
    clusterRole('system:public-info-viewer', [urls('/healthz /livez /readyz /version /version/', ['get'])]),
    clusterRole('system:basic-user', [
      rule(AUTHZ, 'selfsubjectaccessreviews selfsubjectrulesreviews', ['create']),
      rule(AUTHN, 'selfsubjectreviews', ['create']),
    ]),
    clusterRole('system:auth-delegator', [
      rule(AUTHN, 'tokenreviews', ['create']),
      rule(AUTHZ, 'subjectaccessreviews', ['create']),
    ]),
    clusterRole('system:node', NODE_RULES),
    clusterRole('system:kube-controller-manager', CONTROLLER_RULES),
    clusterRole('system:kube-scheduler', SCHEDULER_RULES),
    clusterRole('system:kube-dns', [rule('', 'endpoints services', ['list', 'watch'])]),
  ];
}

function binding(name: string, role: string, ...subjects: [kind: string, name: string][]): KubeObject {
  return {
    apiVersion: `${RBAC}/v1`,
    kind: 'ClusterRoleBinding',
    metadata: { name, labels: BOOTSTRAP, annotations: AUTOUPDATE },
    roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: role },
    subjects: subjects.map(([kind, subject]) => ({ apiGroup: RBAC, kind, name: subject })),
  };
}

export function bootstrapBindings(): KubeObject[] {
  return [
    binding('cluster-admin', 'cluster-admin', ['Group', 'system:masters']),
    binding('system:discovery', 'system:discovery', ['Group', 'system:authenticated']),
    binding('system:basic-user', 'system:basic-user', ['Group', 'system:authenticated']),
    binding('system:monitoring', 'system:monitoring', ['Group', 'system:monitoring']),
    binding(
      'system:public-info-viewer',
      'system:public-info-viewer',
      ['Group', 'system:authenticated'],
      ['Group', 'system:unauthenticated'],
    ),
    binding('system:node', 'system:node', ['Group', 'system:nodes']),
    binding('system:kube-controller-manager', 'system:kube-controller-manager', [
      'User',
      'system:kube-controller-manager',
    ]),
    binding('system:kube-scheduler', 'system:kube-scheduler', ['User', 'system:kube-scheduler']),
  ];
}
