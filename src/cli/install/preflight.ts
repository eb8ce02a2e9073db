/** What would keep an installation from working, found before anything is changed. */
import { readFileSync } from 'node:fs';
import type { KubeClient } from '../../kube/client.ts';
import type { DaemonSet, Node } from '../../kube/types.ts';
import type { Ability } from '../../linux/probe.ts';
import { addressOf, contains } from '../../model/net.ts';
import { Failure } from '../failure.ts';
import { keyProblems } from '../keys.ts';
import type { Settings } from '../values/values.ts';
import type { ClusterShape } from './config.ts';
import type { Facts } from './facts.ts';
import { AGENT, ENGINE, MANAGED_BY, MANAGER } from './labels.ts';
import type { Manifest } from './objects.ts';

/** Throws a Failure with everything that is missing. */
export async function preflight(
  client: KubeClient,
  facts: Facts,
  shape: ClusterShape,
  settings: Settings,
  { namespace, manifests }: { namespace: string; manifests: Manifest[] },
): Promise<void> {
  const { encryption } = settings;
  const isIpsec = encryption.enabled && encryption.type === 'ipsec';
  const problems = [
    ...foreignNetworks(facts.daemonSets),
    ...unfitNodes(facts.nodes),
    ...overlaps(facts, shape),
    ...(await kernelProblems(facts, settings)),
    ...(isIpsec ? await keyProblems(client, namespace, encryption.ipsec.secretName) : []),
    ...(await missingRights(client, manifests)),
  ];
  if (problems.length > 0) throw new Failure(problems.join('; '));
}

/** DaemonSets of CNI plugins that cannot share a node with this one. */
const OTHER_PLUGINS = [
  'calico-node',
  'canal',
  'kube-flannel-ds',
  'kube-flannel',
  'weave-net',
  'kindnet',
  'antrea-agent',
  'kube-router',
  'kube-ovn-cni',
  'aws-node',
  'azure-cni',
];

function foreignNetworks(daemonSets: DaemonSet[]): string[] {
  return daemonSets.flatMap(set => {
    const { name, namespace, labels } = set.metadata;
    const image = set.spec.template.spec.containers[0]?.image ?? 'an unknown image';
    if (
      [AGENT, ENGINE].includes(name) &&
      labels?.[MANAGED_BY] !== MANAGER &&
      set.spec.selector.matchLabels?.['k8s-app']
    )
      return [
        `there is a Cilium that Pellicle did not install (DaemonSet ${namespace}/${name}, ${image}): uninstall it first`,
      ];
    if (OTHER_PLUGINS.includes(name))
      return [
        `another CNI plugin is there (DaemonSet ${namespace}/${name}): remove it first, kubectl -n ${namespace} delete ds ${name}`,
      ];
    return [];
  });
}

function unfitNodes(nodes: Node[]): string[] {
  if (nodes.length === 0) return ['the cluster has no nodes yet: add one first'];
  const linux = nodes.filter(node => (node.status?.nodeInfo?.operatingSystem ?? 'linux') === 'linux');
  return linux.length > 0 ? [] : ['no node of the cluster runs Linux, which the agent needs'];
}

/** What is sent to the pods' network goes to pods or nowhere: nothing else may live there. */
function overlaps({ nodes, apiAddresses }: Facts, { podCIDRs }: ClusterShape): string[] {
  const others = [
    ...apiAddresses.map(address => ({ what: "the cluster's API server has the Service address", address })),
    ...nodes.flatMap(({ metadata, status }) =>
      (status?.addresses ?? [])
        .filter(({ type }) => type === 'InternalIP')
        .map(({ address }) => ({ what: `node ${metadata.name} has the address`, address })),
    ),
  ];
  return others.flatMap(({ what, address }) => {
    const cidr = addressOf(address) && podCIDRs.find(candidate => contains(candidate, address));
    return cidr
      ? [
          `${what} ${address}, which lies in the pods' network ${cidr}: give another network with clusterPodCIDRs or ipam.operator`,
        ]
      : [];
  });
}

/** Nodes that share this machine's kernel (those of the lab) can be looked at from here; others tell it themselves. */
async function kernelProblems({ nodes, lab }: Facts, settings: Settings): Promise<string[]> {
  const here = bootId();
  const local = nodes.filter(node => lab || node.status?.nodeInfo?.bootID === here);
  if (here === undefined || local.length === 0) return [];
  const { probe } = await import('../../linux/probe.ts');
  const abilities = await probe();
  // Without rights of our own nothing was tried.
  if (!abilities.netAdmin.ok || !abilities.sysAdmin.ok) return [];
  const { encryption, engine } = settings;
  const { wireguard, tun, vxlan, nft } = abilities;
  const withoutEngine: Ability = {
    ok: wireguard.ok,
    reason: `${wireguard.reason}; engine.enabled=false keeps the engine away: leave that out`,
  };
  const carriers = !encryption.enabled
    ? [vxlan]
    : encryption.type === 'ipsec'
      ? [tun, vxlan]
      : [engine.enabled ? (wireguard.ok ? wireguard : tun) : withoutEngine];
  const names = local.map(node => node.metadata.name).join(', ');
  return [...carriers, nft].filter(ability => !ability.ok).map(({ reason }) => `${names}: ${reason}`);
}

function bootId(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** Asks the API server, kind by kind, whether this user may make what has to be made. */
async function missingRights(client: KubeClient, manifests: Manifest[]): Promise<string[]> {
  const kinds = new Map(
    manifests.map(({ type, object }) => [
      `${type.apiVersion}/${type.plural}`,
      { type, namespace: object.metadata.namespace },
    ]),
  );
  const asked = [...kinds.values()].map(async ({ type, namespace }) => {
    const group = type.apiVersion.includes('/') ? type.apiVersion.split('/')[0] : '';
    const review = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectAccessReview',
      spec: {
        resourceAttributes: { group, resource: type.plural, verb: 'create', ...(namespace && { namespace }) },
      },
    };
    const { status, body } = await client.raw(
      'POST',
      '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
      review,
    );
    // Where the review itself is not to be had, the attempt will tell.
    if (status >= 300) return undefined;
    const answer = JSON.parse(body.toString('utf8')) as { status?: { allowed?: boolean } };
    return answer.status?.allowed === false ? type.plural : undefined;
  });
  const missing = (await Promise.all(asked)).filter(plural => plural !== undefined);
  if (missing.length === 0) return [];
  return [
    `you may not create ${missing.sort().join(', ')} in this cluster: use a context with the rights of cluster-admin`,
  ];
}
