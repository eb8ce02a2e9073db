/** The names and numbers of the node's data plane, as users and tools see them (ip, tcpdump, wg, nft). */

export const HOST_DEVICE = 'cilium_host';
export const HOST_PEER_DEVICE = 'cilium_net';
export const VXLAN_DEVICE = 'cilium_vxlan';
export const WIREGUARD_DEVICE = 'cilium_wg0';

export const WIREGUARD_PORT = 51_871;
/** On the engine's own datagrams, so that node encryption does not seal them again. */
export const SEALED_MARK = 0xe00;
export const MARK_MASK = 0xf00;

export const VXLAN_ID = 2;
/** WireGuard over IPv6: 40 + 8 + 16 + 16 bytes. */
export const WIREGUARD_OVERHEAD = 80;
export const VXLAN_OVERHEAD = { 4: 50, 6: 70 } as const;

/** Policy routing: lower priorities are asked first; 0 is the kernel's `local`, 32766 `main`. */
export const PRIORITY = { arrivals: 100, nodes: 105, pods: 110 } as const;
/** Where rules of ours are; a rule in between that the plan lacks is removed. */
export const OWN_PRIORITIES = { first: 100, last: 119 } as const;
export const TABLE = { pods: 2110, nodes: 2111, main: 254 } as const;
/** Marks routes of ours in the main table (rtm_protocol; free according to iproute2's rt_protos). */
export const ROUTE_PROTOCOL = 110;

export const NFT_TABLE = 'pellicle';

/** Devices that carry pods' packets on this node: not the underlay, not the world. */
export function isOwnDevice(name: string): boolean {
  return name.startsWith('lxc') || name.startsWith('cilium_');
}
