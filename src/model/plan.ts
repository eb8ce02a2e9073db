/**
 * What the kernel of one node has to hold so that its pods reach those of its peers, and nothing goes unsealed.
 *
 * `plan` is a pure function of the cluster's state and of the epochs that are open here. The ground comes first and stands
 * without any peer: with it alone, every packet to a pod of another node is dropped (table 2110 ends in `unreachable`),
 * and every pod packet that comes in by the underlay is, too. Each peer then adds its own paths, independent of the
 * others, by the device of the epoch that seals its traffic. While the cluster moves from one epoch to the next, the
 * devices and guards of both are there.
 */
import { families } from './config.ts';
import type { Plane } from './epochs/plane.ts';
import { firstUsable } from './net.ts';
import type { NodePlan, PeerState } from './nodeplan.ts';
import { groundOf, podMtu } from './plan-ground.ts';
import { ipsecOf, pathsOf, wireguardOf } from './plan-peers.ts';
import { ofFamilies, type PlannedPeer, planPeers, scopeOf } from './plan-scope.ts';
import { judge, peersOf, type SelfNode, type Snapshot } from './snapshot.ts';

export type {
  Ground,
  IpsecPlan,
  IpsecPlanPeer,
  LinkPlan,
  NodePlan,
  Paths,
  PeerState,
  RoutePlan,
  RulePlan,
  WireGuardPeer,
  WireGuardPlan,
} from './nodeplan.ts';

/** `plane`: as it is to be, with all that is to be opened and sealed already in it. */
export function plan(snapshot: Snapshot, self: SelfNode, plane: Plane): NodePlan {
  const { config } = snapshot;
  const on = families(config);
  const cluster = ofFamilies(snapshot.clusterPodCIDRs, on);
  const podCIDRs = ofFamilies(self.podCIDRs, on);
  const here = { ...self, podCIDRs, internal: podCIDRs.map(firstUsable) };
  const membership = judge({ ...snapshot, clusterPodCIDRs: cluster });
  const { members, refused } = peersOf(membership, here, cluster);
  const scope = scopeOf(config, here, cluster, plane);
  const peers = planPeers(scope, members, plane);
  return {
    mode: config.encryption,
    network: { podCIDRs, gateways: here.internal, mtu: podMtu(scope) },
    ground: groundOf(scope),
    ...(scope.uses.wireguard ? { wireguard: wireguardOf(scope, peers) } : {}),
    ...(scope.uses.ipsec ? { ipsec: ipsecOf(scope, peers) } : {}),
    paths: pathsOf(scope, peers),
    peers: peers.map(peerState),
    refused,
    membership,
  };
}

function peerState({ node, epoch, reason }: PlannedPeer): PeerState {
  const { name, addresses, podCIDRs, publicKey } = node;
  return {
    name,
    addresses,
    podCIDRs,
    ...(publicKey === undefined ? {} : { publicKey }),
    ...(reason === undefined ? { state: 'routed' } : { state: 'waiting', reason }),
    ...(epoch === undefined ? {} : { epoch }),
  };
}
