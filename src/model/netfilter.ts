/** The nftables script: who may say that it is whom, and what has to change its source address. Pure text; one transaction. */
import { createHash } from 'node:crypto';
import { type AgentConfig, families } from './config.ts';
import { NFT_TABLE, VXLAN_DEVICE, WIREGUARD_DEVICE } from './names.ts';
import { type Family, familyOf } from './net.ts';

export interface NftPlan {
  table: string;
  /** The name of an empty chain in the table that tells which script was applied. */
  version: string;
  script: string;
}

/**
 * - A pod speaks with its own addresses, or not at all.
 * - With encryption on, nothing comes to a pod straight off the wire: pods of other nodes, and the nodes themselves, send
 *   through the tunnel, and answers to what left the cluster come to the node's address. (The rule that refuses the
 *   pods' addresses there stands beside this, should somebody flush nftables.)
 * - With encryption on, nothing for a pod goes out onto the wire: routes that should lead it into the tunnel may be gone,
 *   as network managers flush rules and routes that they do not know.
 * - What leaves the cluster from a local pod takes the node's address.
 * - What this node itself (or a client outside) sends to a pod on another node takes the CiliumInternalIP, so that the
 *   answer comes back through the tunnel, too, and never in the clear to the node's address.
 */
export function netfilter(
  config: AgentConfig,
  self: { podCIDRs: string[]; internal: string[] },
  clusterPodCIDRs: string[],
): NftPlan {
  const lines = families(config).flatMap(family => {
    const cluster = ofFamily(clusterPodCIDRs, family);
    const own = ofFamily(self.podCIDRs, family);
    const [internal] = ofFamily(self.internal, family);
    if (cluster.length === 0 || own.length === 0 || internal === undefined) return [];
    const ip = family === 4 ? 'ip' : 'ip6';
    const on = family === 4 ? config.masqueradeIPv4 : config.masqueradeIPv6;
    return [
      `oifname { "${WIREGUARD_DEVICE}", "${VXLAN_DEVICE}" } ${ip} saddr != ${set(cluster)} ` +
        `${ip} daddr ${set(cluster)} snat ${ip} to ${internal}`,
      ...(on
        ? [
            `oifname != { "lo", "cilium_*", "lxc*" } ${ip} saddr ${set(own)} ${ip} daddr != ${set(cluster)} masquerade`,
          ]
        : []),
    ];
  });
  const leaving = block(lines);
  const sealed = config.encryption === 'disabled' ? [] : clusterPodCIDRs;
  const arriving = block([...NO_SPOOFING, ...sealed.map(cidr => onTheWire('iifname', cidr))]);
  const guard = block(sealed.map(cidr => onTheWire('oifname', cidr)));
  const version = `v_${createHash('sha256')
    .update(arriving + guard + leaving)
    .digest('hex')
    .slice(0, 12)}`;
  const script = `table inet ${NFT_TABLE}
delete table inet ${NFT_TABLE}
table inet ${NFT_TABLE} {
  chain ${version} {
  }
  chain arriving {
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
  'iifname "lxc*" ip6 saddr != { ::, fe80::/10 } fib saddr . iif oif eq 0 drop',
];

function onTheWire(device: 'iifname' | 'oifname', podCIDR: string): string {
  const ip = familyOf(podCIDR) === 4 ? 'ip' : 'ip6';
  return `${device} != { "lo", "cilium_*", "lxc*" } ${ip} daddr ${podCIDR} drop`;
}

function block(lines: string[]): string {
  return lines.map(line => `    ${line}\n`).join('');
}

function ofFamily(texts: string[], family: Family): string[] {
  return texts.filter(text => familyOf(text) === family);
}

function set(members: string[]): string {
  return `{ ${members.join(', ')} }`;
}
