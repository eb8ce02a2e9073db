import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AgentConfig, type ConfigData, optsOut, parseConfig, podSubnetsOf } from './config.ts';
import { selects } from './selector.ts';

test('an empty ConfigMap is unencrypted IPv4 with masquerade', () => {
  const config = ok({});
  assert.equal(config.encryption, 'disabled');
  assert.deepEqual([config.ipv4, config.ipv6, config.masqueradeIPv4], [true, false, true]);
  assert.deepEqual([config.tunnelPort, config.mtu, config.prometheusAddress], [8472, 0, '127.0.0.1:9962']);
});

test('the keys that cilium install writes are read', () => {
  const config = ok({
    'enable-wireguard': 'true',
    'encrypt-node': 'true',
    'wireguard-persistent-keepalive': '25s',
    'cluster-pod-cidrs': '10.244.0.0/16, fd00:10:244::/56',
    'enable-ipv6': 'true',
    mtu: '9000',
    'pellicle-uninstall': 'true',
  });
  assert.equal(config.encryption, 'wireguard');
  assert.equal(config.persistentKeepalive, 25);
  assert.deepEqual(config.clusterPodCIDRs, ['10.244.0.0/16', 'fd00:10:244::/56']);
  assert.deepEqual([config.encryptNode, config.mtu, config.uninstall], [true, 9000, true]);
});

test('the keys of IPsec are read, and what they are when nobody writes them', () => {
  const absent = ok({ 'enable-ipsec': 'true' });
  assert.equal(absent.encryption, 'ipsec');
  assert.deepEqual(absent.ipsec, {
    secretName: 'cilium-ipsec-keys',
    keyFile: '/etc/ipsec/keys',
    keyRotationDuration: 300_000,
    keyWatcher: true,
    keyPacketLimit: 0,
    keyRotationInterval: 0,
    encapsulation: 'vxlan',
  });
  const written = ok({
    ...{ 'enable-ipsec': 'true', 'enable-ipv4': 'false', 'enable-ipv6': 'true' },
    ...{ 'ipsec-secret-name': 'keys.v2', 'ipsec-key-rotation-duration': '1m30s' },
    ...{ 'enable-ipsec-key-watcher': 'false', 'ipsec-key-packet-limit': '1000' },
    ...{ 'ipsec-key-rotation-interval': '720h', 'ipsec-encapsulation': 'vxlan' },
  });
  assert.deepEqual([written.ipv4, written.ipv6], [false, true]);
  assert.deepEqual(written.ipsec, {
    ...absent.ipsec,
    ...{ secretName: 'keys.v2', keyRotationDuration: 90_000, keyWatcher: false, keyPacketLimit: 1000 },
    keyRotationInterval: 720 * 3_600_000,
  });
});

test('node encryption has no effect with IPsec, and that is said', () => {
  const parsed = parseConfig({ 'enable-ipsec': 'true', 'encrypt-node': 'true' });
  assert.ok('warnings' in parsed);
  assert.match(parsed.warnings.join(), /^encrypt-node has no effect with IPsec.*use WireGuard$/);
  const plain = parseConfig({ 'enable-ipsec': 'true' });
  assert.ok('warnings' in plain);
  assert.deepEqual(plain.warnings, []);
});

test('control-plane nodes opt out of node encryption unless the selector says otherwise', () => {
  const master = { 'node-role.kubernetes.io/control-plane': '' };
  const on = { 'enable-wireguard': 'true', 'encrypt-node': 'true' };
  const takesPart = (data: ConfigData, labels: Record<string, string>) =>
    !optsOut(ok({ ...on, ...data }), selector => selects(selector, labels));
  assert.equal(takesPart({}, master), false);
  assert.equal(takesPart({}, {}), true);
  assert.equal(takesPart({ 'node-encryption-opt-out-labels': '' }, master), true);
  assert.equal(takesPart({ 'node-encryption-opt-out-labels': 'zone in (a,b)' }, { zone: 'b' }), false);
});

for (const [data, says] of [
  [{ 'enable-wireguard': 'yes' }, /enable-wireguard is "yes": write "true" or "false"/],
  [
    { 'enable-wireguard': 'true', 'enable-ipsec': 'true' },
    /cannot be used with IPsec.*set one of them to "false"/,
  ],
  [{ 'ipsec-key-rotation-duration': '5' }, /write a duration such as "5m", from "1s" to "24h"$/],
  [{ 'ipsec-key-rotation-duration': '0s' }, /ipsec-key-rotation-duration is "0s"/],
  [{ 'ipsec-key-rotation-interval': '1s' }, /from "30s" to "87600h"; "0s": no rotation is scheduled/],
  [{ 'ipsec-key-packet-limit': '-1' }, /ipsec-key-packet-limit is "-1": write a whole number from 0/],
  [{ 'ipsec-secret-name': 'My Keys' }, /write the name of a Secret, such as "cilium-ipsec-keys"/],
  [{ 'ipsec-key-file': 'keys' }, /begins with \//],
  [{ 'ipsec-encapsulation': 'geneve' }, /ipsec-encapsulation is "geneve": write vxlan/],
  [{ 'encrypt-node': 'true' }, /encrypt-node is "true" without encryption/],
  [
    { 'cluster-pod-cidrs': '10.244.0.0/16,banana' },
    /"banana", which is no CIDR: write for instance 10.244.0.0\/16/,
  ],
  [{ 'cluster-pod-cidrs': '10.244.1.0/16' }, /no CIDR/],
  [{ 'cluster-pod-cidrs': '0.0.0.0/0' }, /too wide/],
  [{ 'wireguard-persistent-keepalive': '25' }, /whole seconds such as "25s"/],
  [{ 'wireguard-persistent-keepalive': '70000s' }, /at most "65535s"/],
  [{ 'tunnel-port': '99999' }, /whole number from 1 to 65535/],
  [{ mtu: '900' }, /at least 1280/],
  [{ 'node-encryption-opt-out-labels': 'a b' }, /not a label selector/],
  [{ 'enable-ipv4': 'false' }, /set at least one of them/],
  [{ 'prometheus-serve-addr': 'nine' }, /write an address and a port/],
  [{ ipam: 'eni' }, /write kubernetes or cluster-pool/],
] as const) {
  test(`${JSON.stringify(data)} is refused with what to write`, () => {
    const parsed = parseConfig(data);
    assert.ok('problems' in parsed);
    assert.equal(parsed.problems.length, 1);
    assert.match(parsed.problems[0]!, says);
  });
}

test('every problem is told, not only the first', () => {
  const parsed = parseConfig({ 'enable-wireguard': 'maybe', mtu: 'big' });
  assert.ok('problems' in parsed && parsed.problems.length === 2);
});

test('the pod subnets are found in what kubeadm writes', () => {
  const text =
    'kind: ClusterConfiguration\nnetworking:\n  dnsDomain: cluster.local\n  podSubnet: 10.244.0.0/16,fd00:10:244::/56\n';
  assert.deepEqual(podSubnetsOf(text), ['10.244.0.0/16', 'fd00:10:244::/56']);
  assert.deepEqual(podSubnetsOf('podSubnet: "10.244.0.0/16"'), ['10.244.0.0/16']);
  assert.deepEqual(podSubnetsOf('podSubnet: 10.244.0.300/16'), []);
  assert.deepEqual(podSubnetsOf('networking: {}'), []);
});

function ok(data: ConfigData): AgentConfig {
  const parsed = parseConfig(data);
  assert.ok('config' in parsed, JSON.stringify(parsed));
  return parsed.config;
}

test('a port is not given to two of ours', () => {
  const cases: [data: ConfigData, says: RegExp][] = [
    [{ 'tunnel-port': '51871' }, /tunnelPort .* is 51871, the UDP port of WireGuard .*choose another/],
    [{ 'agent-health-port': '9962' }, /healthPort .* and prometheus.port .* are both 9962: choose another/],
    [{ 'prometheus-serve-addr': '[::1]:9879' }, /healthPort .* and prometheus.port .* are both 9879/],
    [{ 'agent-health-port': '9234' }, /healthPort .* is 9234, the port of the operator's health/],
    [{ 'prometheus-serve-addr': ':9963' }, /prometheus.port .* is 9963, the port of the operator's metrics/],
  ];
  for (const [data, says] of cases) {
    const parsed = parseConfig(data);
    assert.ok('problems' in parsed);
    assert.equal(parsed.problems.length, 1);
    assert.match(parsed.problems[0]!, says);
  }
  ok({ 'agent-health-port': '9962', 'prometheus-serve-addr': '' });
  ok({ 'tunnel-port': '9962' });
});
