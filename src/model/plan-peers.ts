/** The part of a plan that leads to the peers: routes, what vxlan has to know, and what WireGuard and IPsec have to hold. */
import { protocolOf } from './epochs/epoch.ts';
import * as names from './names.ts';
import { familyOf, hostPrefix, macOf } from './net.ts';
import type { IpsecPlan, Paths, RoutePlan, WireGuardPlan } from './nodeplan.ts';
import {
  addressFor,
  type Here,
  ofFamilies,
  type PlannedPeer,
  type Scope,
  sealsNode,
  tunnelTo,
} from './plan-scope.ts';

export function wireguardOf({ config, here }: Scope, peers: readonly PlannedPeer[]): WireGuardPlan {
  return {
    device: names.WIREGUARD_DEVICE,
    listenPort: names.WIREGUARD_PORT,
    mark: names.SEALED_MARK,
    peers: peers.flatMap(({ node, protocols }) => {
      const address = addressFor(here, node);
      const { name, publicKey, podCIDRs } = node;
      if (!protocols.has('wireguard') || podCIDRs.length === 0) return [];
      if (publicKey === undefined || address === undefined) return [];
      return [
        {
          name,
          publicKey,
          endpoint: { address, port: names.WIREGUARD_PORT },
          allowedIPs: [...podCIDRs, ...node.addresses.map(hostPrefix)],
          persistentKeepalive: config.persistentKeepalive,
        },
      ];
    }),
  };
}

export function ipsecOf({ here }: Scope, peers: readonly PlannedPeer[]): IpsecPlan {
  return {
    device: names.ESP_DEVICE,
    local: here.podCIDRs,
    peers: peers.flatMap(peer => {
      const { node, epoch, incarnation } = peer;
      const tunnel = tunnelTo(here, node);
      const openings = peer.openings.filter(opening => protocolOf(opening.epoch) === 'ipsec');
      if (openings.length === 0 || tunnel === undefined) return [];
      if (node.podCIDRs.length === 0 || addressFor(here, node) === undefined) return [];
      const sealing = openings.find(each => each.epoch === epoch && each.incarnation === incarnation);
      return [
        {
          name: node.name,
          tunnel,
          cidrs: node.podCIDRs,
          openings,
          ...(sealing === undefined ? {} : { seals: sealing }),
        },
      ];
    }),
  };
}

export function pathsOf(scope: Scope, peers: readonly PlannedPeer[]): Paths {
  const paths: Paths = { routes: [], neighbours: [], fdb: [] };
  for (const peer of peers) {
    paths.routes.push(...podRoutes(scope.here, peer));
    if (peer.protocols.has('ipsec') || scope.clear) vxlanTo(scope.here, peer, paths);
  }
  for (const peer of peers) if (sealsNode(scope)) paths.routes.push(...nodeRoutes(scope.here, peer));
  return paths;
}

/** The peer's pod CIDRs of families that this node's pods have, by the device of the epoch that seals. */
function podRoutes(here: Here, { node, epoch }: PlannedPeer): RoutePlan[] {
  if (epoch === undefined) return [];
  const protocol = protocolOf(epoch);
  return node.podCIDRs.flatMap((destination): RoutePlan[] => {
    const family = [familyOf(destination)];
    const [source] = ofFamilies(here.internal, family);
    const [via] = ofFamilies(node.internal, family);
    if (source === undefined) return [];
    const route = { destination, table: names.TABLE.pods, type: 'unicast', source } as const;
    if (protocol === 'wireguard') return [{ ...route, device: names.WIREGUARD_DEVICE }];
    if (protocol === 'ipsec') return [{ ...route, device: names.ESP_DEVICE }];
    return via === undefined ? [] : [{ ...route, device: names.VXLAN_DEVICE, via }];
  });
}

/** What vxlan has to know of the peer, and the way of ESP to it. */
function vxlanTo(here: Here, { node, protocols }: PlannedPeer, paths: Paths): void {
  const device = names.VXLAN_DEVICE;
  const [first] = node.internal;
  const destination = addressFor(here, node);
  if (first === undefined || destination === undefined) return;
  const mac = macOf(first);
  paths.fdb.push({ device, mac, destination });
  for (const address of node.internal) paths.neighbours.push({ device, address, mac });
  const tunnel = protocols.has('ipsec') ? tunnelTo(here, node) : undefined;
  if (tunnel === undefined) return;
  paths.routes.push({
    destination: hostPrefix(tunnel.remote),
    table: names.TABLE.tunnels,
    type: 'unicast',
    device,
    source: tunnel.local,
  });
}

/** To a peer whose own traffic is sealed as well, once its pods' is. */
function nodeRoutes(here: Here, { node, epoch }: PlannedPeer): RoutePlan[] {
  if (epoch !== 'wireguard' || !node.sealsNode) return [];
  return node.addresses.flatMap((address): RoutePlan[] => {
    const [source] = ofFamilies(here.addresses, [familyOf(address)]);
    if (source === undefined) return [];
    return [
      {
        destination: hostPrefix(address),
        table: names.TABLE.nodes,
        type: 'unicast',
        device: names.WIREGUARD_DEVICE,
        source,
      },
    ];
  });
}
