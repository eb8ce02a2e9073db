/** What the agent tells of itself on its socket: the words of Cilium's API where it has the thing. */
import type { PeerState } from '../model/plan.ts';
import type { ControllerState } from './controllers.ts';
import { type EncryptionSources, type EncryptionStatus, encryptionStatus } from './encryption-status.ts';
import type { Beat } from './heartbeat.ts';
import { alarmsOf } from './keys/alarms.ts';
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
  observe: EncryptionSources;
}

const API_VERSIONS = [
  'cilium/v2::CiliumEndpoint',
  'cilium/v2::CiliumNode',
  'core/v1::ConfigMap',
  'core/v1::Node',
  'core/v1::Secret',
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
    encryption: await encryptionStatus(round, sources.observe),
    cluster: clusterHealth(sources),
    peers: plan?.peers ?? [],
    refused: plan?.refused ?? [],
    'process-memory-bytes': process.memoryUsage.rss(),
  };
}

function overall(round: RoundState): State {
  const { problem, ready, plan, self } = round;
  const refusal = plan?.membership.refused.find(({ name }) => name === self?.name);
  if (ready && refusal)
    return { state: 'Warning', msg: `the other nodes refuse this one: ${refusal.message}` };
  if (problem !== undefined) return { state: ready ? 'Warning' : 'Failure', msg: problem };
  if (!ready) return { state: 'Failure', msg: 'starting' };
  const { refused, expired, overdue } = alarmsOf(round);
  const [alarm] = [...expired, ...(refused === undefined ? [] : [refused]), ...overdue];
  return alarm === undefined ? { state: 'Ok', msg: '' } : { state: 'Warning', msg: alarm };
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
