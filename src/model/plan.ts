/**
 * What the kernel of one node has to hold so that its pods reach those of its peers, and nothing goes unsealed.
 *
 * `plan` is a pure function of the cluster's state. The ground comes first and stands without any peer: with it alone,
 * every packet to a pod of another node is dropped (table 2110 ends in `unreachable`), and every pod packet that comes
 * in by the underlay is, too. Each peer that has advertised its key then adds its own paths, independent of the others.
 */
import { type AgentConfig, families } from './config.ts';
import * as names from './names.ts';
import { type Family, familyOf, firstUsable, hostPrefix, macOf } from './net.ts';
import { type NftPlan, netfilter } from './netfilter.ts';
import type { ClusterNode, Refusal } from './node.ts';
import { judge, type Membership, peersOf, type SelfNode, type Snapshot } from './snapshot.ts';

export interface NodePlan {
  mode: AgentConfig['encryption'];
  /** What pods of this node get. */
  network: { podCIDRs: string[]; gateways: string[]; mtu: number };
  ground: Ground;
  /** Absent when encryption is disabled. */
  wireguard?: WireGuardPlan;
  paths: Paths;
  peers: PeerState[];
  /** Nodes that are no peers of this one, and why. */
  refused: Refusal[];
  /** Who is in and who is not, as every node of the cluster sees it. */
  membership: Membership;
}

export interface Ground {
  /** To be there, in this order. A `wireguard` device is made by its driver: the ground only adjusts it. */
  links: LinkPlan[];
  /** Devices of ours that must not be there. */
  absentLinks: string[];
  /** All global addresses of the devices named here. */
  addresses: { device: string; addresses: string[] }[];
  sysctls: { key: string; value: string }[];
  /** All rules with priorities of ours. */
  rules: RulePlan[];
  /** All routes of ours that belong to no peer, in their tables. */
  routes: RoutePlan[];
  nft: NftPlan;
}

/** What leads to peers. */
export interface Paths {
  routes: RoutePlan[];
  neighbours: { device: string; address: string; mac: string }[];
  fdb: { device: string; mac: string; destination: string }[];
}

export type LinkPlan =
  | { kind: 'veth'; name: string; peer: string; mtu: number }
  | { kind: 'vxlan'; name: string; id: number; port: number; local: string; mac: string; mtu: number }
  | { kind: 'wireguard'; name: string; mtu: number };

export interface RulePlan {
  family: Family;
  priority: number;
  action: 'lookup' | 'blackhole';
  table?: number;
  from?: string;
  to?: string;
  iif?: string;
  mark?: number;
  mask?: number;
  invert?: boolean;
}

export interface RoutePlan {
  destination: string;
  table: number;
  type: 'unicast' | 'unreachable' | 'throw';
  device?: string;
  via?: string;
  source?: string;
}

export interface WireGuardPlan {
  device: string;
  listenPort: number;
  mark: number;
  peers: WireGuardPeer[];
}

export interface WireGuardPeer {
  /** The peer's node name. */
  name: string;
  /** base64. */
  publicKey: string;
  endpoint: { address: string; port: number };
  allowedIPs: string[];
  /** Seconds, 0 is off. */
  persistentKeepalive: number;
}

/** A peer is `routed`, or `waiting` for something that its node has yet to publish. */
export interface PeerState {
  name: string;
  addresses: string[];
  podCIDRs: string[];
  publicKey?: string;
  state: 'routed' | 'waiting';
  /** What is waited for, as a sentence. */
  reason?: string;
}

export function plan(snapshot: Snapshot, self: SelfNode): NodePlan {
  const { config } = snapshot;
  const cluster = ofFamilies(snapshot.clusterPodCIDRs, families(config));
  const podCIDRs = ofFamilies(self.podCIDRs, families(config));
  const here = { ...self, podCIDRs, internal: podCIDRs.map(firstUsable) };
  const membership = judge({ ...snapshot, clusterPodCIDRs: cluster });
  const { members, refused } = peersOf(membership, here, cluster);
  const sealed = config.encryption === 'wireguard';
  const peers = members.map(peer => ({ peer, reason: waitsFor(config, here, peer) }));
  const ready = peers.filter(({ reason }) => reason === undefined).map(({ peer }) => peer);
  return {
    mode: config.encryption,
    network: { podCIDRs, gateways: here.internal, mtu: podMtu(config, here) },
    ground: groundOf(config, here, cluster),
    ...(sealed ? { wireguard: wireguardOf(config, here, ready) } : {}),
    paths: sealed ? sealedPaths(config, here, ready) : openPaths(here, ready),
    peers: peers.map(({ peer, reason }) => peerState(peer, reason)),
    refused,
    membership,
  };
}

type Here = SelfNode & { internal: string[] };

/** What is missing before packets can go to the peer; undefined when nothing is. */
function waitsFor(config: AgentConfig, here: Here, peer: ClusterNode): string | undefined {
  if (peer.podCIDRs.length === 0) return `${peer.name} has no pod CIDR yet`;
  if (addressFor(here, peer) === undefined) {
    return peer.addresses.length === 0
      ? `${peer.name} has published no address yet`
      : `${peer.name} has no address of a family that this node has`;
  }
  if (config.encryption === 'wireguard' && peer.publicKey === undefined) {
    return `${peer.name} has not advertised its public key yet`;
  }
  if (config.encryption === 'disabled' && peer.internal.length === 0) {
    return `${peer.name} has published no CiliumInternalIP yet`;
  }
  return undefined;
}

function peerState(peer: ClusterNode, reason: string | undefined): PeerState {
  const { name, addresses, podCIDRs, publicKey } = peer;
  return {
    name,
    addresses,
    podCIDRs,
    ...(publicKey === undefined ? {} : { publicKey }),
    ...(reason === undefined ? { state: 'routed' } : { state: 'waiting', reason }),
  };
}

function groundOf(config: AgentConfig, here: Here, cluster: string[]): Ground {
  const sealed = config.encryption === 'wireguard';
  const underlay = underlayMtu(config, here);
  const tunnel: LinkPlan = sealed
    ? { kind: 'wireguard', name: names.WIREGUARD_DEVICE, mtu: underlay - names.WIREGUARD_OVERHEAD }
    : vxlanLink(config, here, underlay);
  return {
    links: [{ kind: 'veth', name: names.HOST_DEVICE, peer: names.HOST_PEER_DEVICE, mtu: underlay }, tunnel],
    absentLinks: [sealed ? names.VXLAN_DEVICE : names.WIREGUARD_DEVICE],
    // On the tunnel too: kube-proxy's masquerading takes the address of the device by which a packet leaves, and an
    // answer to the node's own address would come back in the clear.
    addresses: [names.HOST_DEVICE, tunnel.name].map(device => ({
      device,
      addresses: here.internal.map(hostPrefix),
    })),
    sysctls: sysctlsOf(config, here, tunnel.name),
    rules: [
      ...(sealed ? arrivalRules(here, cluster) : []),
      ...(sealsNode(config, here) ? families(config).map(nodeRule) : []),
      ...cluster.map(
        (to): RulePlan => ({
          family: familyOf(to),
          priority: names.PRIORITY.pods,
          action: 'lookup',
          to,
          table: names.TABLE.pods,
        }),
      ),
    ],
    routes: [
      ...defaults(cluster).map(
        (destination): RoutePlan => ({ destination, table: names.TABLE.pods, type: 'unreachable' }),
      ),
      ...here.podCIDRs.flatMap((destination): RoutePlan[] => [
        { destination, table: names.TABLE.main, type: 'unreachable' },
        { destination, table: names.TABLE.pods, type: 'throw' },
      ]),
    ],
    nft: netfilter(config, here, cluster),
  };
}

/** None that comes in unsealed is delivered: pods' packets arrive by the tunnel's device alone. */
function arrivalRules(here: Here, cluster: string[]): RulePlan[] {
  return here.underlay.devices.flatMap(iif =>
    cluster.map(
      (from): RulePlan => ({
        family: familyOf(from),
        priority: names.PRIORITY.arrivals,
        action: 'blackhole',
        iif,
        from,
      }),
    ),
  );
}

function nodeRule(family: Family): RulePlan {
  return {
    family,
    priority: names.PRIORITY.nodes,
    action: 'lookup',
    mark: names.SEALED_MARK,
    mask: names.MARK_MASK,
    invert: true,
    table: names.TABLE.nodes,
  };
}

function wireguardOf(config: AgentConfig, here: Here, ready: ClusterNode[]): WireGuardPlan {
  return {
    device: names.WIREGUARD_DEVICE,
    listenPort: names.WIREGUARD_PORT,
    mark: names.SEALED_MARK,
    peers: ready.map(peer => ({
      name: peer.name,
      publicKey: peer.publicKey!,
      endpoint: { address: addressFor(here, peer)!, port: names.WIREGUARD_PORT },
      allowedIPs: [...peer.podCIDRs, ...peer.addresses.map(hostPrefix)],
      persistentKeepalive: config.persistentKeepalive,
    })),
  };
}

function sealedPaths(config: AgentConfig, here: Here, ready: ClusterNode[]): Paths {
  const device = names.WIREGUARD_DEVICE;
  const pods = ready.flatMap(peer =>
    routable(here, peer).map(
      ({ destination, source }): RoutePlan => ({
        destination,
        table: names.TABLE.pods,
        type: 'unicast',
        device,
        source,
      }),
    ),
  );
  const sealing = sealsNode(config, here) ? ready.filter(peer => peer.sealsNode) : [];
  const nodes = sealing.flatMap(peer =>
    peer.addresses.flatMap((address): RoutePlan[] => {
      const source = ofFamilies(here.addresses, [familyOf(address)])[0];
      if (source === undefined) return [];
      return [
        { destination: hostPrefix(address), table: names.TABLE.nodes, type: 'unicast', device, source },
      ];
    }),
  );
  return { routes: [...pods, ...nodes], neighbours: [], fdb: [] };
}

function openPaths(here: Here, ready: ClusterNode[]): Paths {
  const device = names.VXLAN_DEVICE;
  const paths: Paths = { routes: [], neighbours: [], fdb: [] };
  for (const peer of ready) {
    const mac = macOf(peer.internal[0]!);
    paths.fdb.push({ device, mac, destination: addressFor(here, peer)! });
    for (const address of peer.internal) paths.neighbours.push({ device, address, mac });
    for (const { destination, source } of routable(here, peer)) {
      const via = ofFamilies(peer.internal, [familyOf(destination)])[0];
      if (via === undefined) continue;
      paths.routes.push({ destination, table: names.TABLE.pods, type: 'unicast', device, via, source });
    }
  }
  return paths;
}

/** The peer's pod CIDRs of families that this node's pods have, with the address that the node itself sends from. */
function routable(here: Here, peer: ClusterNode): { destination: string; source: string }[] {
  return peer.podCIDRs.flatMap(destination => {
    const source = ofFamilies(here.internal, [familyOf(destination)])[0];
    return source === undefined ? [] : [{ destination, source }];
  });
}

function vxlanLink(config: AgentConfig, here: Here, underlay: number): LinkPlan {
  const local = here.addresses[0] ?? '';
  return {
    kind: 'vxlan',
    name: names.VXLAN_DEVICE,
    id: names.VXLAN_ID,
    port: config.tunnelPort,
    local,
    mac: macOf(here.internal[0] ?? '0.0.0.0'),
    mtu: underlay - names.VXLAN_OVERHEAD[familyOf(local)],
  };
}

/** By the underlay's family that both have; the same for both ends when they list the same families first. */
function addressFor(here: Here, peer: ClusterNode): string | undefined {
  const mine = here.addresses.map(familyOf);
  return peer.addresses.find(address => mine.includes(familyOf(address)));
}

function sysctlsOf(config: AgentConfig, here: Here, tunnel: string): Ground['sysctls'] {
  const sysctl = (key: string, value: number) => ({ key: `net/${key}`, value: String(value) });
  const quiet = [names.HOST_DEVICE, names.HOST_PEER_DEVICE, tunnel];
  return [
    ...(config.ipv4 ? [sysctl('ipv4/ip_forward', 1)] : []),
    ...(config.ipv6 ? [sysctl('ipv6/conf/all/forwarding', 1)] : []),
    ...quiet.flatMap(device => [
      sysctl(`ipv4/conf/${device}/rp_filter`, 0),
      // No link-local address of its own: nothing crosses the tunnel before a pod sends something.
      config.ipv6
        ? sysctl(`ipv6/conf/${device}/addr_gen_mode`, 1)
        : sysctl(`ipv6/conf/${device}/disable_ipv6`, 1),
    ]),
    // With node encryption the sealed datagrams of a node come in by another device than the way back to it.
    ...(sealsNode(config, here)
      ? here.underlay.devices.map(device => sysctl(`ipv4/conf/${device}/rp_filter`, 2))
      : []),
  ];
}

function sealsNode(config: AgentConfig, here: Here): boolean {
  return config.encryption === 'wireguard' && config.encryptNode && !here.optedOut;
}

function underlayMtu(config: AgentConfig, here: Here): number {
  return config.mtu || here.underlay.mtu;
}

function podMtu(config: AgentConfig, here: Here): number {
  const underlay = underlayMtu(config, here);
  if (config.encryption === 'wireguard') return underlay - names.WIREGUARD_OVERHEAD;
  return underlay - names.VXLAN_OVERHEAD[familyOf(here.addresses[0] ?? '')];
}

function defaults(cluster: string[]): string[] {
  const has = new Set(cluster.map(familyOf));
  return [...(has.has(4) ? ['0.0.0.0/0'] : []), ...(has.has(6) ? ['::/0'] : [])];
}

function ofFamilies(texts: string[], wanted: Family[]): string[] {
  return texts.filter(text => wanted.includes(familyOf(text)));
}
