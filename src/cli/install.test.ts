import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseAllDocuments } from 'yaml';
import type { DaemonSet, KubeObject } from '../kube/types.ts';
import { FakeCluster, KEY_LINE, PATHS } from './testing.ts';

const IPSEC = ['--set', 'encryption.enabled=true', '--set', 'encryption.type=ipsec'];
const WIREGUARD = ['--set', 'encryption.enabled=true', '--set', 'encryption.type=wireguard'];

describe('cilium install, upgrade', () => {
  let cluster: FakeCluster;
  beforeEach(async () => {
    cluster = new FakeCluster();
    await cluster.start();
  });
  afterEach(() => cluster.stop());

  const writes = () => cluster.server.requests.filter(line => !/^(GET|POST .*selfsubject)/.test(line));

  it('the lab: install, status --wait, config view', async () => {
    const installed = await cluster.run('install', '--version', '1.14.5', ...WIREGUARD);
    assert.equal(installed.err, '');
    assert.equal(installed.code, 0);
    assert.equal(
      installed.out,
      [
        '🔮 Auto-detected Kubernetes kind: kind',
        '✨ Running "kind" validation checks',
        '✅ Detected kind with 3 nodes, Kubernetes v1.32.4',
        'ℹ️  Using Cilium version 1.14.5',
        'ℹ️  Pellicle 0.1.0 answers to that version',
        '🔮 Auto-detected cluster name: kind-kind',
        '🔮 Auto-detected kube-proxy has not been installed',
        '',
      ].join('\n'),
    );
    const status = await cluster.run('status', '--wait');
    assert.equal(status.code, 0, status.err);
    assert.equal(
      status.out,
      `    /¯¯\\
 /¯¯\\__/¯¯\\    Cilium:             OK
 \\__/¯¯\\__/    Operator:           OK
 /¯¯\\__/¯¯\\    Envoy DaemonSet:    disabled (using embedded mode)
 \\__/¯¯\\__/    Hubble Relay:       disabled
    \\__/       ClusterMesh:        disabled

Deployment             cilium-operator    Desired: 1, Ready: 1/1, Available: 1/1
DaemonSet              cilium             Desired: 3, Ready: 3/3, Available: 3/3
DaemonSet              cilium-engine      Desired: 3, Ready: 3/3, Available: 3/3
Containers:            cilium             Running: 3
                       cilium-engine      Running: 3
                       cilium-operator    Running: 1
Cluster Pods:          0/0 managed by Cilium
Encryption:            Wireguard (3/3 nodes)
Helm chart version:    1.14.5
Pellicle version:      0.1.0
Image versions         cilium             pellicle/cilium:v0.1.0: 3
                       cilium-engine      pellicle/cilium:v0.1.0: 3
                       cilium-operator    pellicle/operator:v0.1.0: 1
`,
    );
    const config = await cluster.run('config', 'view');
    assert.match(config.out, /^enable-wireguard +true$/m);
    assert.match(config.out, /^cluster-pod-cidrs +10\.244\.0\.0\/16$/m);
    assert.match(config.out, /^ipam +kubernetes$/m);
    assert.doesNotMatch(config.out, /ipsec|encrypt-node/);
  });

  it('refuses a second installation, and goes on with one that broke off', async () => {
    await cluster.run('install', ...WIREGUARD);
    const again = await cluster.run('install', ...WIREGUARD);
    assert.equal(again.code, 1);
    assert.match(
      again.err,
      /^\nError: Unable to install Cilium: it is installed already \(Pellicle 0\.1\.0 in namespace kube-system\): change it with "cilium upgrade"/,
    );
    cluster.server.remove(PATHS.daemonSets, 'cilium', 'kube-system');
    assert.equal((await cluster.run('install', ...WIREGUARD)).code, 0);
  });

  for (const [what, args, expected, message] of [
    ['a malformed --set', ['--set', 'encryption.enabled'], 2, /--set "encryption\.enabled" has no value/],
    [
      'an unknown type',
      ['--set', 'encryption.type=foo'],
      1,
      /encryption\.type is "foo": write wireguard or ipsec/,
    ],
    [
      'ipsec without a key',
      IPSEC,
      1,
      /there is no Secret kube-system\/cilium-ipsec-keys, .* make it first with cilium encryption create-key\n$/,
    ],
    [
      'ipsec without a key by another name',
      [...IPSEC, '--set', 'encryption.ipsec.secretName=mine'],
      1,
      /kubectl create -n kube-system secret generic mine --from-literal=keys="3\+ rfc4106/,
    ],
    [
      'ipsec for nodes',
      [...IPSEC, '--set', 'encryption.nodeEncryption=true'],
      1,
      /is there for WireGuard only/,
    ],
    ['ipsec without the engine', [...IPSEC, '--set', 'engine.enabled=false'], 1, /needs the engine/],
    [
      'a key elsewhere in the Secret',
      [...IPSEC, '--set', 'encryption.ipsec.keyFile=key'],
      1,
      /encryption\.ipsec\.keyFile is "key": write keys/,
    ],
    [
      'a rotation by an age that is none',
      [...IPSEC, '--set', 'encryption.ipsec.keyRotationInterval=soon'],
      1,
      /keyRotationInterval is "soon", which does not fit \(age at which/,
    ],
    ['no version', ['--version', 'latest'], 2, /--version "latest" is no version/],
    ['an old version', ['--version', '1.2.3'], 2, /answers to Cilium 1\.10 and later/],
    ['node encryption alone', ['--set', 'encryption.nodeEncryption=true'], 1, /encryption\.enabled is false/],
    [
      'IPv6 without a network',
      [...WIREGUARD, '--set', 'ipv6.enabled=true'],
      1,
      /does not say which IPv6 network/,
    ],
    [
      'a pod network over a node',
      [...WIREGUARD, '--set', 'clusterPodCIDRs={172.16.0.0/12}'],
      1,
      /node kind-control-plane has the address 172\.18\.0\.2, which lies in the pods' network/,
    ],
    [
      'a pod network over the Services',
      [...WIREGUARD, '--set', 'clusterPodCIDRs={10.0.0.0/8}'],
      1,
      /API server has the Service address 10\.96\.0\.1, which lies in the pods' network 10\.0\.0\.0\/8/,
    ],
    ['a bad duration', ['--wait', '--wait-duration', 'soon'], 2, /"soon" is no duration/],
    [
      'an extra key that agents refuse',
      [...WIREGUARD, '--set', 'extraConfig.enable-ipv4=maybe'],
      1,
      /enable-ipv4 is "maybe": write "true" or "false"/,
    ],
  ] as const)
    it(`refuses ${what} and changes nothing`, async () => {
      const { code, err } = await cluster.run('install', ...args);
      assert.match(err, message);
      assert.equal(code, expected);
      assert.deepEqual(writes(), []);
    });

  it('the lab: IPsec with the key of a Secret', async () => {
    cluster.writeKeys(KEY_LINE);
    const installed = await cluster.run('install', '--version', '1.14.5', ...IPSEC);
    assert.equal(installed.code, 0, installed.err);
    const { out } = await cluster.run('config', 'view');
    assert.deepEqual(
      out
        .split('\n')
        .filter(line => line.includes('enable-ipsec'))
        .map(line => line.split(/ +/)),
      [
        ['enable-ipsec', 'true'],
        ['enable-ipsec-key-watcher', 'true'],
      ],
    );
    assert.match(out, /^ipsec-key-file +\/etc\/ipsec\/keys$/m);
    assert.match(out, /^ipsec-key-rotation-duration +5m$/m);
    assert.doesNotMatch(out, /wireguard|encrypt-/);
  });

  it('a Secret that has no key is refused with what is wrong, and none of it is repeated', async () => {
    const bad = KEY_LINE.replace('3+', '16+');
    cluster.writeKeys(bad);
    const { code, err } = await cluster.run('install', ...IPSEC);
    assert.equal(code, 1);
    assert.match(
      err,
      /the Secret kube-system\/cilium-ipsec-keys has no key that can be used: line 1, field 1: /,
    );
    assert.ok(!err.includes('0001020304'));
    assert.deepEqual(writes(), []);
  });

  it('who may not read Secrets may install all the same', async () => {
    const forbidden = { kind: 'Status', code: 403, reason: 'Forbidden', message: 'no' };
    cluster.server.answers.set('GET /api/v1/namespaces/kube-system/secrets/cilium-ipsec-keys', () => ({
      status: 403,
      body: forbidden,
    }));
    assert.equal((await cluster.run('install', ...IPSEC)).code, 0);
    assert.equal((await cluster.run('status')).code, 0);
  });

  it('the type changes in one write, and the engine stays as it is', async () => {
    cluster.writeKeys(KEY_LINE);
    await cluster.run('install', ...WIREGUARD);
    const engine = () =>
      JSON.stringify(cluster.server.read<DaemonSet>(PATHS.daemonSets, 'cilium-engine', 'kube-system')?.spec);
    const before = engine();
    const seen: string[] = [];
    const { onWrite } = cluster.server;
    cluster.server.onWrite = (type, object) => {
      if (object.metadata.name === 'cilium-config') {
        const data = object['data'] as Record<string, string>;
        seen.push(`${data['enable-wireguard'] ?? ''}/${data['enable-ipsec'] ?? ''}`);
      }
      onWrite?.(type, object);
    };
    for (const [flags, state] of [
      [IPSEC, '/true'],
      [WIREGUARD, 'true/'],
    ] as const) {
      seen.length = 0;
      const { code, err } = await cluster.run('upgrade', ...flags);
      assert.equal(code, 0, err);
      assert.deepEqual([...new Set(seen)], [state]);
      assert.equal(engine(), before);
    }
  });

  it('engines stay until no node that runs seals any more', async () => {
    await cluster.run('install', ...WIREGUARD);
    cluster.advertise(['wireguard'], ['wireguard']);
    for (const node of cluster.server.all(PATHS.nodes)) {
      const conditions = [
        { type: 'Ready', status: node.metadata.name === 'kind-worker2' ? 'Unknown' : 'True' },
      ];
      cluster.server.put(PATHS.nodes, { ...node, status: { ...(node['status'] as object), conditions } });
    }
    const off = cluster.run('upgrade', '--set', 'encryption.enabled=false');
    const engine = () => cluster.server.read(PATHS.daemonSets, 'cilium-engine', 'kube-system');
    await until(() => cluster.config()?.['enable-wireguard'] === undefined);
    cluster.advertise(['none'], ['none'], ['kind-control-plane']);
    assert.ok(engine());
    cluster.advertise(['wireguard', 'none'], ['none'], ['kind-worker']);
    assert.ok(engine());
    cluster.advertise(['none'], ['none'], ['kind-worker']);
    assert.equal((await off).code, 0);
    assert.equal(engine(), undefined);
  });

  it('tells what the cluster lacks before anything is changed', async () => {
    cluster.server.put<DaemonSet>(PATHS.daemonSets, {
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      metadata: { name: 'kindnet', namespace: 'kube-system' },
      spec: { selector: {}, template: { spec: { containers: [] } } },
      status: {},
    });
    const review = 'POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
    cluster.server.answers.set(review, body => ({
      status: 201,
      body: { status: { allowed: !body.includes('clusterrole') } },
    }));
    const { code, err } = await cluster.run('install', ...WIREGUARD);
    assert.equal(code, 1);
    assert.match(err, /another CNI plugin is there \(DaemonSet kube-system\/kindnet\)/);
    assert.match(err, /you may not create clusterrolebindings, clusterroles/);
    assert.deepEqual(writes(), []);
  });

  it('takes back what it made when the API server refuses something', async () => {
    let calls = 0;
    cluster.server.answers.set('PATCH /apis/apps/v1/namespaces/kube-system/deployments', () =>
      ++calls === 1
        ? { status: 200, body: {} }
        : {
            status: 422,
            body: { kind: 'Status', code: 422, reason: 'Invalid', message: 'Deployment is invalid' },
          },
    );
    const { code, err } = await cluster.run('install', ...WIREGUARD);
    assert.equal(code, 1);
    assert.match(err, /Unable to install Cilium: Deployment is invalid/);
    assert.deepEqual(cluster.server.all(PATHS.daemonSets), []);
    assert.deepEqual(cluster.server.all(PATHS.definitions), []);
    assert.equal(cluster.config(), undefined);
    assert.deepEqual(cluster.server.all(PATHS.secrets), []);
  });

  it('--dry-run prints objects, --dry-run-helm-values prints values, nothing is changed', async () => {
    const { out, err } = await cluster.run('install', '--dry-run', ...WIREGUARD);
    const objects = parseAllDocuments(out).map(document => document.toJS() as KubeObject);
    assert.match(err, /Using Cilium version/);
    assert.deepEqual(
      objects.map(({ kind }) => kind).filter(kind => /Set|Deploy|Custom|ConfigMap/.test(kind)),
      [
        'CustomResourceDefinition',
        'CustomResourceDefinition',
        'DaemonSet',
        'ConfigMap',
        'DaemonSet',
        'Deployment',
      ],
    );
    const values = await cluster.run('install', '--dry-run-helm-values', ...WIREGUARD);
    assert.match(values.out, /^encryption:\n {2}enabled: true\n {2}type: wireguard$/m);
    assert.deepEqual(writes(), []);
  });

  it('upgrade keeps earlier values, --reset-values does not; keys and engine go with encryption', async () => {
    await cluster.run('install', ...WIREGUARD, '--set', 'MTU=1400');
    const off = await cluster.run('upgrade', '--set', 'encryption.enabled=false');
    assert.equal(off.code, 0, off.err);
    assert.equal(cluster.config()?.['enable-wireguard'], undefined);
    assert.equal(cluster.config()?.['mtu'], '1400');
    assert.equal(cluster.server.read(PATHS.daemonSets, 'cilium-engine', 'kube-system'), undefined);
    assert.match((await cluster.run('status')).out, /^Encryption: +Disabled \(3\/3 nodes\)$/m);
    const on = await cluster.run('upgrade', '--reuse-values', '--set', 'encryption.enabled=true');
    assert.equal(on.code, 0, on.err);
    assert.equal(cluster.config()?.['enable-wireguard'], 'true');
    await cluster.run('upgrade', '--reset-values', ...WIREGUARD);
    assert.equal(cluster.config()?.['mtu'], undefined);
  });

  it('upgrade changes the pods when the configuration changes, and only then', async () => {
    await cluster.run('install', ...WIREGUARD);
    const template = () =>
      JSON.stringify(
        cluster.server.read<DaemonSet>(PATHS.daemonSets, 'cilium', 'kube-system')?.spec.template,
      );
    const before = template();
    await cluster.run('upgrade');
    assert.equal(template(), before);
    await cluster.run('upgrade', '--set', 'debug.enabled=true');
    assert.notEqual(template(), before);
  });

  it('upgrade wants an installation', async () => {
    const { code, err } = await cluster.run('upgrade');
    assert.equal(code, 1);
    assert.match(err, /nothing is installed in namespace kube-system: use "cilium install"/);
  });

  it('a cluster that does not answer costs one sentence', async () => {
    cluster.writeKubeconfig('https://127.0.0.1:1');
    for (const command of ['install', 'upgrade', 'uninstall', 'status']) {
      const { code, out, err } = await cluster.run(command);
      assert.equal(code, 1);
      assert.equal(out, '');
      assert.match(
        err,
        /^\nError: Unable to .*: the API server https:\/\/127\.0\.0\.1:1 cannot be reached: the connection was refused; check .*\n$/,
      );
    }
  });
});

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadline) assert.fail(`never became true: ${condition}`);
    await sleep(2);
  }
}
