import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AgentStatus } from '../status.ts';
import { encryptView, statusView } from './status-view.ts';

const KEY = 'qCzNE4dZv6MsMgdk0xFlT8q72c3ZIArvtyFDNlly4gA=';

test('the encryption row is the one of the lab, to the letter', () => {
  const rows = statusView(status(4), { verbose: false }).split('\n');
  assert.equal(
    rows.find(row => row.startsWith('Encryption:')),
    `Encryption:                            Wireguard       [NodeEncryption: Disabled, cilium_wg0 (Pubkey: ${KEY}, Port: 51871, Peers: 3)]`,
  );
});

test('rows come in the order that users know', () => {
  const labels = statusView(status(3), { verbose: false })
    .split('\n')
    .flatMap(row => /^([A-Z][\w ]+):/.exec(row)?.[1] ?? []);
  const known = [
    'KVStore',
    'Kubernetes',
    'CNI Config file',
    'Cilium',
    'IPAM',
    'Controller Status',
    'Encryption',
    'Cluster health',
  ];
  assert.deepEqual(
    labels.filter(label => known.includes(label)),
    known,
  );
});

test('a device that cannot be asked shows why in the brackets', () => {
  const broken = status(3);
  broken.encryption = {
    mode: 'Wireguard',
    msg: 'the engine is not there',
    wireguard: { 'node-encryption': 'Disabled', interfaces: [] },
  };
  assert.match(
    statusView(broken, { verbose: false }),
    /^Encryption: +Wireguard +\[the engine is not there\]$/m,
  );
});

test('without encryption the row says so', () => {
  const plain = { ...status(3), encryption: { mode: 'Disabled' as const, msg: '' } };
  assert.match(statusView(plain, { verbose: false }), /^Encryption: +Disabled$/m);
});

test('nodes out of reach are told first, and failing controllers with their error', () => {
  const ill = status(3);
  ill.cluster.nodes[2]!.reachable = false;
  ill.controllers = [
    { name: 'reconcile', successes: 1, failures: 2, consecutiveFailures: 2, lastError: 'no engine' },
  ];
  const text = statusView(ill, { verbose: false });
  assert.match(text, /2\/3 reachable/);
  assert.match(text, /kind-worker2 \(localhost\).*\n.*kind-worker9.*unreachable/);
  assert.match(text, /Controller Status: +0\/1 healthy\n +reconcile +failing \(2x\): no engine/);
});

test('encrypt status is laid out as in Cilium', () => {
  assert.equal(
    encryptView(status(3).encryption),
    `Encryption: Wireguard                 \nInterface: cilium_wg0\n\tPublic key: ${KEY}\n\tNumber of peers: 2\n`,
  );
});

function status(nodes: number): AgentStatus {
  const names = ['kind-worker2', 'kind-control-plane', 'kind-worker9', 'kind-worker'].slice(0, nodes);
  return {
    cilium: { state: 'Ok', msg: '' },
    version: '0.1.0',
    node: { name: 'kind-worker2', cluster: 'kind-kind' },
    kubernetes: { state: 'Ok', msg: '1.32 (v1.32.0) [linux/amd64]', 'k8s-api-versions': ['core/v1::Node'] },
    cni: { conflist: '/host/etc/cni/net.d/05-cilium.conflist', written: true },
    ipam: [{ family: 4, allocated: 2, size: 254, cidr: '10.244.2.0/24' }],
    masquerading: { ipv4: true, ipv6: false },
    controllers: [],
    encryption: {
      mode: 'Wireguard',
      msg: '',
      wireguard: {
        'node-encryption': 'Disabled',
        interfaces: [
          {
            name: 'cilium_wg0',
            'listen-port': 51_871,
            'public-key': KEY,
            'peer-count': nodes - 1,
            peers: [],
          },
        ],
      },
    },
    cluster: {
      timestamp: '2026-01-01T00:00:00Z',
      nodes: names.map((name, i) => ({
        name,
        localhost: i === 0,
        address: `172.18.0.${i + 2}`,
        reachable: true,
      })),
    },
    peers: [],
    refused: [],
    'process-memory-bytes': 0,
  };
}
