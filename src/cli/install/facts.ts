/** What a cluster is like, read from its API before anything is decided. */
import { isNotFound, type KubeClient } from '../../kube/client.ts';
import {
  CONFIGMAPS,
  DAEMONSETS,
  type DaemonSet,
  type KubeObject,
  NODES,
  type Node,
  PODS,
  type ResourceType,
  SERVICES,
} from '../../kube/types.ts';
import { podSubnetsOf } from '../../model/config.ts';
import { Failure } from '../failure.ts';
import type { Settings } from '../values/values.ts';
import type { ClusterShape } from './config.ts';
import { AGENT, ENGINE, MANAGED_BY, MANAGER } from './labels.ts';

export interface Facts {
  /** Of the kubeconfig. */
  context: string;
  cluster: string;
  /** Such as v1.32.4. */
  serverVersion: string;
  /** kind, minikube, K3s, GKE …, or nothing known. */
  kind: string | undefined;
  /** The nodes are those of `pellicle lab`. */
  lab: boolean;
  nodes: Node[];
  daemonSets: DaemonSet[];
  kubeProxy: boolean;
  /** Addresses of the Service `kubernetes`. */
  apiAddresses: string[];
  /** Networks of all pods, where the cluster says so; else empty. */
  podSubnets: string[];
}

export async function readFacts(
  client: KubeClient,
  connection: { context: string; cluster: string },
): Promise<Facts> {
  const { context, cluster } = connection;
  const [serverVersion, nodes, daemonSets, kubeadm, api] = await Promise.all([
    readVersion(client),
    client.list(NODES).then(list => list.items),
    client.list(DAEMONSETS).then(list => list.items),
    readOr(client, CONFIGMAPS, 'kubeadm-config', 'kube-system'),
    readOr(client, SERVICES, 'kubernetes', 'default'),
  ]);
  const fromKubeadm = podSubnetsOf(kubeadm?.data?.['ClusterConfiguration'] ?? '');
  const lab = nodes.some(node => node.spec.providerID?.startsWith('pellicle://'));
  return {
    context,
    cluster,
    serverVersion,
    kind: kindOf(context, serverVersion, nodes),
    lab,
    nodes,
    daemonSets,
    // The lab's nodes do kube-proxy's work themselves.
    kubeProxy: lab || daemonSets.some(set => set.metadata.name === 'kube-proxy'),
    apiAddresses: api?.spec.clusterIPs ?? (api?.spec.clusterIP ? [api.spec.clusterIP] : []),
    podSubnets: fromKubeadm.length > 0 ? fromKubeadm : await fromControllerManager(client),
  };
}

/** Another namespace with an installation. Nodes and cluster-wide objects have room for one only. */
export function installedElsewhere(daemonSets: DaemonSet[], namespace: string): string | undefined {
  return daemonSets.find(
    ({ metadata }) =>
      [AGENT, ENGINE].includes(metadata.name) &&
      metadata.labels?.[MANAGED_BY] === MANAGER &&
      metadata.namespace !== namespace,
  )?.metadata.namespace;
}

/** The cluster's name, where pod addresses come from, and the networks that hold them all. */
export function shapeOf(facts: Facts, settings: Settings): ClusterShape {
  const nodesHaveCIDRs = facts.nodes.some(node => node.spec.podCIDR || node.spec.podCIDRs?.length);
  const ipam = settings.ipam.mode || (nodesHaveCIDRs ? 'kubernetes' : 'cluster-pool');
  if (ipam === 'kubernetes' && !nodesHaveCIDRs)
    throw new Failure(
      'ipam.mode=kubernetes, but the nodes have no spec.podCIDR: give the controller manager --allocate-node-cidrs and --cluster-cidr, or use --set ipam.mode=cluster-pool',
    );
  const { clusterPoolIPv4PodCIDRList: pool4, clusterPoolIPv6PodCIDRList: pool6 } = settings.ipam.operator;
  const known = ipam === 'cluster-pool' ? [...pool4, ...pool6] : facts.podSubnets;
  const podCIDRs = (settings.clusterPodCIDRs.length > 0 ? settings.clusterPodCIDRs : known).filter(cidr =>
    cidr.includes(':') ? settings.ipv6.enabled : settings.ipv4.enabled,
  );
  for (const [family, wanted, sign] of [
    ['IPv4', settings.ipv4.enabled, '10.244.0.0/16'],
    ['IPv6', settings.ipv6.enabled, 'fd00:10:244::/56'],
  ] as const) {
    if (wanted && !podCIDRs.some(cidr => cidr.includes(':') === (family === 'IPv6')))
      throw new Failure(
        `the cluster does not say which ${family} network holds its pods: write it, for instance --set clusterPodCIDRs={${sign}}`,
      );
  }
  if (ipam === 'kubernetes') requireNodeCIDRs(facts.nodes, settings);
  const clusterName =
    settings.cluster.name || facts.cluster.replace(/[^A-Za-z0-9-]+/g, '-').slice(0, 63) || 'default';
  return { clusterName, ipam, podCIDRs };
}

function requireNodeCIDRs(nodes: Node[], { ipv4, ipv6 }: Settings): void {
  const cidrs = nodes.flatMap(({ spec }) => spec.podCIDRs ?? (spec.podCIDR ? [spec.podCIDR] : []));
  for (const [family, wanted] of [
    ['IPv4', ipv4.enabled],
    ['IPv6', ipv6.enabled],
  ] as const)
    if (wanted && !cidrs.some(cidr => cidr.includes(':') === (family === 'IPv6')))
      throw new Failure(
        `no node has an ${family} pod CIDR in spec.podCIDRs: give the controller manager an ${family} network with --cluster-cidr, or use --set ${family.toLowerCase()}.enabled=false`,
      );
}

export async function readOr<T extends KubeObject>(
  client: KubeClient,
  type: ResourceType<T>,
  name: string,
  namespace?: string,
): Promise<T | undefined> {
  try {
    return await client.get(type, name, namespace);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

async function readVersion(client: KubeClient): Promise<string> {
  const { status, body } = await client.raw('GET', '/version');
  try {
    const { gitVersion } = JSON.parse(body.toString('utf8')) as { gitVersion?: unknown };
    if (status === 200 && typeof gitVersion === 'string') return gitVersion;
  } catch {
    // told below
  }
  throw new Failure(
    `${client.server} does not answer like a Kubernetes API server (GET /version: ${status}): check --context and --kubeconfig`,
  );
}

/** kubeadm-less clusters with visible control planes name it among the controller manager's arguments. */
async function fromControllerManager(client: KubeClient): Promise<string[]> {
  const pods = await client.list(PODS, {
    namespace: 'kube-system',
    labelSelector: 'component=kube-controller-manager',
  });
  for (const pod of pods.items)
    for (const { command = [], args = [] } of pod.spec.containers)
      for (const argument of [...command, ...args])
        if (argument.startsWith('--cluster-cidr='))
          return argument.slice('--cluster-cidr='.length).split(',');
  return [];
}

function kindOf(context: string, serverVersion: string, nodes: Node[]): string | undefined {
  if (context.startsWith('kind-')) return 'kind';
  if (context === 'minikube' || nodes.some(node => node.metadata.labels?.['minikube.k8s.io/name']))
    return 'minikube';
  if (serverVersion.includes('+k3s')) return 'K3s';
  if (serverVersion.includes('-gke.')) return 'GKE';
  if (serverVersion.includes('-eks-')) return 'EKS';
  return undefined;
}
