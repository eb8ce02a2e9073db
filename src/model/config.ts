/**
 * The ConfigMap `cilium-config` as the agent understands it. Keys it does not know are left alone (other components
 * and other versions have theirs); a value it cannot use is refused with a sentence that says what to write.
 */
import { parseDuration } from './duration.ts';
import { WIREGUARD_PORT } from './names.ts';
import { type Family, familyOf, prefixOf } from './net.ts';
import { parseSelector, type Selector } from './selector.ts';

export interface AgentConfig {
  encryption: 'disabled' | 'wireguard' | 'ipsec';
  /** Seal what goes between the nodes themselves too (WireGuard). */
  encryptNode: boolean;
  /** Nodes with these labels take no part in node encryption; the text is kept for status and errors. */
  nodeEncryptionOptOut: Selector;
  nodeEncryptionOptOutText: string;
  /** Seconds; 0 is off. */
  persistentKeepalive: number;
  /** What holds when `encryption` is `ipsec`; read in any case. */
  ipsec: IpsecConfig;
  ipv4: boolean;
  ipv6: boolean;
  masqueradeIPv4: boolean;
  masqueradeIPv6: boolean;
  /** UDP port of vxlan, which carries ESP, and what is not encrypted. */
  tunnelPort: number;
  /** Bytes of the underlay's MTU; 0: that of the device with the node's address. */
  mtu: number;
  /** Where all pods of the cluster live; empty: to be found in kubeadm's ConfigMap. */
  clusterPodCIDRs: string[];
  /** Where the pod CIDR of a node comes from: its Node object, or the operator by way of its CiliumNode. */
  ipam: 'kubernetes' | 'cluster-pool';
  clusterName: string;
  /** Take what this agent made off the node and say so in the CiliumNode. */
  uninstall: boolean;
  debug: boolean;
  /** `ip:port`, or empty for none. */
  prometheusAddress: string;
  /** TCP port on loopback for probes. */
  agentHealthPort: number;
}

export interface IpsecConfig {
  /** The Secret with the keys, in the namespace of the agents. */
  secretName: string;
  /** Where Cilium mounts the key; accepted, the Secret itself is watched. */
  keyFile: string;
  /** Milliseconds after which an old key is refused, whoever still seals with it. */
  keyRotationDuration: number;
  /** False: a new key in the Secret is taken when the agent starts. */
  keyWatcher: boolean;
  /** Packets of one SA near which a new key is due; 0: as many as the protocol allows. */
  keyPacketLimit: number;
  /** Milliseconds from one scheduled rotation to the next; 0: none is scheduled. */
  keyRotationInterval: number;
  /** What carries ESP from node to node. */
  encapsulation: 'vxlan';
}

export type ConfigData = Readonly<Record<string, string>>;

/** Either the configuration, with what of it has no effect, or every problem with it. All as sentences. */
export type ParsedConfig = { config: AgentConfig; warnings: string[] } | { problems: string[] };

/** The key that makes the agents take everything off their nodes. */
export const UNINSTALL_KEY = 'pellicle-uninstall';

export function parseConfig(data: ConfigData): ParsedConfig {
  const read = new Reader(data);
  const wireguard = read.flag('enable-wireguard', false);
  const ipsec = read.flag('enable-ipsec', false);
  if (wireguard && ipsec) {
    read.problem(
      'WireGuard (enable-wireguard) cannot be used with IPsec (enable-ipsec): set one of them to "false"',
    );
  }
  const optOut = data['node-encryption-opt-out-labels'] ?? 'node-role.kubernetes.io/control-plane';
  const config: AgentConfig = {
    encryption: wireguard ? 'wireguard' : ipsec ? 'ipsec' : 'disabled',
    encryptNode: read.flag('encrypt-node', false),
    nodeEncryptionOptOut: read.selector('node-encryption-opt-out-labels', optOut),
    nodeEncryptionOptOutText: optOut,
    persistentKeepalive: read.seconds('wireguard-persistent-keepalive', 0, 65_535),
    ipsec: readIpsec(read),
    ipv4: read.flag('enable-ipv4', true),
    ipv6: read.flag('enable-ipv6', false),
    masqueradeIPv4: read.flag('enable-ipv4-masquerade', true),
    masqueradeIPv6: read.flag('enable-ipv6-masquerade', true),
    tunnelPort: read.integer('tunnel-port', 8472, 1, 65_535),
    mtu: read.integer('mtu', 0, 0, 65_535),
    clusterPodCIDRs: read.podCIDRs(),
    ipam: read.choice('ipam', ['kubernetes', 'cluster-pool'], 'kubernetes'),
    clusterName: data['cluster-name'] ?? 'default',
    uninstall: read.flag(UNINSTALL_KEY, false),
    debug: read.flag('debug', false),
    prometheusAddress: read.listenAddress('prometheus-serve-addr', '127.0.0.1:9962'),
    agentHealthPort: read.integer('agent-health-port', 9879, 0, 65_535),
  };
  if (!config.ipv4 && !config.ipv6) {
    read.problem('enable-ipv4 and enable-ipv6 are both "false": set at least one of them to "true"');
  }
  if (config.mtu !== 0 && config.mtu < 1280) {
    read.problem(
      `mtu is ${config.mtu}, but pods need at least 1280: write the underlay's MTU, or 0 to have it found`,
    );
  }
  if (config.encryptNode && config.encryption === 'disabled') {
    read.problem('encrypt-node is "true" without encryption: set enable-wireguard to "true" as well');
  }
  for (const problem of portCollisions(config)) read.problem(problem);
  if (read.problems.length > 0) return { problems: read.problems };
  return { config, warnings: warningsOf(config) };
}

const SECOND = 1000;
const HOUR = 3_600_000;

function readIpsec(read: Reader): IpsecConfig {
  return {
    secretName: read.name('ipsec-secret-name', 'cilium-ipsec-keys'),
    keyFile: read.path('ipsec-key-file', '/etc/ipsec/keys'),
    keyRotationDuration: read.duration('ipsec-key-rotation-duration', '5m', {
      least: SECOND,
      most: 24 * HOUR,
    }),
    keyWatcher: read.flag('enable-ipsec-key-watcher', true),
    keyPacketLimit: read.integer('ipsec-key-packet-limit', 0, 0, Number.MAX_SAFE_INTEGER),
    keyRotationInterval: read.duration('ipsec-key-rotation-interval', '0s', {
      least: 30 * SECOND,
      most: 10 * 365 * 24 * HOUR,
      zero: 'no rotation is scheduled',
    }),
    encapsulation: read.choice('ipsec-encapsulation', ['vxlan'], 'vxlan'),
  };
}

/** Ports of ours that nobody can choose: those of the operator, which may share a node with an agent. */
const OPERATOR_PORTS = [
  ["the operator's health", 9234],
  ["the operator's metrics", 9963],
] as const;

/** Settings that would take a port of ours twice, by their names in values and ConfigMap. */
function portCollisions(config: AgentConfig): string[] {
  const problems: string[] = [];
  if (config.tunnelPort === WIREGUARD_PORT)
    problems.push(
      `tunnelPort (tunnel-port) is ${WIREGUARD_PORT}, the UDP port of WireGuard (cilium_wg0), which is fixed: choose another tunnelPort, such as 8472`,
    );
  const health = config.agentHealthPort;
  const metrics = Number(/:(\d+)$/.exec(config.prometheusAddress)?.[1] ?? 0);
  if (health !== 0 && health === metrics)
    problems.push(
      `healthPort (agent-health-port) and prometheus.port (prometheus-serve-addr) are both ${health}: choose another for one of them`,
    );
  for (const [of, port] of OPERATOR_PORTS) {
    if (health === port)
      problems.push(
        `healthPort (agent-health-port) is ${port}, the port of ${of}: choose another healthPort`,
      );
    if (metrics === port)
      problems.push(
        `prometheus.port (prometheus-serve-addr) is ${port}, the port of ${of}: choose another prometheus.port`,
      );
  }
  return problems;
}

function warningsOf(config: AgentConfig): string[] {
  if (!config.encryptNode || config.encryption !== 'ipsec') return [];
  return [
    'encrypt-node has no effect with IPsec, which seals what goes between pods: set it to "false", or use WireGuard',
  ];
}

/** The pod CIDRs of the cluster by kubeadm's ConfigMap (key ClusterConfiguration), when it names them. */
export function podSubnetsOf(clusterConfiguration: string): string[] {
  const found = /^\s*podSubnet:\s*["']?([0-9a-fA-F:./,]+)["']?\s*$/m.exec(clusterConfiguration);
  const subnets = found ? found[1]!.split(',').map(prefixOf) : [];
  return subnets.every(subnet => subnet !== undefined) ? subnets : [];
}

/** Whether the node takes part in node encryption at all. */
export function optsOut(config: AgentConfig, selects: (selector: Selector) => boolean): boolean {
  return config.encryptNode && selects(config.nodeEncryptionOptOut);
}

/** The families that are switched on. */
export function families(config: AgentConfig): Family[] {
  return [...(config.ipv4 ? [4 as const] : []), ...(config.ipv6 ? [6 as const] : [])];
}

class Reader {
  readonly problems: string[] = [];
  readonly #data: ConfigData;

  constructor(data: ConfigData) {
    this.#data = data;
  }

  problem(sentence: string): void {
    this.problems.push(sentence);
  }

  flag(key: string, absent: boolean): boolean {
    const text = this.#data[key]?.trim().toLowerCase();
    if (text === undefined || text === '') return absent;
    if (text === 'true' || text === 'false') return text === 'true';
    this.problem(`${key} is "${this.#data[key]}": write "true" or "false"`);
    return absent;
  }

  integer(key: string, absent: number, least: number, most: number): number {
    const text = this.#data[key]?.trim();
    if (text === undefined || text === '') return absent;
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    this.problem(`${key} is "${text}": write a whole number from ${least} to ${most}`);
    return absent;
  }

  seconds(key: string, absent: number, most: number): number {
    const text = this.#data[key]?.trim();
    if (text === undefined || text === '') return absent;
    const seconds = (parseDuration(text) ?? Number.NaN) / 1000;
    if (Number.isInteger(seconds) && seconds <= most) return seconds;
    this.problem(`${key} is "${text}": write whole seconds such as "25s", at most "${most}s"; "0s" is off`);
    return absent;
  }

  /** In milliseconds. `zero` says what 0 means; without it 0 is refused. */
  duration(key: string, absent: string, range: { least: number; most: number; zero?: string }): number {
    const text = this.#data[key]?.trim() || absent;
    const value = parseDuration(text) ?? Number.NaN;
    if (value === 0 && range.zero !== undefined) return value;
    if (value >= range.least && value <= range.most) return value;
    const zero = range.zero === undefined ? '' : `; "0s": ${range.zero}`;
    this.problem(
      `${key} is "${text}": write a duration such as "5m", from "${goDuration(range.least)}" to "${goDuration(range.most)}"${zero}`,
    );
    return parseDuration(absent)!;
  }

  /** Of an object of Kubernetes (RFC 1123, a DNS subdomain). */
  name(key: string, absent: string): string {
    const text = this.#data[key]?.trim() || absent;
    if (text.length <= 253 && /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(text)) return text;
    this.problem(`${key} is "${text}": write the name of a Secret, such as "${absent}"`);
    return absent;
  }

  path(key: string, absent: string): string {
    const text = this.#data[key]?.trim() || absent;
    if (text.startsWith('/')) return text;
    this.problem(`${key} is "${text}": write a path that begins with /, such as "${absent}"`);
    return absent;
  }

  choice<const T extends string>(key: string, choices: readonly T[], absent: T): T {
    const text = this.#data[key]?.trim();
    if (text === undefined || text === '') return absent;
    const found = choices.find(choice => choice === text);
    if (found === undefined) this.problem(`${key} is "${text}": write ${choices.join(' or ')}`);
    return found ?? absent;
  }

  selector(key: string, text: string): Selector {
    const selector = parseSelector(text);
    if (typeof selector !== 'string') return selector;
    this.problem(`${key}: ${selector}`);
    return [];
  }

  listenAddress(key: string, absent: string): string {
    const text = this.#data[key]?.trim();
    if (text === undefined) return absent;
    if (text === '' || /^(?:\[[0-9a-fA-F:]+\]|[0-9.]*):\d{1,5}$/.test(text)) return text;
    this.problem(`${key} is "${text}": write an address and a port such as "127.0.0.1:9962", or "" for none`);
    return absent;
  }

  podCIDRs(): string[] {
    const texts = ['cluster-pod-cidrs', 'cluster-pool-ipv4-cidr', 'cluster-pool-ipv6-cidr']
      .flatMap(key => (this.#data[key] ?? '').split(/[\s,]+/).map(text => ({ key, text })))
      .filter(({ text }) => text !== '');
    const found = new Set<string>();
    for (const { key, text } of texts) {
      const prefix = prefixOf(text);
      if (prefix === undefined)
        this.problem(`${key} has "${text}", which is no CIDR: write for instance 10.244.0.0/16`);
      else if (tooWide(prefix))
        this.problem(`${key} has ${text}, which is too wide to be a cluster's pod CIDR`);
      else found.add(prefix);
    }
    return [...found];
  }
}

function goDuration(milliseconds: number): string {
  return milliseconds % HOUR === 0 ? `${milliseconds / HOUR}h` : `${milliseconds / SECOND}s`;
}

/** A pod CIDR that covers half the Internet would cut the node off. */
function tooWide(prefix: string): boolean {
  return Number(prefix.split('/')[1]) < (familyOf(prefix) === 4 ? 4 : 16);
}
