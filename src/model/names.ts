/** The names and numbers of the node's data plane, as users and tools see them (ip, tcpdump, wg, nft). */

export const HOST_DEVICE = 'cilium_host';
export const HOST_PEER_DEVICE = 'cilium_net';
export const VXLAN_DEVICE = 'cilium_vxlan';
export const WIREGUARD_DEVICE = 'cilium_wg0';
export const ESP_DEVICE = 'cilium_esp0';

export const WIREGUARD_PORT = 51_871;
/** On what the engine has sealed, so that it is not sealed again and finds its way to the peer. */
export const SEALED_MARK = 0xe00;
export const MARK_MASK = 0xf00;

export const VXLAN_ID = 2;

/** Policy routing: lower priorities are asked first; 0 is the kernel's `local`, 32766 `main`. */
export const PRIORITY = { arrivals: 100, tunnels: 104, nodes: 105, pods: 110 } as const;
/** Where rules of ours are; a rule in between that the plan lacks is removed. */
export const OWN_PRIORITIES = { first: 100, last: 119 } as const;
export const TABLE = { pods: 2110, nodes: 2111, tunnels: 2112, main: 254 } as const;
/** Marks routes of ours in the main table (rtm_protocol; free according to iproute2's rt_protos). */
export const ROUTE_PROTOCOL = 110;

export const NFT_TABLE = 'pellicle';
/** An empty chain in it: pods' packets may come and go in the clear. */
export const NFT_CLEAR = 'clear';

/** Devices that carry pods' packets on this node: not the underlay, not the world. */
export function isOwnDevice(name: string): boolean {
  return name.startsWith('lxc') || name.startsWith('cilium_');
}
