import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Counters, metricsText } from './metrics.ts';
import type { AgentStatus } from './status.ts';

const peer = {
  ...{
    name: 'kind-"worker',
    'public-key': 'k',
    endpoint: '',
    'allowed-ips': [],
    'transfer-rx': 7,
    'transfer-tx': 9,
  },
  'last-handshake-time': '1970-01-01T00:00:05.500Z',
};
const status = {
  ...{
    version: '0.1.0',
    ipam: [{ family: 4, allocated: 2, size: 254, cidr: '' }],
    controllers: [],
    'process-memory-bytes': 5,
  },
  ...{ peers: [{ state: 'routed' }, { state: 'waiting' }], refused: [{}] },
  cluster: {
    timestamp: '',
    nodes: [
      { name: 'a', localhost: true, reachable: true },
      { name: 'b', reachable: false, 'latency-ms': 3 },
    ],
  },
  encryption: {
    ...{ mode: 'Wireguard', msg: '' },
    wireguard: { 'node-encryption': 'Disabled', interfaces: [{ peers: [peer] }] },
  },
} as unknown as AgentStatus;

test('every family has help, type and samples with escaped labels', () => {
  const counters = new Counters();
  counters.cniRequest({ command: 'ADD', code: 0, seconds: 0.02 });
  counters.cniRequest({ command: 'ADD', code: 0, seconds: 3 });
  const lines = metricsText(status, counters).split('\n');
  for (const line of [
    '# TYPE cilium_tunnel_sent_bytes_total counter',
    'cilium_tunnel_sent_bytes_total{peer="kind-\\"worker",driver="engine"} 9',
    'cilium_tunnel_received_bytes_total{peer="kind-\\"worker",driver="engine"} 7',
    'cilium_last_handshake_timestamp_seconds{peer="kind-\\"worker",driver="engine"} 5.5',
    'cilium_peers{state="routed"} 1',
    'cilium_peers{state="refused"} 1',
    'cilium_node_connectivity_status{peer="b"} 0',
    'cilium_node_connectivity_latency_seconds{peer="b"} 0.003',
    'cilium_cni_request_duration_seconds_bucket{command="ADD",code="0",le="0.025"} 1',
    'cilium_cni_request_duration_seconds_bucket{command="ADD",code="0",le="+Inf"} 2',
    'cilium_cni_request_duration_seconds_count{command="ADD",code="0"} 2',
    'cilium_reconciliations_total{outcome="success"} 0',
    'process_resident_memory_bytes 5',
  ]) {
    assert.ok(lines.includes(line), line);
  }
  const names = lines.filter(line => line.startsWith('# TYPE')).map(line => line.split(' ')[2]);
  assert.equal(new Set(names).size, names.length);
});
