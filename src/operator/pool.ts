/** Hands out pod CIDRs to nodes (ipam: cluster-pool): the first free piece of the pools, never one that overlaps another. */
import { addressFromInteger, addressToInteger } from '../proto/ip/address.ts';
import { type Cidr, formatCidr, network, overlaps, parseCidr, sizeOf } from '../proto/ip/cidr.ts';

export interface Pool {
  family: 4 | 6;
  /** Networks to hand out of, in order. */
  networks: string[];
  /** Prefix length of a node's piece. */
  maskSize: number;
}

/** Keys of cilium-config; absent for families that are not handed out. */
export interface PoolConfig {
  'cluster-pool-ipv4-cidr'?: string;
  'cluster-pool-ipv4-mask-size'?: string;
  'cluster-pool-ipv6-cidr'?: string;
  'cluster-pool-ipv6-mask-size'?: string;
}

export function poolsOf(config: PoolConfig): Pool[] {
  const pool = (family: 4 | 6, networks: string | undefined, maskSize: string | undefined): Pool[] =>
    networks?.trim()
      ? [
          {
            family,
            networks: networks.trim().split(/[\s,]+/),
            maskSize: Number(maskSize ?? (family === 4 ? 24 : 120)),
          },
        ]
      : [];
  return [
    ...pool(4, config['cluster-pool-ipv4-cidr'], config['cluster-pool-ipv4-mask-size']),
    ...pool(6, config['cluster-pool-ipv6-cidr'], config['cluster-pool-ipv6-mask-size']),
  ];
}

/** A free piece, or undefined when the pool is used up. `used` may hold CIDRs of any size and family. */
export function nextPodCIDR(pool: Pool, used: Iterable<string>): string | undefined {
  const taken = [...used].map(parseCidr).filter(cidr => cidr !== undefined);
  for (const text of pool.networks) {
    const whole = parseCidr(text);
    if (!whole || whole.prefix > pool.maskSize) continue;
    const free = firstFree(network(whole), pool.maskSize, taken);
    if (free) return formatCidr(free);
  }
  return undefined;
}

/** Goes past every range that is in the way, in order of their addresses. */
function firstFree(whole: Cidr, prefix: number, taken: Cidr[]): Cidr | undefined {
  const { family } = whole.address;
  const start = addressToInteger(whole.address);
  const end = start + sizeOf(whole);
  const size = sizeOf({ address: whole.address, prefix });
  const ranges = taken
    .filter(cidr => overlaps(whole, cidr))
    .map(cidr => ({ first: addressToInteger(network(cidr).address), size: sizeOf(cidr) }))
    .sort((a, b) => (a.first < b.first ? -1 : 1));
  let at = start;
  for (const range of ranges) {
    const after = range.first + range.size;
    if (after <= at) continue;
    if (range.first >= at + size) break;
    at = ((after + size - 1n) / size) * size;
  }
  const address = at + size <= end ? addressFromInteger(family, at) : undefined;
  return address && { address, prefix };
}
