/** How long a packet of a pod may be, by what it is wrapped in on its way to another node. All in bytes. */
import { longestPayload } from '../proto/esp/packet.ts';
import { aeadSuite, type Suite } from '../proto/esp/suite.ts';
import type { Family } from './net.ts';

/** WireGuard over IPv6: 40 + 8 + 16 + 16. */
const WIREGUARD_OVERHEAD = 80;
/** Outer IP, UDP, VXLAN and inner Ethernet headers. */
const VXLAN_OVERHEAD = { 4: 50, 6: 70 } as const;
const IP_HEADER = { 4: 20, 6: 40 } as const;
/** What Cilium takes off for ESP with a tag of 16 bytes. */
const ESP_OVERHEAD = 77;

export function wireguardMtu(underlay: number): number {
  return underlay - WIREGUARD_OVERHEAD;
}

/** `carrier`: the family of the nodes' own addresses. */
export function vxlanMtu(underlay: number, carrier: Family): number {
  return underlay - VXLAN_OVERHEAD[carrier];
}

/**
 * What Cilium's users know (1373 with AES-GCM at 1500), which leaves room for both families in the tunnel; and never more
 * than fits. Without a suite, as for AES-GCM. `tunnel`: the family of the CiliumInternalIPs.
 */
export function ipsecMtu(
  underlay: number,
  carrier: Family,
  tunnel: Family,
  suites: readonly Suite[],
): number {
  const room = vxlanMtu(underlay, carrier);
  const each = (suites.length > 0 ? suites : [USUAL_SUITE]).map(suite =>
    Math.min(room - overhead(suite), longestPayload(suite, room - IP_HEADER[tunnel])),
  );
  return Math.min(...each);
}

const USUAL_SUITE = aeadSuite('rfc4106(gcm(aes))', 20, 128);

/** Cilium counts the hex digits of an HMAC's key, which commonly has the length of the tag. */
function overhead({ icvLength, integrity }: Suite): number {
  return ESP_OVERHEAD - 16 + (integrity === undefined ? icvLength : 2 * icvLength);
}
