/** A plan as plain data: what the kernel and the data planes of one node have to hold. plan.ts makes it, drivers make it real. */
import type { AgentConfig } from './config.ts';
import type { Epoch } from './epochs/epoch.ts';
import type { Family } from './net.ts';
import type { NftPlan } from './netfilter.ts';
import type { Refusal } from './node.ts';
import type { Membership } from './snapshot.ts';

export interface NodePlan {
  /** What the configuration asks for; while the cluster moves, more than that is in use. */
  mode: AgentConfig['encryption'];
  /** What pods of this node get. */
  network: { podCIDRs: string[]; gateways: string[]; mtu: number };
  ground: Ground;
  /** There while WireGuard is asked for or in use. */
  wireguard?: WireGuardPlan;
  /** There while IPsec is asked for or in use. */
  ipsec?: IpsecPlan;
  paths: Paths;
  peers: PeerState[];
  /** Nodes that are no peers of this one, and why. */
  refused: Refusal[];
  /** Who is in and who is not, as every node of the cluster sees it. */
  membership: Membership;
}

export interface Ground {
  /** To be there, in this order. `wireguard` and `esp` devices are made by their drivers: the ground only adjusts them. */
  links: LinkPlan[];
  /** Devices of ours that nobody needs. Those that an engine holds stay. */
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
  | { kind: 'wireguard'; name: string; mtu: number }
  | { kind: 'esp'; name: string; mtu: number };

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

/** Without keys. */
export interface IpsecPlan {
  device: string;
  /** Inner CIDRs of this node: nothing else is delivered. */
  local: string[];
  peers: IpsecPlanPeer[];
}

export interface IpsecPlanPeer {
  /** The peer's node name. */
  name: string;
  /** The CiliumInternalIPs between which ESP goes. */
  tunnel: { local: string; remote: string };
  /** Inner CIDRs of the peer: sealed for it, and let in from it. Its CiliumInternalIP is in them. */
  cidrs: string[];
  openings: { incarnation: string; epoch: Epoch }[];
  /** The opening that seals the peer's traffic; absent: nothing is sent. */
  seals?: { incarnation: string; epoch: Epoch };
}

/** A peer is `routed`, or `waiting` for something that its node has yet to publish. */
export interface PeerState {
  name: string;
  addresses: string[];
  podCIDRs: string[];
  publicKey?: string;
  state: 'routed' | 'waiting';
  /** With what its traffic is sealed; absent while it is `waiting`. */
  epoch?: Epoch;
  /** What is waited for, as a sentence. */
  reason?: string;
}
