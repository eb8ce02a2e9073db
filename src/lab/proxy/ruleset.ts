/**
 * The nftables ruleset of a node's Services, as text for `nft -f -`: one transaction that replaces the whole table.
 *
 * A packet to a Service's address (or to a node port) is looked up in a map, sent to one of the pods by chance, and
 * masqueraded where the answer would else take another way back. What no pod serves is rejected, not lost.
 */
import { createHash } from 'node:crypto';
import type { Endpoint, Family, Target } from './targets.ts';

export const TABLE = 'pellicle-lab-services';
/** On packets that the postrouting chain masquerades; the bit that kube-proxy uses too. */
const MASQUERADE = '0x4000';
/** Host sides of the node's own pods, as its CNI plugin names them (kube-proxy's `--pod-interface-name-prefix`). */
const POD_LINKS = '"lxc*"';

/** Both families, each with its own table. */
export function renderRuleset(targets: readonly Target[]): string {
  return ([4, 6] as const)
    .map(family =>
      renderFamily(
        family,
        targets.filter(target => target.family === family),
      ),
    )
    .join('');
}

/** Takes the tables away, also when they are not there. */
export function renderRemoval(): string {
  return ['ip', 'ip6'].map(family => `table ${family} ${TABLE}\ndelete table ${family} ${TABLE}\n`).join('');
}

interface Words {
  table: 'ip' | 'ip6';
  type: 'ipv4_addr' | 'ipv6_addr';
  loopback: string;
  unreachable: string;
}

const WORDS: Record<Family, Words> = {
  4: { table: 'ip', type: 'ipv4_addr', loopback: '127.0.0.0/8', unreachable: 'icmp type port-unreachable' },
  6: { table: 'ip6', type: 'ipv6_addr', loopback: '::1', unreachable: 'icmpv6 type port-unreachable' },
};

function renderFamily(family: Family, targets: readonly Target[]): string {
  const words = WORDS[family];
  const { table, type, loopback } = words;
  const services = targets.filter(target => target.endpoints.length > 0);
  const nodePorts = targets.filter(target => target.nodePort !== undefined);
  const live = nodePorts.filter(target => target.external.endpoints.length > 0);
  const dead = nodePorts.filter(target => target.external.endpoints.length === 0);
  const reject = `reject with ${words.unreachable.replace(' type ', ' ')}`;
  return `table ${table} ${TABLE}
delete table ${table} ${TABLE}
table ${table} ${TABLE} {
${block('map services', [
  `type ${type} . inet_proto . inet_service : verdict`,
  elements(
    services.flatMap(target =>
      target.addresses.map(ip => `${ip} . ${target.protocol} . ${target.port} : goto ${chainOf(target)}`),
    ),
  ),
])}
${block('map node-ports', [
  'type inet_proto . inet_service : verdict',
  elements(live.map(target => `${target.protocol} . ${target.nodePort} : goto ${externalChainOf(target)}`)),
])}
${block('set dead-node-ports', [
  'type inet_proto . inet_service',
  elements(dead.map(target => `${target.protocol} . ${target.nodePort}`)),
])}
${block('set service-addresses', [`type ${type}`, elements(targets.flatMap(target => target.addresses))])}
${block('set hairpins', [
  `type ${type} . ${type}`,
  elements(
    targets
      .flatMap(target => [...target.endpoints, ...target.external.endpoints])
      .map(({ address }) => `${address} . ${address}`),
  ),
])}
${endpointChains(words, targets)}${services.map(target => spread(words, chainOf(target), target, target.endpoints, [])).join('')}${live
  .map(target => {
    const first = target.external.masquerade ? markUnlessOwnPod() : [];
    return spread(words, externalChainOf(target), target, target.external.endpoints, first);
  })
  .join('')}${block('chain dispatch', [
  `${table} daddr . meta l4proto . th dport vmap @services`,
  `${table} daddr != ${loopback} fib daddr type local meta l4proto . th dport vmap @node-ports`,
])}
${block('chain prerouting', ['type nat hook prerouting priority dstnat; policy accept;', 'jump dispatch'])}
${block('chain output', ['type nat hook output priority -100; policy accept;', 'jump dispatch'])}
${block('chain postrouting', [
  'type nat hook postrouting priority srcnat; policy accept;',
  `meta mark and ${MASQUERADE} == ${MASQUERADE} meta mark set meta mark xor ${MASQUERADE} masquerade fully-random`,
  `ct status dnat ${table} saddr . ${table} daddr @hairpins masquerade fully-random`,
])}
${block('chain refuse', [
  `${table} daddr @service-addresses meta l4proto { tcp, udp, sctp } ${reject}`,
  `fib daddr type local meta l4proto . th dport @dead-node-ports ${reject}`,
])}
${['input', 'forward', 'output'].map(hook => block(`chain filter-${hook}`, [`type filter hook ${hook} priority filter; policy accept;`, 'ct state new jump refuse'])).join('\n')}
}
`;
}

/**
 * Answers to the node's own pods come back here by themselves. With the node's address instead they would come from
 * another node's pod to a node, which is not sealed, and be refused. Locally made packets have no input interface.
 */
function markUnlessOwnPod(): string[] {
  return [
    `meta mark set meta mark or ${MASQUERADE}`,
    `iifname ${POD_LINKS} meta mark set meta mark and 0xffffbfff`,
  ];
}

/** One chain for each pod and port, shared by the Services that lead there. */
function endpointChains(words: Words, targets: readonly Target[]): string {
  const chains = new Map<string, string>();
  for (const target of targets) {
    for (const endpoint of [...target.endpoints, ...target.external.endpoints]) {
      const name = endpointChainOf(target, endpoint);
      const address = words.table === 'ip' ? endpoint.address : `[${endpoint.address}]`;
      chains.set(
        name,
        block(`chain ${name}`, [`meta l4proto ${target.protocol} dnat to ${address}:${endpoint.port}`]),
      );
    }
  }
  return [...chains.values()].map(chain => `${chain}\n`).join('');
}

/** By chance; or by the client's address, which finds the same pod as long as the pods stay the same. */
function spread(
  words: Words,
  name: string,
  target: Target,
  endpoints: readonly Endpoint[],
  before: string[],
): string {
  const chosen = target.sticky
    ? `jhash ${words.table} saddr mod ${endpoints.length} seed 0x70656c6c`
    : `numgen random mod ${endpoints.length}`;
  const ways = endpoints.map((endpoint, index) => `${index} : goto ${endpointChainOf(target, endpoint)}`);
  const comment = target.name.replace(/["\\]/g, '').slice(0, 120);
  return `${block(`chain ${name}`, [...before, `${chosen} vmap { ${ways.join(', ')} } comment "${comment}"`])}\n`;
}

function chainOf(target: Target): string {
  return `svc-${shortDigest(`${target.name} ${target.protocol}`)}`;
}

function externalChainOf(target: Target): string {
  return `ext-${shortDigest(`${target.name} ${target.protocol}`)}`;
}

function endpointChainOf(target: Target, { address, port }: Endpoint): string {
  return `pod-${shortDigest(`${address} ${port} ${target.protocol}`)}`;
}

function shortDigest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}

function elements(items: readonly string[]): string {
  const unique = [...new Map(items.map(item => [item.split(' : ')[0]!, item])).values()];
  return unique.length === 0 ? '' : `elements = { ${unique.join(',\n      ')} }`;
}

function block(head: string, lines: readonly string[]): string {
  const body = lines.filter(line => line !== '').map(line => `    ${line}\n`);
  return `  ${head} {\n${body.join('')}  }`;
}
