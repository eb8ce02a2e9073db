/** The cluster at one instant, and who of it can be a peer: the input of `plan`. */
import type { Suite } from '../proto/esp/suite.ts';
import { type AgentConfig, families } from './config.ts';
import { contains, type Family, familyOf, rangeOf } from './net.ts';
import {
  bySeniority,
  type ClusterNode,
  isRefusal,
  type NodeObject,
  type Refusal,
  type RefusalReason,
  readNode,
} from './node.ts';

export interface Snapshot {
  config: AgentConfig;
  /** CIDRs of all pods of the cluster, canonical. */
  clusterPodCIDRs: string[];
  /** All CiliumNode objects, the own one among them. */
  nodes: NodeObject[];
}

/** This node as it is, not as an object says it is. */
export interface SelfNode {
  name: string;
  podCIDRs: string[];
  /** Addresses of the node, v4 first. */
  addresses: string[];
  /** base64; absent when encryption is disabled. */
  publicKey?: string;
  /** Algorithms of the keys of IPsec that this node has; the pods' MTU follows from them. */
  suites?: readonly Suite[];
  /** Takes no part in node encryption. */
  optedOut: boolean;
  /** Devices by which packets of other nodes may come in, and the MTU of the one with the node's address. */
  underlay: { devices: string[]; mtu: number };
}

/** Every node is either a member or refused; the same on every node of the cluster. */
export interface Membership {
  members: ClusterNode[];
  refused: Refusal[];
}

/**
 * Checks the nodes against the configuration and against each other. Of two that claim the same key, address or pod
 * CIDR the older object keeps it.
 */
export function judge(snapshot: Snapshot): Membership {
  const read = snapshot.nodes.map(readNode);
  const refused = read.filter(isRefusal);
  const on = families(snapshot.config);
  const candidates = read.flatMap(node => (isRefusal(node) ? [] : [ofFamilies(node, on)]));
  const claims = new Claims(snapshot.clusterPodCIDRs);
  const members: ClusterNode[] = [];
  for (const node of candidates.sort(bySeniority)) {
    const refusal = claims.check(node);
    if (refusal) {
      refused.push(refusal);
      continue;
    }
    claims.add(node);
    members.push(node);
  }
  return { members, refused: refused.sort((a, b) => (a.name < b.name ? -1 : 1)) };
}

/** The members that are this node's peers; those at odds with what this node itself holds are refused. */
export function peersOf(membership: Membership, self: SelfNode, clusterPodCIDRs: string[]): Membership {
  const claims = new Claims(clusterPodCIDRs);
  claims.add({ ...self, created: '', internal: [], sealsNode: false });
  const members: ClusterNode[] = [];
  const refused = membership.refused.filter(({ name }) => name !== self.name);
  for (const node of membership.members) {
    if (node.name === self.name) continue;
    const refusal = claims.check(node);
    if (refusal) refused.push(refusal);
    else members.push(node);
  }
  return { members, refused };
}

/** What is taken already, and by whom. */
class Claims {
  readonly #cluster: string[];
  readonly #keys = new Map<string, string>();
  readonly #addresses = new Map<string, string>();
  readonly #ranges = { 4: new Ranges(), 6: new Ranges() };

  constructor(cluster: string[]) {
    this.#cluster = cluster;
  }

  add(node: ClusterNode): void {
    if (node.publicKey !== undefined) this.#keys.set(node.publicKey, node.name);
    for (const address of node.addresses) this.#addresses.set(address, node.name);
    for (const cidr of node.podCIDRs) this.#ranges[familyOf(cidr)].add(cidr, node.name);
  }

  check(node: ClusterNode): Refusal | undefined {
    const { name } = node;
    const refuse = (reason: RefusalReason, message: string): Refusal => ({ name, reason, message });

    const keyOwner = node.publicKey === undefined ? undefined : this.#keys.get(node.publicKey);
    if (keyOwner !== undefined) {
      return refuse(
        'DuplicatePublicKey',
        `${name} advertises the public key of ${keyOwner}, which keeps it; delete ` +
          `/var/run/cilium/state/cilium_wg0.key on ${name} and restart the agent there to make a new one.`,
      );
    }
    for (const address of node.addresses) {
      const owner = this.#addresses.get(address);
      if (owner !== undefined) {
        return refuse(
          'DuplicateAddress',
          `${name} has the address ${address} of ${owner}; correct spec.addresses of ${name}.`,
        );
      }
      if (this.#cluster.some(cidr => contains(cidr, address))) {
        return refuse(
          'InvalidAddress',
          `${name} has the node address ${address}, which lies in the cluster's pod CIDR; correct spec.addresses of ${name}.`,
        );
      }
    }
    for (const [index, cidr] of node.podCIDRs.entries()) {
      if (!this.#cluster.some(cluster => contains(cluster, cidr))) {
        return refuse(
          'PodCIDROutsideCluster',
          `${name} has the pod CIDR ${cidr}, which is not in the cluster's ${this.#cluster.join(', ') || '(none known)'}; ` +
            'correct spec.ipam.podCIDRs or cluster-pod-cidrs in cilium-config.',
        );
      }
      const owner =
        this.#ranges[familyOf(cidr)].owner(cidr) ?? (overlapsEarlier(node, index) ? name : undefined);
      if (owner !== undefined) {
        return refuse(
          'PodCIDROverlap',
          `${name} has the pod CIDR ${cidr}, which overlaps that of ${owner}; correct spec.ipam.podCIDRs of ${name}.`,
        );
      }
    }
    const stray = node.internal.find(
      ip => node.podCIDRs.length > 0 && !node.podCIDRs.some(cidr => contains(cidr, ip)),
    );
    if (stray !== undefined) {
      return refuse(
        'InvalidAddress',
        `${name} has the CiliumInternalIP ${stray}, which is not in its pod CIDR; correct spec.addresses of ${name}.`,
      );
    }
    return undefined;
  }
}

/** Ranges without overlap, sorted, each with its owner. */
class Ranges {
  readonly #sorted: { first: bigint; last: bigint; owner: string }[] = [];

  add(cidr: string, owner: string): void {
    const range = rangeOf(cidr);
    this.#sorted.splice(this.#position(range.first), 0, { ...range, owner });
  }

  owner(cidr: string): string | undefined {
    const { first, last } = rangeOf(cidr);
    const position = this.#position(first);
    const before = this.#sorted[position - 1];
    if (before && before.last >= first) return before.owner;
    const after = this.#sorted[position];
    return after && after.first <= last ? after.owner : undefined;
  }

  /** Of the first range that starts at `first` or later. */
  #position(first: bigint): number {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#sorted[middle]!.first < first) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function overlapsEarlier(node: ClusterNode, index: number): boolean {
  const cidr = node.podCIDRs[index]!;
  return node.podCIDRs.slice(0, index).some(other => contains(other, cidr) || contains(cidr, other));
}

function ofFamilies(node: ClusterNode, on: Family[]): ClusterNode {
  const keep = (text: string) => on.includes(familyOf(text));
  return { ...node, internal: node.internal.filter(keep), podCIDRs: node.podCIDRs.filter(keep) };
}
