/** What the parts of a plan have in common: this node, what is in use on it, and its peers with what is agreed with them. */
import type { AgentConfig } from './config.ts';
import { type Epoch, type Protocol, protocolOf } from './epochs/epoch.ts';
import type { Plane } from './epochs/plane.ts';
import { type Family, familyOf } from './net.ts';
import type { ClusterNode } from './node.ts';
import type { SelfNode } from './snapshot.ts';

export type Here = SelfNode & {
  /** CiliumInternalIPs of this node. */
  internal: string[];
};

export interface Scope {
  config: AgentConfig;
  here: Here;
  /** CIDRs of all pods. */
  cluster: string[];
  /** Protocols that are asked for or that something is still opened or sealed with. */
  uses: Readonly<Record<Protocol, boolean>>;
  /** Pods' packets may come and go in the clear. */
  clear: boolean;
}

export interface PlannedPeer {
  node: ClusterNode;
  /** Of what this node opens for it, seals, or probes with. */
  protocols: ReadonlySet<Protocol>;
  openings: { incarnation: string; epoch: Epoch }[];
  /** What seals its traffic, when that can go; with the run of the peer for which it does. */
  epoch?: Epoch;
  incarnation?: string;
  /** Why nothing goes to it, as a sentence. */
  reason?: string;
}

export function scopeOf(config: AgentConfig, here: Here, cluster: string[], plane: Plane): Scope {
  const { clear, opens, seals, probes } = plane;
  const target: Protocol = config.encryption === 'disabled' ? 'none' : config.encryption;
  const used = new Set<Protocol>([...opens, ...seals, ...probes].map(({ epoch }) => protocolOf(epoch)));
  const uses = {
    none: target === 'none' || clear,
    wireguard: target === 'wireguard' || used.has('wireguard'),
    ipsec: target === 'ipsec' || used.has('ipsec'),
  };
  return { config, here, cluster, uses, clear };
}

export function planPeers(scope: Scope, members: readonly ClusterNode[], plane: Plane): PlannedPeer[] {
  return members.map(node => {
    const of = <T extends { peer: string }>(all: readonly T[]) =>
      all.filter(({ peer }) => peer === node.name);
    const [seal] = of(plane.seals);
    const opens = of(plane.opens);
    const protocols = new Set(
      [...opens, ...of(plane.seals), ...of(plane.probes)].map(e => protocolOf(e.epoch)),
    );
    const reason = missing(scope, node, seal?.epoch);
    return {
      node,
      protocols,
      openings: opens.map(({ incarnation, epoch }) => ({ incarnation, epoch })),
      ...(reason === undefined && seal ? { epoch: seal.epoch, incarnation: seal.incarnation } : {}),
      ...(reason === undefined ? {} : { reason }),
    };
  });
}

/** What is missing before packets can go to the peer; undefined when nothing is. */
function missing({ config, here, clear }: Scope, peer: ClusterNode, epoch?: Epoch): string | undefined {
  const { name } = peer;
  if (peer.podCIDRs.length === 0) return `${name} has no pod CIDR yet`;
  if (addressFor(here, peer) === undefined) {
    return peer.addresses.length === 0
      ? `${name} has published no address yet`
      : `${name} has no address of a family that this node has`;
  }
  const protocol = epoch === undefined ? config.encryption : protocolOf(epoch);
  if (protocol === 'wireguard') {
    if (peer.publicKey === undefined) return `${name} has not advertised its public key yet`;
  } else if (peer.internal.length === 0) return `${name} has published no CiliumInternalIP yet`;
  else if (protocol === 'ipsec' && tunnelTo(here, peer) === undefined)
    return `${name} has no CiliumInternalIP of a family that this node has`;
  if (epoch === undefined) return `nothing is agreed with ${name} yet that would seal its traffic`;
  if (epoch === 'none' && !clear) return `${name} is not sealed for, and nothing goes in the clear`;
  return undefined;
}

/** By the underlay's family that both have; the same for both ends when they list the same families first. */
export function addressFor(here: Here, peer: ClusterNode): string | undefined {
  const mine = here.addresses.map(familyOf);
  return peer.addresses.find(address => mine.includes(familyOf(address)));
}

/** The ends of an ESP tunnel. */
export function tunnelTo(here: Here, peer: ClusterNode): { local: string; remote: string } | undefined {
  const remote = peer.internal.find(address => ofFamilies(here.internal, [familyOf(address)]).length > 0);
  const [local] = remote === undefined ? [] : ofFamilies(here.internal, [familyOf(remote)]);
  return remote !== undefined && local !== undefined ? { local, remote } : undefined;
}

/** Whether this node's own traffic is sealed too, not only its pods'. */
export function sealsNode({ config, here }: Scope): boolean {
  return config.encryption === 'wireguard' && config.encryptNode && !here.optedOut;
}

export function ofFamilies(texts: string[], wanted: Family[]): string[] {
  return texts.filter(text => wanted.includes(familyOf(text)));
}
