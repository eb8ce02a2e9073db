/** The part of a plan that stands without any peer: guards, devices, addresses, settings of the kernel. */
import { families } from './config.ts';
import { ipsecMtu, vxlanMtu, wireguardMtu } from './mtu.ts';
import * as names from './names.ts';
import { type Family, familyOf, hostPrefix, macOf } from './net.ts';
import { netfilter } from './netfilter.ts';
import type { Ground, LinkPlan, RoutePlan, RulePlan } from './nodeplan.ts';
import { ofFamilies, type Scope, sealsNode } from './plan-scope.ts';

export function groundOf(scope: Scope): Ground {
  const { here, cluster, uses, clear } = scope;
  const tunnels = tunnelLinks(scope);
  const wanted = tunnels.map(({ name }) => name);
  const unneeded = TUNNEL_DEVICES.filter(name => !wanted.includes(name));
  const guarded = isGuarded(scope);
  const underlay = underlayMtu(scope);
  const internal = here.internal.map(hostPrefix);
  return {
    links: [
      { kind: 'veth', name: names.HOST_DEVICE, peer: names.HOST_PEER_DEVICE, mtu: underlay },
      ...tunnels,
    ],
    absentLinks: unneeded,
    // On the tunnels too: kube-proxy's masquerading takes the address of the device by which a packet leaves, and an
    // answer to the node's own address would come back in the clear.
    addresses: [
      ...[names.HOST_DEVICE, ...wanted].map(device => ({ device, addresses: internal })),
      ...unneeded.map(device => ({ device, addresses: [] })),
    ],
    sysctls: sysctlsOf(scope, wanted),
    rules: [
      ...(guarded ? arrivalRules(scope) : []),
      ...(uses.ipsec ? cluster.map(tunnelRule) : []),
      ...(sealsNode(scope) ? families(scope.config).map(nodeRule) : []),
      ...cluster.map(podRule),
    ],
    routes: [
      ...nowhere(names.TABLE.pods, cluster),
      ...(uses.ipsec ? nowhere(names.TABLE.tunnels, cluster) : []),
      ...here.podCIDRs.flatMap((destination): RoutePlan[] => [
        { destination, table: names.TABLE.main, type: 'unreachable' },
        { destination, table: names.TABLE.pods, type: 'throw' },
      ]),
    ],
    nft: netfilter({
      config: scope.config,
      podCIDRs: here.podCIDRs,
      internal: here.internal,
      cluster,
      guarded,
      clear,
    }),
  };
}

/** The smallest of all that is in use, so that a pod that comes while the cluster moves fits before and after. */
export function podMtu(scope: Scope): number {
  return Math.min(...carriers(scope).map(({ mtu }) => mtu));
}

const TUNNEL_DEVICES = [names.WIREGUARD_DEVICE, names.ESP_DEVICE, names.VXLAN_DEVICE];

/** Whether anything but the open network of an unencrypted cluster is asked for or in use. */
function isGuarded({ uses, clear }: Scope): boolean {
  return uses.wireguard || uses.ipsec || !clear;
}

/** The devices that pods' packets are routed to. */
function carriers(scope: Scope): LinkPlan[] {
  const { here, uses } = scope;
  const underlay = underlayMtu(scope);
  const carrier = familyOf(here.addresses[0] ?? '');
  const tunnel = familyOf(here.internal[0] ?? '');
  return [
    ...(uses.wireguard
      ? [{ kind: 'wireguard', name: names.WIREGUARD_DEVICE, mtu: wireguardMtu(underlay) } as const]
      : []),
    ...(uses.ipsec
      ? [
          {
            kind: 'esp',
            name: names.ESP_DEVICE,
            mtu: ipsecMtu(underlay, carrier, tunnel, here.suites ?? []),
          } as const,
        ]
      : []),
    ...(uses.none ? [vxlanLink(scope)] : []),
  ];
}

/** ESP is carried by vxlan, too. */
function tunnelLinks(scope: Scope): LinkPlan[] {
  const { none, ipsec } = scope.uses;
  return ipsec && !none ? [...carriers(scope), vxlanLink(scope)] : carriers(scope);
}

function vxlanLink(scope: Scope): LinkPlan {
  const { config, here } = scope;
  const local = here.addresses[0] ?? '';
  return {
    kind: 'vxlan',
    name: names.VXLAN_DEVICE,
    id: names.VXLAN_ID,
    port: config.tunnelPort,
    local,
    mac: macOf(here.internal[0] ?? '0.0.0.0'),
    mtu: vxlanMtu(underlayMtu(scope), familyOf(local)),
  };
}

function underlayMtu({ config, here }: Scope): number {
  return config.mtu || here.underlay.mtu;
}

/** None that comes in unsealed is delivered: pods' packets arrive by the tunnel's device alone. */
function arrivalRules({ here, cluster }: Scope): RulePlan[] {
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

/** What the engine has sealed for a peer's CiliumInternalIP goes by vxlan, and not into the engine again. */
function tunnelRule(to: string): RulePlan {
  return {
    family: familyOf(to),
    priority: names.PRIORITY.tunnels,
    action: 'lookup',
    mark: names.SEALED_MARK,
    mask: names.MARK_MASK,
    to,
    table: names.TABLE.tunnels,
  };
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

function podRule(to: string): RulePlan {
  return {
    family: familyOf(to),
    priority: names.PRIORITY.pods,
    action: 'lookup',
    to,
    table: names.TABLE.pods,
  };
}

/** The end of a table: what no peer's route has taken. */
function nowhere(table: number, cluster: string[]): RoutePlan[] {
  return (['0.0.0.0/0', '::/0'] as const)
    .filter(destination => ofFamilies(cluster, [familyOf(destination)]).length > 0)
    .map(destination => ({ destination, table, type: 'unreachable' }));
}

function sysctlsOf(scope: Scope, tunnels: string[]): Ground['sysctls'] {
  const { config, here } = scope;
  const sysctl = (key: string, value: number) => ({ key: `net/${key}`, value: String(value) });
  return [
    ...(config.ipv4 ? [sysctl('ipv4/ip_forward', 1)] : []),
    ...(config.ipv6 ? [sysctl('ipv6/conf/all/forwarding', 1)] : []),
    ...[names.HOST_DEVICE, names.HOST_PEER_DEVICE, ...tunnels].flatMap(device => [
      // Any way back will do: while the cluster moves, a peer may send by another tunnel than this node does.
      sysctl(`ipv4/conf/${device}/rp_filter`, tunnels.includes(device) ? 2 : 0),
      // No link-local address of its own: nothing crosses the tunnel before a pod sends something.
      ...(config.ipv6 ? [sysctl(`ipv6/conf/${device}/addr_gen_mode`, 1)] : []),
      sysctl(`ipv6/conf/${device}/disable_ipv6`, config.ipv6 ? 0 : 1),
    ]),
    // The way back of ESP is that of what bears its mark.
    ...(scope.uses.ipsec ? [sysctl(`ipv4/conf/${names.VXLAN_DEVICE}/src_valid_mark`, 1)] : []),
    // With node encryption the sealed datagrams of a node come in by another device than the way back to it.
    ...(sealsNode(scope)
      ? here.underlay.devices.map(device => sysctl(`ipv4/conf/${device}/rp_filter`, 2))
      : []),
  ];
}
