/** What the agent tells of itself on its socket: the words of Cilium's API where it has the thing. */
import type { WireGuardObserved } from '../drivers/driver.ts';
import type { AgentConfig } from '../model/config.ts';
import { WIREGUARD_DEVICE } from '../model/names.ts';
import type { PeerState } from '../model/plan.ts';
import type { ControllerState } from './controllers.ts';
import type { Beat } from './heartbeat.ts';
import type { RoundState } from './reconcile.ts';
import { VERSION } from './version.ts';

export interface State {
  state: 'Ok' | 'Warning' | 'Failure' | 'Disabled';
  msg: string;
}

export interface AgentStatus {
  cilium: State;
  version: string;
  node: { name: string; cluster: string };
  kubernetes: State & { 'k8s-api-versions': string[] };
  cni: { conflist: string; written: boolean };
  ipam: { family: 4 | 6; allocated: number; size: number; cidr: string }[];
  masquerading: { ipv4: boolean; ipv6: boolean };
  controllers: ControllerState[];
  encryption: EncryptionStatus;
  cluster: ClusterHealth;
  peers: PeerState[];
  refused: { name: string; reason: string; message: string }[];
  'process-memory-bytes': number;
}

export interface EncryptionStatus {
  mode: 'Disabled' | 'Wireguard';
  /** Why the device could not be asked. */
  msg: string;
  wireguard?: {
    'node-encryption': 'Disabled' | 'Enabled' | 'OptedOut';
    interfaces: WireGuardInterface[];
  };
}

export interface WireGuardInterface {
  name: string;
  'listen-port': number;
  'public-key': string;
  'peer-count': number;
  peers: {
    name: string;
    'public-key': string;
    endpoint: string;
    /** RFC 3339; the year 1 when there was none. */
    'last-handshake-time': string;
    'allowed-ips': string[];
    'transfer-rx': number;
    'transfer-tx': number;
  }[];
}

export interface ClusterHealth {
  /** RFC 3339 of the last round of heartbeats. */
  timestamp: string;
  nodes: {
    name: string;
    localhost: boolean;
    address: string;
    reachable: boolean;
    'latency-ms'?: number;
    error?: string;
  }[];
}

/** What is asked when a status is asked for. */
export interface StatusSources {
  nodeName: string;
  round: RoundState;
  kubernetes: { version: string; problem?: string };
  cni: { conflist: string; written: boolean };
  endpointAddresses: string[];
  controllers: ControllerState[];
  beats: Beat[];
  beatsAt: number | undefined;
  observeWireGuard: () => Promise<WireGuardObserved>;
}

const API_VERSIONS = [
  'cilium/v2::CiliumEndpoint',
  'cilium/v2::CiliumNode',
  'core/v1::ConfigMap',
  'core/v1::Node',
];

export async function agentStatus(sources: StatusSources): Promise<AgentStatus> {
  const { round } = sources;
  const { config, self, plan } = round;
  return {
    cilium: overall(round),
    version: VERSION,
    node: { name: sources.nodeName, cluster: config?.clusterName ?? 'default' },
    kubernetes: {
      state: sources.kubernetes.problem === undefined ? 'Ok' : 'Failure',
      msg: sources.kubernetes.problem ?? sources.kubernetes.version,
      'k8s-api-versions': API_VERSIONS,
    },
    cni: sources.cni,
    ipam: ipamStatus(self?.podCIDRs ?? [], sources.endpointAddresses),
    masquerading: {
      ipv4: !!config?.ipv4 && config.masqueradeIPv4,
      ipv6: !!config?.ipv6 && config.masqueradeIPv6,
    },
    controllers: sources.controllers,
    encryption: await encryptionStatus(config, round, sources.observeWireGuard),
    cluster: clusterHealth(sources),
    peers: plan?.peers ?? [],
    refused: plan?.refused ?? [],
    'process-memory-bytes': process.memoryUsage.rss(),
  };
}

function overall({ problem, ready, plan, self }: RoundState): State {
  const refusal = plan?.membership.refused.find(({ name }) => name === self?.name);
  if (ready && refusal)
    return { state: 'Warning', msg: `the other nodes refuse this one: ${refusal.message}` };
  if (problem !== undefined) return { state: ready ? 'Warning' : 'Failure', msg: problem };
  return ready ? { state: 'Ok', msg: '' } : { state: 'Failure', msg: 'starting' };
}

export async function encryptionStatus(
  config: AgentConfig | undefined,
  round: RoundState,
  observe: () => Promise<WireGuardObserved>,
): Promise<EncryptionStatus> {
  if (config?.encryption !== 'wireguard') return { mode: 'Disabled', msg: '' };
  const optedOut = round.self?.optedOut ?? false;
  const nodeEncryption = config.encryptNode ? (optedOut ? 'OptedOut' : 'Enabled') : 'Disabled';
  try {
    const observed = await observe();
    const names = new Map(
      (round.plan?.wireguard?.peers ?? []).map(({ publicKey, name }) => [publicKey, name]),
    );
    return {
      mode: 'Wireguard',
      msg: '',
      wireguard: { 'node-encryption': nodeEncryption, interfaces: [interfaceStatus(observed, names)] },
    };
  } catch (error) {
    return {
      mode: 'Wireguard',
      msg: error instanceof Error ? error.message : String(error),
      wireguard: { 'node-encryption': nodeEncryption, interfaces: [] },
    };
  }
}

function interfaceStatus(observed: WireGuardObserved, names: Map<string, string>): WireGuardInterface {
  return {
    name: WIREGUARD_DEVICE,
    'listen-port': observed.listenPort,
    'public-key': observed.publicKey ?? '',
    'peer-count': observed.peers.length,
    peers: observed.peers.map(peer => ({
      name: names.get(peer.publicKey) ?? '',
      'public-key': peer.publicKey,
      endpoint: peer.endpoint ? endpointText(peer.endpoint) : '',
      'last-handshake-time':
        peer.lastHandshake === undefined
          ? '0001-01-01T00:00:00Z'
          : new Date(peer.lastHandshake).toISOString(),
      'allowed-ips': peer.allowedIPs,
      'transfer-rx': peer.receivedBytes,
      'transfer-tx': peer.sentBytes,
    })),
  };
}

function endpointText({ address, port }: { address: string; port: number }): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function clusterHealth({ nodeName, round, beats, beatsAt }: StatusSources): ClusterHealth {
  return {
    timestamp: new Date(beatsAt ?? 0).toISOString(),
    nodes: [
      { name: nodeName, localhost: true, address: round.self?.addresses[0] ?? '', reachable: true },
      ...beats.map(({ name, address, reachable, latencyMs, error }) => ({
        name,
        localhost: false,
        address,
        reachable,
        ...(latencyMs === undefined ? {} : { 'latency-ms': Math.round(latencyMs * 1000) / 1000 }),
        ...(error === undefined ? {} : { error }),
      })),
    ],
  };
}

/** Usable addresses: without the network's own, the CiliumInternalIP and (IPv4) the broadcast. */
function ipamStatus(podCIDRs: string[], addresses: string[]): AgentStatus['ipam'] {
  return podCIDRs.map(cidr => {
    const family = cidr.includes(':') ? 6 : 4;
    const bits = (family === 4 ? 32 : 128) - Number(cidr.split('/')[1]);
    const allocated = addresses.filter(address => address.includes(':') === (family === 6)).length;
    return { family, allocated, size: Math.max(1, 2 ** bits - 2), cidr };
  });
}
