/** The resource types that clients and reflectors are asked for, and every type of object by one import. */
import type {
  CiliumEndpoint,
  CiliumNode,
  ClusterRole,
  ClusterRoleBinding,
  CustomResourceDefinition,
  DaemonSet,
  Deployment,
  EndpointSlice,
  Endpoints,
  KubeEvent,
  Lease,
  LegacyEvent,
  PriorityClass,
  ReplicaSet,
  Role,
  RoleBinding,
} from './apis.ts';
import type { ConfigMap, Namespace, Node, Pod, Secret, Service, ServiceAccount } from './core.ts';
import type { KubeObject } from './object.ts';

export interface ResourceType<T extends KubeObject = KubeObject> {
  readonly apiVersion: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
  /** Never set: carries the object's type to the compiler. */
  readonly object?: T;
}

export const PODS = namespaced<Pod>('v1', 'Pod', 'pods');
export const SECRETS = namespaced<Secret>('v1', 'Secret', 'secrets');
export const CONFIGMAPS = namespaced<ConfigMap>('v1', 'ConfigMap', 'configmaps');
export const SERVICES = namespaced<Service>('v1', 'Service', 'services');
export const ENDPOINTS = namespaced<Endpoints>('v1', 'Endpoints', 'endpoints');
export const SERVICEACCOUNTS = namespaced<ServiceAccount>('v1', 'ServiceAccount', 'serviceaccounts');
export const LEGACY_EVENTS = namespaced<LegacyEvent>('v1', 'Event', 'events');
export const NODES = clusterWide<Node>('v1', 'Node', 'nodes');
export const NAMESPACES = clusterWide<Namespace>('v1', 'Namespace', 'namespaces');
export const EVENTS = namespaced<KubeEvent>('events.k8s.io/v1', 'Event', 'events');
export const ENDPOINTSLICES = namespaced<EndpointSlice>(
  'discovery.k8s.io/v1',
  'EndpointSlice',
  'endpointslices',
);
export const DAEMONSETS = namespaced<DaemonSet>('apps/v1', 'DaemonSet', 'daemonsets');
export const DEPLOYMENTS = namespaced<Deployment>('apps/v1', 'Deployment', 'deployments');
export const REPLICASETS = namespaced<ReplicaSet>('apps/v1', 'ReplicaSet', 'replicasets');
export const LEASES = namespaced<Lease>('coordination.k8s.io/v1', 'Lease', 'leases');
export const PRIORITYCLASSES = clusterWide<PriorityClass>(
  'scheduling.k8s.io/v1',
  'PriorityClass',
  'priorityclasses',
);
export const ROLES = namespaced<Role>('rbac.authorization.k8s.io/v1', 'Role', 'roles');
export const ROLEBINDINGS = namespaced<RoleBinding>(
  'rbac.authorization.k8s.io/v1',
  'RoleBinding',
  'rolebindings',
);
export const CLUSTERROLES = clusterWide<ClusterRole>(
  'rbac.authorization.k8s.io/v1',
  'ClusterRole',
  'clusterroles',
);
export const CLUSTERROLEBINDINGS = clusterWide<ClusterRoleBinding>(
  'rbac.authorization.k8s.io/v1',
  'ClusterRoleBinding',
  'clusterrolebindings',
);
export const CRDS = clusterWide<CustomResourceDefinition>(
  'apiextensions.k8s.io/v1',
  'CustomResourceDefinition',
  'customresourcedefinitions',
);
export const CILIUMNODES = clusterWide<CiliumNode>('cilium.io/v2', 'CiliumNode', 'ciliumnodes');
export const CILIUMENDPOINTS = namespaced<CiliumEndpoint>(
  'cilium.io/v2',
  'CiliumEndpoint',
  'ciliumendpoints',
);

/** `/api/v1/namespaces/NS/pods/NAME`, `/apis/apps/v1/daemonsets` …; all namespaces when a list names none. */
export function resourcePath(
  type: ResourceType,
  options: {
    name?: string | undefined;
    namespace?: string | undefined;
    subresource?: string | undefined;
  } = {},
): string {
  const { name, namespace, subresource } = options;
  const group = type.apiVersion.includes('/') ? `/apis/${type.apiVersion}` : `/api/${type.apiVersion}`;
  const scope = type.namespaced && namespace ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  const object = name === undefined ? '' : `/${encodeURIComponent(name)}`;
  return `${group}${scope}/${type.plural}${object}${subresource ? `/${subresource}` : ''}`;
}

/** `namespace/name`, or `name` for what is cluster-wide. */
export function objectKey(object: { metadata: { name: string; namespace?: string } }): string {
  const { name, namespace } = object.metadata;
  return namespace ? `${namespace}/${name}` : name;
}

function namespaced<T extends KubeObject>(apiVersion: string, kind: string, plural: string): ResourceType<T> {
  return { apiVersion, kind, plural, namespaced: true };
}

function clusterWide<T extends KubeObject>(
  apiVersion: string,
  kind: string,
  plural: string,
): ResourceType<T> {
  return { apiVersion, kind, plural, namespaced: false };
}

export type * from './apis.ts';
export type * from './core.ts';
export type * from './object.ts';
