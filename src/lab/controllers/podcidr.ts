/** Pod CIDRs: cuts the cluster's ranges into one block a node and hands them out. */
import type { Node } from '../../kube/types.ts';
import { NODES } from '../../kube/types.ts';
import { addressFromInteger, addressToInteger } from '../../proto/ip/address.ts';
import { type Cidr, formatCidr, network, parseCidr } from '../../proto/ip/cidr.ts';
import type { Cluster } from './cluster.ts';
import { type Controller, controller, EVERYTHING } from './controller.ts';
import { byAge, isDeleting } from './objects.ts';

/** Bits of a node's block in each family. */
const NODE_BITS = { 4: 24, 6: 64 } as const;

export interface ClusterRange {
  family: 4 | 6;
  base: bigint;
  /** Blocks of a node's size in the range. */
  blocks: bigint;
}

export class CidrError extends Error {}

/** Reads `10.244.0.0/16,fd00:10:244::/56`. */
export function parseClusterRanges(text: string): ClusterRange[] {
  const ranges = text.split(',').map(part => parseRange(part.trim()));
  const families = new Set(ranges.map(range => range.family));
  if (families.size !== ranges.length || ranges.length > 2)
    throw new CidrError(`--cluster-cidr takes one range a family, not "${text}"`);
  return ranges;
}

/** The blocks for nodes that have none yet: each keeps what it has, nothing is handed out twice. */
export function allocate(
  ranges: readonly ClusterRange[],
  nodes: readonly Node[],
): { node: Node; podCIDRs: string[] }[] {
  const taken = ranges.map(range => new Set(nodes.flatMap(cidrsOf).map(cidr => blockIndex(range, cidr))));
  const wanting = nodes.filter(node => cidrsOf(node).length === 0 && !isDeleting(node)).sort(byAge);
  const given: { node: Node; podCIDRs: string[] }[] = [];
  const give = (node: Node, index: bigint): void => {
    for (const used of taken) used.add(index);
    given.push({ node, podCIDRs: ranges.map(range => block(range, index)) });
  };
  const isFree = (index: bigint) =>
    ranges.every((range, at) => index < range.blocks && !taken[at]!.has(index));
  const rest = wanting.filter(node => {
    const index = favourite(node.metadata.name);
    if (index === undefined || !isFree(index)) return true;
    give(node, index);
    return false;
  });
  for (const node of rest) {
    const smallest = ranges.reduce(
      (least, range) => (range.blocks < least ? range.blocks : least),
      ranges[0]!.blocks,
    );
    let index = 0n;
    while (index < smallest && !isFree(index)) index++;
    if (index < smallest) give(node, index);
  }
  return given;
}

export function podCidrController(cluster: Cluster, ranges: readonly ClusterRange[]): Controller {
  const nodes = cluster.cache(NODES);
  return controller({
    name: 'pod-cidr',
    cluster,
    workers: 1,
    watch(enqueue) {
      nodes.subscribe(({ object }) => {
        if (cidrsOf(object).length === 0) enqueue(EVERYTHING);
      });
      return [nodes];
    },
    async reconcile() {
      const given = allocate(ranges, nodes.items());
      for (const { node, podCIDRs } of given) {
        const { resourceVersion } = node.metadata;
        const spec = { podCIDR: podCIDRs[0], podCIDRs };
        await cluster.patch(NODES, node, { metadata: { resourceVersion }, spec });
      }
      const none = nodes.items().filter(node => cidrsOf(node).length === 0 && !isDeleting(node));
      for (const node of none)
        cluster.event(
          node,
          'Warning',
          'CIDRNotAvailable',
          'CIDRNotAvailable',
          'the cluster has no free pod CIDR: widen --cluster-cidr',
        );
      return none.length > 0 ? 60_000 : undefined;
    },
  });
}

/** Nodes named in kind's way get the block of their number, in whatever order they come up. */
function favourite(name: string): bigint | undefined {
  if (name.endsWith('-control-plane')) return 0n;
  const worker = /-worker(\d*)$/.exec(name);
  return worker ? BigInt(worker[1] || '1') : undefined;
}

function cidrsOf(node: Node): string[] {
  return node.spec.podCIDRs?.length ? node.spec.podCIDRs : node.spec.podCIDR ? [node.spec.podCIDR] : [];
}

function parseRange(text: string): ClusterRange {
  const cidr = text.includes('/') ? parseCidr(text) : undefined;
  if (cidr === undefined || cidr.prefix > NODE_BITS[cidr.address.family])
    throw new CidrError(
      `--cluster-cidr "${text}" is no range of addresses from which nodes get a /24 (IPv4) or /64 (IPv6)`,
    );
  const { family } = cidr.address;
  const width = BigInt(NODE_BITS[family] - cidr.prefix);
  return { family, base: unitOf(network(cidr)), blocks: 1n << (width < 16n ? width : 16n) };
}

function block(range: ClusterRange, index: bigint): string {
  const { family, base } = range;
  const address = addressFromInteger(family, (base + index) << unitBits(family));
  if (address === undefined) throw new RangeError(`block ${index} lies beyond the range`);
  return formatCidr({ address, prefix: NODE_BITS[family] });
}

function blockIndex(range: ClusterRange, text: string): bigint {
  const cidr = parseCidr(text);
  return cidr?.address.family === range.family ? unitOf(cidr) - range.base : -1n;
}

/** The number of the node-sized block that the address lies in. */
function unitOf(cidr: Cidr): bigint {
  return addressToInteger(cidr.address) >> unitBits(cidr.address.family);
}

function unitBits(family: 4 | 6): bigint {
  return BigInt((family === 4 ? 32 : 128) - NODE_BITS[family]);
}
