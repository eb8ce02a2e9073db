/** `cilium status` inside the agent: Cilium 1.14's rows, in their order, as far as there is such a thing here. */
import type { EncryptionStatus, IpsecStatus } from '../encryption-status.ts';
import type { AgentStatus } from '../status.ts';
import { tabulate } from './tabwriter.ts';

export interface StatusViewOptions {
  verbose: boolean;
}

/** How many nodes are listed without --verbose; this one and those out of reach come first. */
const NODES_LISTED = 10;

export function statusView(status: AgentStatus, { verbose }: StatusViewOptions): string {
  const rows = [
    ['KVStore:', 'Ok', 'Disabled'],
    ['Kubernetes:', status.kubernetes.state, status.kubernetes.msg],
    [
      'Kubernetes APIs:',
      `[${status.kubernetes['k8s-api-versions'].map(api => JSON.stringify(api)).join(', ')}]`,
    ],
    ['KubeProxyReplacement:', 'False'],
    ['Host firewall:', 'Disabled'],
    ['CNI Chaining:', 'none'],
    ['CNI Config file:', cniRow(status)],
    [
      'Cilium:',
      status.cilium.state,
      `${status.version} (v${status.version})    ${status.cilium.msg}`.trimEnd(),
    ],
    ['NodeMonitor:', 'Disabled'],
    ['Cilium health daemon:', 'Ok'],
    ['IPAM:', ipamRow(status)],
    ['IPv4 BIG TCP:', 'Disabled'],
    ['IPv6 BIG TCP:', 'Disabled'],
    ['BandwidthManager:', 'Disabled'],
    ['Host Routing:', 'Legacy'],
    ['Masquerading:', masqueradeRow(status)],
    ['Controller Status:', controllerRow(status)],
    ...(verbose ? controllerList(status) : failingControllers(status)),
    ['Proxy Status:', 'Disabled'],
    ['Global Identity Range:', 'min 256, max 65535'],
    ['Hubble:', 'Disabled'],
    encryptionRow(status.encryption),
    ...healthRows(status, verbose),
  ];
  const refused = status.refused.map(({ name, message }) => `Refused peer ${name}: ${message}\n`);
  const waiting = status.peers.flatMap(({ name, reason }) =>
    reason ? [`Waiting for peer ${name}: ${reason}\n`] : [],
  );
  return tabulate(rows) + [...refused, ...waiting].join('');
}

/** `OK`, or the first thing that is wrong. */
export function briefView(status: AgentStatus): string {
  return status.cilium.state === 'Ok' ? 'OK\n' : `${status.cilium.state}: ${status.cilium.msg}\n`;
}

export function encryptionRow({ mode, msg, wireguard }: EncryptionStatus): string[] {
  if (mode === 'IPsec') return ['Encryption:', mode, ...(msg === '' ? [] : [`[${msg}]`])];
  if (mode !== 'Wireguard') return ['Encryption:', mode];
  const devices = (wireguard?.interfaces ?? []).map(
    device =>
      `${device.name} (Pubkey: ${device['public-key']}, Port: ${device['listen-port']}, Peers: ${device['peer-count']})`,
  );
  const inside =
    msg === '' ? `NodeEncryption: ${wireguard?.['node-encryption']}, ${devices.join(', ')}` : msg;
  return ['Encryption:', mode, `[${inside}]`];
}

/** `cilium encrypt status`. */
export function encryptView({ mode, msg, wireguard, ipsec }: EncryptionStatus): string {
  const lines = [`Encryption: ${mode.padEnd(WIDTH)}`];
  if (msg !== '') lines.push(`Error: ${msg}`);
  for (const device of wireguard?.interfaces ?? []) {
    lines.push(`Interface: ${device.name}`);
    lines.push(`\tPublic key: ${device['public-key']}`);
    lines.push(`\tNumber of peers: ${device['peer-count']}`);
  }
  return lines
    .concat(ipsec ? ipsecLines(ipsec) : [])
    .map(line => `${line}\n`)
    .join('');
}

/** Cilium's `%-26s`. */
const WIDTH = 26;

function ipsecLines(ipsec: IpsecStatus): string[] {
  return [
    `Decryption interface(s): ${ipsec['decrypt-interfaces'].join(', ')}`,
    `Keys in use: ${String(ipsec['keys-in-use']).padEnd(WIDTH)}`,
    `Max Seq. Number: ${ipsec['max-seq-number']}`,
    `Errors: ${String(ipsec['error-count']).padEnd(WIDTH)}`,
    ...Object.entries(ipsec['xfrm-errors']).map(([name, count]) => `\t${name}: ${count}`),
  ];
}

function cniRow({ cni }: AgentStatus): string {
  return cni.written ? `successfully wrote CNI configuration file to ${cni.conflist}` : 'not written yet';
}

function ipamRow({ ipam }: AgentStatus): string {
  return ipam
    .map(
      ({ family, allocated, size, cidr }) =>
        `IPv${family}: ${allocated}/${family === 4 ? size : BigInt(size)} allocated from ${cidr}, `,
    )
    .join('');
}

function masqueradeRow({ masquerading: { ipv4, ipv6 } }: AgentStatus): string {
  const word = (on: boolean) => (on ? 'Enabled' : 'Disabled');
  return ipv4 || ipv6 ? `nftables [IPv4: ${word(ipv4)}, IPv6: ${word(ipv6)}]` : 'Disabled';
}

function controllerRow({ controllers }: AgentStatus): string {
  const healthy = controllers.filter(({ consecutiveFailures }) => consecutiveFailures === 0);
  return `${healthy.length}/${controllers.length} healthy`;
}

function failingControllers({ controllers }: AgentStatus): string[][] {
  return controllers
    .filter(({ consecutiveFailures }) => consecutiveFailures > 0)
    .map(({ name, consecutiveFailures, lastError }) => [
      `  ${name}`,
      `failing (${consecutiveFailures}x): ${lastError}`,
    ]);
}

function controllerList({ controllers }: AgentStatus): string[][] {
  const when = (time: number | undefined) => (time === undefined ? 'never' : new Date(time).toISOString());
  return [
    ['  Name', 'Last success', 'Last error', 'Count', 'Message'],
    ...controllers.map(({ name, lastSuccess, lastFailure, consecutiveFailures, lastError }) => [
      `  ${name}`,
      when(lastSuccess),
      when(lastFailure),
      String(consecutiveFailures),
      consecutiveFailures > 0 ? (lastError ?? '') : 'no error',
    ]),
  ];
}

function healthRows({ cluster, node }: AgentStatus, verbose: boolean): string[][] {
  const reachable = cluster.nodes.filter(entry => entry.reachable);
  const order = (entry: (typeof cluster.nodes)[number]) => (entry.localhost ? 0 : entry.reachable ? 2 : 1);
  const sorted = cluster.nodes.toSorted((a, b) => order(a) - order(b));
  const listed = verbose ? sorted : sorted.slice(0, NODES_LISTED);
  return [
    ['Cluster health:', `${reachable.length}/${cluster.nodes.length} reachable`, `(${cluster.timestamp})`],
    ['  Name', 'IP', 'Node'],
    ...listed.map(entry => [
      `  ${node.cluster}/${entry.name}${entry.localhost ? ' (localhost)' : ''}`,
      entry.address,
      entry.reachable ? 'reachable' : `unreachable: ${entry.error ?? 'no answer'}`,
    ]),
    ...(listed.length < sorted.length
      ? [[`  ... ${sorted.length - listed.length} more, see --verbose`]]
      : []),
  ];
}
