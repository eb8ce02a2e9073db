/** The nftables script: who may say that it is whom, and what has to change its source address. Pure text; one transaction. */
import { createHash } from 'node:crypto';
import { type AgentConfig, families } from './config.ts';
import {
  ESP_DEVICE,
  MARK_MASK,
  NFT_CLEAR,
  NFT_TABLE,
  SEALED_MARK,
  VXLAN_DEVICE,
  WIREGUARD_DEVICE,
} from './names.ts';
import { type Family, familyOf } from './net.ts';

export interface NftPlan {
  table: string;
  /** The name of an empty chain in the table that tells which script was applied. */
  version: string;
  script: string;
}

export interface NftInput {
  config: AgentConfig;
  podCIDRs: string[];
  /** CiliumInternalIPs of this node. */
  internal: string[];
  /** CIDRs of all pods. */
  cluster: string[];
  /** Encryption is asked for or in use. */
  guarded: boolean;
  /** Pods' packets may come and go in the clear, by vxlan. */
  clear: boolean;
}

/**
 * - A pod speaks with its own addresses, or not at all; and it speaks to no vxlan, of no node. It neither sends nor gets
 *   anything of an address family that is switched off.
 * - With encryption on, nothing comes to a pod straight off the wire: pods of other nodes, and the nodes themselves, send
 *   through the tunnel, and answers to what left the cluster come to the node's address. (The rule that refuses the
 *   pods' addresses there stands beside this, should somebody flush nftables.)
 * - With encryption on, nothing for a pod goes out onto the wire: routes that should lead it into the tunnel may be gone,
 *   as network managers flush rules and routes that they do not know.
 * - By vxlan comes nothing but ESP for this node, and goes nothing but what the engine has sealed; unless what is in the
 *   clear may.
 * - What leaves the cluster from a local pod takes the node's address.
 * - What this node itself (or a client outside) sends to a pod on another node takes the CiliumInternalIP, so that the
 *   answer comes back through the tunnel, too, and never in the clear to the node's address.
 *
 * There are no sets: a packet that is on its way through the rules while they are replaced sees the rules as they were, but
 * the sets as they will be, and one whose device is not in a set of those that may pass would be lost.
 */
export function netfilter(input: NftInput): NftPlan {
  const { cluster, guarded, clear } = input;
  const wire = guarded ? cluster : [];
  const arriving = block([
    ...NO_SPOOFING,
    ...unused(input, 'iifname'),
    ...noForeignVxlan(input),
    ...wire.map(cidr => `${onTheWire('iifname')} ${forPods(cidr)}`),
    ...espArrives(input),
    ...(clear ? [] : [`iifname "${VXLAN_DEVICE}" drop`]),
  ]);
  const guard = block([
    ...unused(input, 'oifname'),
    ...wire.map(cidr => `${onTheWire('oifname')} ${forPods(cidr)}`),
    ...(clear
      ? []
      : [
          `oifname "${VXLAN_DEVICE}" meta l4proto esp meta mark & ${hex(MARK_MASK)} == ${hex(SEALED_MARK)} accept`,
          `oifname "${VXLAN_DEVICE}" drop`,
        ]),
  ]);
  const leaving = block(leavingLines(input));
  const version = `v_${createHash('sha256')
    .update(`${arriving}\n${guard}\n${leaving}\n${clear}`)
    .digest('hex')
    .slice(0, 12)}`;
  const markers = [version, ...(clear ? [NFT_CLEAR] : [])];
  const script = `table inet ${NFT_TABLE}
delete table inet ${NFT_TABLE}
table inet ${NFT_TABLE} {
${markers.map(name => `  chain ${name} {\n  }\n`).join('')}  chain arriving {
    type filter hook prerouting priority raw; policy accept;
${arriving}  }
  chain guard {
    type filter hook postrouting priority filter; policy accept;
${guard}  }
  chain leaving {
    type nat hook postrouting priority 90; policy accept;
${leaving}  }
}
`;
  return { table: NFT_TABLE, version, script };
}

/** Link-local addresses, and none, are what IPv6 itself needs on a link. */
const NO_SPOOFING = [
  'iifname "lxc*" meta nfproto ipv4 fib saddr . iif oif eq 0 drop',
  'iifname "lxc*" ip6 saddr != :: ip6 saddr != fe80::/10 fib saddr . iif oif eq 0 drop',
];

/** Pods from before a family was switched off have their addresses still, and no route or rule knows of these. */
function unused({ config }: NftInput, device: 'iifname' | 'oifname'): string[] {
  const on = families(config);
  return ([4, 6] as const)
    .filter(family => !on.includes(family))
    .map(family => `${device} "lxc*" meta nfproto ${protocolOf(family)} drop`);
}

/** Whoever reaches the UDP port of vxlan is taken for a node: it must not be a pod, neither here nor through a tunnel. */
function noForeignVxlan({ config, cluster }: NftInput): string[] {
  const to = `udp dport ${config.tunnelPort}`;
  return [
    ...['lxc*', ...TUNNELS].map(device => `iifname "${device}" ${to} fib daddr type local drop`),
    ...families(config).map(family => {
      const outside = ofFamily(cluster, family).map(cidr => `${ip(family)} daddr != ${cidr} `);
      return `iifname "lxc*" meta nfproto ${protocolOf(family)} ${outside.join('')}${to} drop`;
    }),
  ];
}

/** The mark lets the kernel find the way back of ESP when it checks that there is one. */
function espArrives({ guarded, internal }: NftInput): string[] {
  if (!guarded) return [];
  return internal.map(
    address =>
      `iifname "${VXLAN_DEVICE}" meta l4proto esp ${ip(familyOf(address))} daddr ${address} meta mark set ${hex(SEALED_MARK)} accept`,
  );
}

function leavingLines({ config, podCIDRs, internal: own, cluster: all }: NftInput): string[] {
  return families(config).flatMap(family => {
    const cluster = ofFamily(all, family);
    const pods = ofFamily(podCIDRs, family);
    const [internal] = ofFamily(own, family);
    if (cluster.length === 0 || internal === undefined) return [];
    const word = ip(family);
    const masquerades = family === 4 ? config.masqueradeIPv4 : config.masqueradeIPv6;
    const foreign = (side: 'saddr' | 'daddr') => cluster.map(cidr => `${word} ${side} != ${cidr}`).join(' ');
    return [
      ...TUNNELS.flatMap(device =>
        cluster.map(
          cidr => `oifname "${device}" ${foreign('saddr')} ${word} daddr ${cidr} snat ${word} to ${internal}`,
        ),
      ),
      ...(masquerades
        ? pods.map(cidr => `${onTheWire('oifname')} ${word} saddr ${cidr} ${foreign('daddr')} masquerade`)
        : []),
    ];
  });
}

const TUNNELS = [WIREGUARD_DEVICE, ESP_DEVICE, VXLAN_DEVICE];

/** Neither to or from a pod, nor through a tunnel, nor within the node. */
function onTheWire(device: 'iifname' | 'oifname'): string {
  return ['lo', 'cilium_*', 'lxc*'].map(name => `${device} != "${name}"`).join(' ');
}

function forPods(podCIDR: string): string {
  return `${ip(familyOf(podCIDR))} daddr ${podCIDR} drop`;
}

function block(lines: string[]): string {
  return lines.map(line => `    ${line}\n`).join('');
}

function ip(family: Family): 'ip' | 'ip6' {
  return family === 4 ? 'ip' : 'ip6';
}

function protocolOf(family: Family): 'ipv4' | 'ipv6' {
  return family === 4 ? 'ipv4' : 'ipv6';
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

function ofFamily(texts: string[], family: Family): string[] {
  return texts.filter(text => familyOf(text) === family);
}
