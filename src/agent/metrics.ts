/** The agent's metrics, from what it counts and what the data plane tells. */
import { ipsecFamilies } from './ipsec-metrics.ts';
import { type Family, formatFamily, gauge, type Labels } from './metric-text.ts';
import type { AgentStatus } from './status.ts';

/** Seconds. */
const CNI_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

/** What only counting as it happens can tell. */
export class Counters {
  readonly #cni = new Map<string, { labels: Labels; buckets: number[]; sum: number; count: number }>();
  readonly #started = Date.now() / 1000;
  rounds = { success: 0, failure: 0 };

  cniRequest({ command, code, seconds }: { command: string; code: number; seconds: number }): void {
    const key = `${command} ${code}`;
    let series = this.#cni.get(key);
    if (!series) {
      series = {
        labels: { command, code: String(code) },
        buckets: CNI_BUCKETS.map(() => 0),
        sum: 0,
        count: 0,
      };
      this.#cni.set(key, series);
    }
    for (const [i, bound] of CNI_BUCKETS.entries()) if (seconds <= bound) series.buckets[i]!++;
    series.sum += seconds;
    series.count++;
  }

  families(): Family[] {
    const cni = [...this.#cni.values()].flatMap(({ labels, buckets, sum, count }) => [
      ...buckets.map((value, i) => ({
        suffix: '_bucket',
        labels: { ...labels, le: String(CNI_BUCKETS[i]) },
        value,
      })),
      { suffix: '_bucket', labels: { ...labels, le: '+Inf' }, value: count },
      { suffix: '_sum', labels, value: sum },
      { suffix: '_count', labels, value: count },
    ]);
    return [
      {
        name: 'cilium_cni_request_duration_seconds',
        help: 'Time to answer the CNI plugin, by command and result code',
        type: 'histogram',
        samples: cni,
      },
      {
        name: 'cilium_reconciliations_total',
        help: 'Rounds of the data plane by outcome',
        type: 'counter',
        samples: Object.entries(this.rounds).map(([outcome, value]) => ({ labels: { outcome }, value })),
      },
      gauge('process_start_time_seconds', 'Start of the process, Unix time', this.#started),
    ];
  }
}

export function metricsText(status: AgentStatus, counters: Counters): string {
  return [...statusFamilies(status), ...counters.families()]
    .filter(({ samples }) => samples.length > 0)
    .map(formatFamily)
    .join('');
}

function statusFamilies(status: AgentStatus): Family[] {
  const { wireguard, mode } = status.encryption;
  const peers = (wireguard?.interfaces ?? []).flatMap(({ peers }) => peers);
  const perPeer = (
    name: string,
    help: string,
    type: Family['type'],
    value: (peer: (typeof peers)[number]) => number,
  ) => ({
    name,
    help,
    type,
    samples: peers.map(peer => ({ labels: { peer: peer.name, driver: 'engine' }, value: value(peer) })),
  });
  return [
    {
      name: 'cilium_build_info',
      help: 'Version of the agent',
      type: 'gauge',
      samples: [{ labels: { version: status.version, revision: '' }, value: 1 }],
    },
    {
      name: 'cilium_feature_adv_connect_and_lb_transparent_encryption',
      help: 'Transparent encryption, by mode',
      type: 'gauge',
      samples: (['Wireguard', 'IPsec'] as const).map(each => ({
        labels: {
          mode: each.toLowerCase(),
          node2node_enabled: String(each === mode && wireguard?.['node-encryption'] === 'Enabled'),
          strict_mode_enabled: String(each === mode),
        },
        value: each === mode ? 1 : 0,
      })),
    },
    ...ipsecFamilies(status.encryption),
    perPeer(
      'cilium_tunnel_received_bytes_total',
      'Bytes opened, by peer node',
      'counter',
      peer => peer['transfer-rx'],
    ),
    perPeer(
      'cilium_tunnel_sent_bytes_total',
      'Bytes sealed, by peer node',
      'counter',
      peer => peer['transfer-tx'],
    ),
    perPeer(
      'cilium_last_handshake_timestamp_seconds',
      'Last handshake, Unix time; 0: none yet',
      'gauge',
      peer => Math.max(0, Date.parse(peer['last-handshake-time']) / 1000),
    ),
    {
      name: 'cilium_peers',
      help: 'Other nodes, by what they are to this one',
      type: 'gauge',
      samples: [
        ...(['routed', 'waiting'] as const).map(state => ({
          labels: { state },
          value: status.peers.filter(peer => peer.state === state).length,
        })),
        { labels: { state: 'refused' }, value: status.refused.length },
      ],
    },
    {
      name: 'cilium_node_connectivity_status',
      help: 'Whether the last heartbeat of a node was answered',
      type: 'gauge',
      samples: status.cluster.nodes
        .filter(({ localhost }) => !localhost)
        .map(({ name, reachable }) => ({ labels: { peer: name }, value: reachable ? 1 : 0 })),
    },
    {
      name: 'cilium_node_connectivity_latency_seconds',
      help: 'Time of the last answered heartbeat',
      type: 'gauge',
      samples: status.cluster.nodes.flatMap(({ name, 'latency-ms': latency }) =>
        latency === undefined ? [] : [{ labels: { peer: name }, value: latency / 1000 }],
      ),
    },
    {
      name: 'cilium_ip_addresses',
      help: 'Pod addresses in use, by family',
      type: 'gauge',
      samples: status.ipam.map(({ family, allocated }) => ({
        labels: { family: `ipv${family}` },
        value: allocated,
      })),
    },
    {
      name: 'cilium_controllers_failing',
      help: 'Controllers whose last run failed',
      type: 'gauge',
      samples: [
        { labels: {}, value: status.controllers.filter(state => state.consecutiveFailures > 0).length },
      ],
    },
    gauge('process_resident_memory_bytes', 'Resident memory of the agent', status['process-memory-bytes']),
  ];
}
