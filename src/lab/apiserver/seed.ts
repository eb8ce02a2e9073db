/** What a cluster has from its first start: namespaces, the kubernetes Service, bootstrap roles, priority classes. */
import type { Api } from './api.ts';
import { bootstrapBindings, bootstrapRoles } from './auth/bootstrap.ts';
import { equal, type KubeObject, timestamp } from './object.ts';
import { RBAC } from './registry/access.ts';
import { firstAddress } from './registry/services.ts';

const NAMESPACES = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];

export interface Advertised {
  readonly advertise: string;
  readonly port: number;
}

/** Makes what is missing, and makes it again when it is deleted; returns what ends that. */
export function keepSeeded(api: Api, advertised: Advertised): () => void {
  let scheduled: NodeJS.Immediate | undefined;
  const again = () => {
    scheduled = undefined;
    seed(api, advertised);
  };
  const stop = api.store.onChange(({ type, resource, stored }) => {
    const own = resource === 'namespaces' ? NAMESPACES.includes(stored.name) : stored.name === 'kubernetes';
    // A commit from within a listener would overtake the change it answers.
    if (type === 'DELETED' && own) scheduled ??= setImmediate(again);
  });
  seed(api, advertised);
  return () => {
    if (scheduled) clearImmediate(scheduled);
    stop();
  };
}

function seed(api: Api, { advertise, port }: Advertised): void {
  for (const name of NAMESPACES) {
    ensure(api, 'namespaces', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name, labels: { 'kubernetes.io/metadata.name': name } },
      spec: { finalizers: ['kubernetes'] },
      status: { phase: 'Active' },
    });
    const account = {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'default', namespace: name },
    };
    ensure(api, 'serviceaccounts', account);
  }
  for (const role of bootstrapRoles()) ensure(api, `clusterroles.${RBAC}`, role);
  for (const binding of bootstrapBindings()) ensure(api, `clusterrolebindings.${RBAC}`, binding);
  priorityClass(api, 'system-cluster-critical', 2_000_000_000);
  priorityClass(api, 'system-node-critical', 2_000_001_000);
  kubernetesService(api, advertise, port);
}

function priorityClass(api: Api, name: string, value: number): void {
  ensure(api, 'priorityclasses.scheduling.k8s.io', {
    apiVersion: 'scheduling.k8s.io/v1',
    kind: 'PriorityClass',
    metadata: { name, generation: 1 },
    value,
    preemptionPolicy: 'PreemptLowerPriority',
    description: `Used for system critical pods that must ${value > 2_000_000_000 ? 'not be moved from their current node' : 'run in the cluster, but can be moved to another node if necessary'}.`,
  });
}

/** The Service by which pods reach this server; its endpoints follow the address at every start. */
function kubernetesService(api: Api, advertise: string, port: number): void {
  const labels = { component: 'apiserver', provider: 'kubernetes' };
  const ipv6 = advertise.includes(':');
  const cidr =
    api.serviceCidrs.find(item => item.includes(':') === ipv6) ?? api.serviceCidrs[0] ?? '10.96.0.0/16';
  const address = firstAddress(cidr);
  const family = address.includes(':') ? 'IPv6' : 'IPv4';
  ensure(api, 'services', {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'kubernetes', namespace: 'default', labels },
    spec: {
      type: 'ClusterIP',
      clusterIP: address,
      clusterIPs: [address],
      ipFamilies: [family],
      ipFamilyPolicy: 'SingleStack',
      internalTrafficPolicy: 'Cluster',
      sessionAffinity: 'None',
      ports: [{ name: 'https', port: 443, protocol: 'TCP', targetPort: port }],
    },
    status: { loadBalancer: {} },
  });
  renew(api, 'endpoints', {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: {
      name: 'kubernetes',
      namespace: 'default',
      labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' },
    },
    subsets: [{ addresses: [{ ip: advertise }], ports: [{ name: 'https', port, protocol: 'TCP' }] }],
  });
  renew(api, 'endpointslices.discovery.k8s.io', {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: 'kubernetes',
      namespace: 'default',
      generation: 1,
      labels: { 'kubernetes.io/service-name': 'kubernetes' },
    },
    addressType: ipv6 ? 'IPv6' : 'IPv4',
    endpoints: [{ addresses: [advertise], conditions: { ready: true } }],
    ports: [{ name: 'https', port, protocol: 'TCP' }],
  });
}

function ensure(api: Api, resource: string, object: KubeObject): void {
  if (api.store.get(resource, object.metadata.namespace ?? '', object.metadata.name)) return;
  const metadata = { ...object.metadata, uid: api.uuid(), creationTimestamp: timestamp(api.now()) };
  api.store.commit({ resource, put: { ...object, metadata } });
}

function renew(api: Api, resource: string, object: KubeObject): void {
  const old = api.store.get(resource, object.metadata.namespace ?? '', object.metadata.name);
  if (!old) {
    ensure(api, resource, object);
    return;
  }
  const { metadata, ...rest } = object;
  if (Object.entries(rest).every(([key, value]) => equal(old.object[key], value))) return;
  api.store.commit({ resource, put: { ...old.object, ...rest } });
}
