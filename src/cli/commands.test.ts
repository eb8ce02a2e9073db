import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { CiliumNode, ConfigMap, DaemonSet, KubeEvent, Pod } from '../kube/types.ts';
import { complete, completionScript, SHELLS } from './commands/completion.ts';
import { createProgram } from './program.ts';
import { projectFile } from './root.ts';
import { FakeCluster, PATHS } from './testing.ts';

describe('cilium config, status, version, completion', () => {
  let cluster: FakeCluster;
  beforeEach(async () => {
    cluster = new FakeCluster();
    await cluster.start();
    await cluster.run('install', '--set', 'encryption.enabled=true', '--set', 'encryption.type=wireguard');
  });
  afterEach(() => cluster.stop());

  const restartedAt = () =>
    cluster.server.read<DaemonSet>(PATHS.daemonSets, 'cilium', 'kube-system')?.spec.template.metadata
      ?.annotations?.['kubectl.kubernetes.io/restartedAt'];

  it('config set patches and restarts', async () => {
    const { out, code } = await cluster.run('config', 'set', 'debug', 'true');
    assert.equal(code, 0);
    assert.equal(out, '✨ Patching ConfigMap cilium-config with debug=true...\n♻️  Restarted Cilium pods\n');
    assert.equal(cluster.config()?.['debug'], 'true');
    assert.ok(restartedAt());
  });

  it('config set -r=false and config delete leave the pods alone', async () => {
    for (const flag of ['-r=false', '--restart=false']) {
      const { out, code, err } = await cluster.run('config', 'set', flag, 'tunnel-port', '8473');
      assert.equal(code, 0, err);
      assert.match(out, /⚠️ {2}Restart Cilium pods for configmap changes to take effect/);
    }
    const { out } = await cluster.run('config', 'delete', '-r=false', 'tunnel-port');
    assert.match(out, /^✨ Removing key tunnel-port from ConfigMap cilium-config\.\.\.$/m);
    assert.equal(cluster.config()?.['tunnel-port'], undefined);
    assert.equal(restartedAt(), undefined);
  });

  it('config refuses what the agents would refuse', async () => {
    for (const [args, message] of [
      [['set', 'tunnel-port', 'x'], /tunnel-port is "x": write a whole number/],
      [['set', 'enable-wireguard', 'false'], /comes with the installation: use "cilium upgrade/],
      [['set', 'a b', 'c'], /"a b" is no key/],
      [
        ['delete', 'tunel-port'],
        /there is no key "tunel-port" in ConfigMap cilium-config: did you mean "tunnel-port"\?/,
      ],
      [['set', 'x'], /missing required argument 'value'/],
    ] as const) {
      const { code, err } = await cluster.run('config', ...args);
      assert.notEqual(code, 0);
      assert.match(err, message);
    }
    const before = cluster.config();
    cluster.server.remove(PATHS.configMaps, 'cilium-config', 'kube-system');
    assert.match(
      (await cluster.run('config', 'view')).err,
      /Unable to view config: there is no ConfigMap cilium-config/,
    );
    assert.ok(before);
  });

  it('status tells what is wrong, and --wait ends with it', async () => {
    const agents = cluster.server.read<DaemonSet>(PATHS.daemonSets, 'cilium', 'kube-system');
    assert.ok(agents?.status);
    cluster.server.put<DaemonSet>(PATHS.daemonSets, {
      ...agents,
      status: { ...agents.status, updatedNumberScheduled: 1, numberReady: 2, numberAvailable: 2 },
    });
    const pod = cluster.server.read<Pod>(PATHS.pods, 'cilium-x1', 'kube-system');
    assert.ok(pod);
    cluster.server.put<Pod>(PATHS.pods, {
      ...pod,
      status: {
        phase: 'Running',
        containerStatuses: [
          {
            name: 'cilium-agent',
            image: '',
            imageID: '',
            ready: false,
            restartCount: 3,
            state: { waiting: { reason: 'CrashLoopBackOff', message: 'back-off' } },
            lastState: { terminated: { exitCode: 1, message: 'starting\nUDP port 51871 is taken\n' } },
          },
        ],
      },
    });
    const node = cluster.server.read<CiliumNode>(PATHS.ciliumNodes, 'kind-worker');
    assert.ok(node);
    cluster.server.put<CiliumNode>(PATHS.ciliumNodes, {
      ...node,
      status: {
        conditions: [
          {
            type: 'Accepted',
            status: 'False',
            reason: 'DuplicatePublicKey',
            message: 'Two nodes have one key.',
          },
        ],
      },
    });
    const { out, code } = await cluster.run('status');
    assert.equal(code, 0);
    assert.match(out, /Cilium: {13}4 errors, 1 warning/);
    assert.match(
      out,
      /^Errors: +cilium +cilium +daemonset cilium is rolling out - 1 out of 3 pods updated$/m,
    );
    assert.match(out, /cilium +1 pods of DaemonSet cilium are not ready$/m);
    assert.match(out, /cilium-x1 +container cilium-agent: CrashLoopBackOff: UDP port 51871 is taken$/m);
    assert.match(out, /cilium +1 of 3 nodes cannot open and seal yet$/m);
    assert.match(out, /^Warnings: +cilium +kind-worker +DuplicatePublicKey: Two nodes have one key\.$/m);
    const waited = await cluster.run('status', '--wait', '--wait-duration', '0.6s');
    assert.equal(waited.code, 1);
    assert.equal(waited.out, '');
    assert.match(waited.err, /\/¯¯\\/);
    assert.match(
      waited.err,
      /\nError: Unable to determine status: timeout while waiting for status to become successful: daemonset cilium is rolling out - 1 out of 3 pods updated\n$/,
    );
  });

  it('status tells once what all nodes say of the key', async () => {
    for (const node of cluster.server.all(PATHS.ciliumNodes))
      cluster.server.put<CiliumNode>(PATHS.ciliumNodes, {
        ...(node as CiliumNode),
        status: {
          conditions: [
            { type: 'IPsecKey', status: 'False', reason: 'IPsecKeyRefused', message: 'it is short' },
          ],
        },
      });
    const { out } = await cluster.run('status');
    assert.match(out, /Cilium: {13}1 error$/m);
    assert.match(out, /^Errors: +cilium +3 nodes +IPsecKeyRefused: it is short$/m);
  });

  it('status tells why an agent is not ready, as its last Event does', async () => {
    const pod = cluster.server.read<Pod>(PATHS.pods, 'cilium-x1', 'kube-system');
    assert.ok(pod);
    cluster.server.put<Pod>(PATHS.pods, {
      ...pod,
      status: { phase: 'Running', startTime: '2026-01-01T00:00:10Z', conditions: [] },
    });
    for (const [second, note] of [
      ['09', 'What was before.'],
      ['12', 'UDP port 51871 is taken.'],
      ['11', 'Something else.'],
    ] as const)
      cluster.server.put<KubeEvent>('/apis/events.k8s.io/v1/events', {
        apiVersion: 'events.k8s.io/v1',
        kind: 'Event',
        metadata: { name: `e${second}`, namespace: 'default' },
        type: 'Warning',
        eventTime: `2026-01-01T00:00:${second}.000000Z`,
        reportingController: 'cilium-agent',
        reportingInstance: 'kind-worker',
        note,
      });
    const { err, code } = await cluster.run('status', '--wait', '--wait-duration', '0.2s');
    assert.equal(code, 1);
    assert.match(err, /^Errors: +cilium +kind-worker +UDP port 51871 is taken\.$/m);
    assert.doesNotMatch(err, /before|else/);
    assert.match(err, /to become successful: kind-worker: UDP port 51871 is taken\.\n$/);
  });

  it('status waits for keys', async () => {
    cluster.server.remove(PATHS.ciliumNodes, 'kind-worker');
    assert.match((await cluster.run('status')).out, /1 of 3 nodes cannot open and seal yet/);
  });

  it('status misses the engine where WireGuard is on', async () => {
    cluster.server.remove(PATHS.daemonSets, 'cilium-engine', 'kube-system');
    const { err, code } = await cluster.run('status', '--wait', '--wait-duration', '0.6s');
    assert.equal(code, 1);
    assert.match(err, /daemonsets\.apps "cilium-engine" not found/);
  });

  it('status -o json has names that stay', async () => {
    const { out } = await cluster.run('status', '-o', 'json');
    const report = JSON.parse(out) as Record<string, unknown>;
    assert.equal(report['apiVersion'], 'pellicle.io/v1');
    assert.equal(report['cilium'], 'OK');
    assert.deepEqual(report['encryption'], { mode: 'Wireguard', nodes: 3, of: 3, nodeEncryption: false });
    assert.deepEqual(report['errors'], []);
  });

  it('version says which Pellicle runs', async () => {
    const { out } = await cluster.run('version');
    assert.match(out, /^cilium-cli: v0\.1\.0 \(Pellicle\) running on Node\.js v24/);
    assert.match(out, /^cilium image \(running\): v0\.1\.0$/m);
    assert.doesNotMatch((await cluster.run('version', '--client')).out, /running\)/);
  });

  it('usage errors end with 2 and a hint', async () => {
    for (const [args, message] of [
      [['statsu'], /^Error: unknown command 'statsu'\n\(Did you mean status\?\)\nSee 'cilium --help'\n$/],
      [
        ['status', '--wiat'],
        /unknown option '--wiat'\n\(Did you mean --wait\?\)\nSee 'cilium status --help'\n$/,
      ],
      [['status', '-o', 'yaml'], /Allowed choices are summary, json/],
      [['completion', 'tcsh'], /Allowed choices are bash, zsh, fish, powershell/],
      [['-n', 'Not_a_name', 'status'], /"Not_a_name" is no name of a namespace/],
    ] as const) {
      const { code, err } = await cluster.run(...args);
      assert.equal(code, 2, err);
      assert.match(err, message);
    }
  });

  it('takes the global flags before and after the command', async () => {
    for (const args of [
      ['-n', 'elsewhere', 'config', 'view'],
      ['config', 'view', '-n', 'elsewhere'],
      ['config', '--namespace=elsewhere', 'view'],
    ]) {
      const { code, err } = await cluster.run(...args);
      assert.equal(code, 1);
      assert.match(err, /no ConfigMap cilium-config in namespace elsewhere/);
    }
    assert.match(
      (await cluster.run('status', '--context', 'no')).err,
      /context "no" is not in the kubeconfig/,
    );
  });

  it('help is printed to stdout with 0', async () => {
    for (const args of [['--help'], ['help', 'install'], ['install', '-h'], ['config']]) {
      const { code, out, err } = await cluster.run(...args);
      assert.equal(code, 0);
      assert.match(out, /^Usage: cilium /);
      assert.equal(err, '');
    }
  });

  it('completes commands, flags and choices', async () => {
    const terminal = {
      out: () => {},
      err: () => {},
      colour: (_: string, text: string) => text,
      signal: new AbortController().signal,
    };
    const program = createProgram({ name: 'cilium' }, terminal);
    const words = (...given: string[]) => complete(program, given).map(line => line.split('\t')[0]);
    assert.deepEqual(words('st'), ['status']);
    assert.deepEqual(words('config', ''), ['view', 'set', 'delete']);
    assert.deepEqual(words('completion', 'b'), ['bash']);
    assert.deepEqual(words('status', '-o', ''), ['summary', 'json']);
    assert.deepEqual(words('status', '--output=j'), ['--output=json']);
    assert.deepEqual(words('--context', 'status', 'stat'), ['status']);
    assert.ok(words('install', '--se').includes('--set-string'));
    assert.ok(words('status', '--k').includes('--kubeconfig'));
    assert.ok(!words('').includes('__complete'));
    for (const shell of SHELLS)
      assert.match(completionScript(shell, 'cilium'), /cilium.*__complete|__complete/s);
    const { out } = await cluster.run('__complete', 'install', '--dry');
    assert.match(out, /^--dry-run\tPrint the objects, change nothing$/m);
  });

  it('completes in bash, which takes --flag=value for three words', () => {
    const answer = (...words: string[]) => {
      const typed = `COMP_WORDS=(${words.map(word => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}`;
      const program = `cilium() { '${process.execPath}' '${projectFile('src/main/cilium.ts')}' "$@"; }`;
      const script = `${completionScript('bash', 'cilium')}\n${program}\n${typed}; _cilium_complete; printf '%s\\n' "\${COMPREPLY[@]}"`;
      return execFileSync('bash', ['-c', script], { encoding: 'utf8' }).trimEnd().split('\n');
    };
    assert.deepEqual(answer('cilium', 'st'), ['status']);
    assert.deepEqual(answer('cilium', 'config', ''), ['view', 'set', 'delete']);
    assert.deepEqual(answer('cilium', 'status', '--output', '=', 'j'), ['json']);
    assert.deepEqual(answer('cilium', 'install', '--set', 'a', '=', 'b', '--wait-d'), ['--wait-duration']);
  });

  it('output that cannot be written is told, not thrown', () => {
    const program = [process.execPath, projectFile('src/main/cilium.ts'), 'completion', 'bash'];
    const full = openSync('/dev/full', 'w');
    const { status, stderr } = spawnSync(program[0] ?? '', program.slice(1), {
      stdio: ['ignore', full, 'pipe'],
      encoding: 'utf8',
    });
    closeSync(full);
    assert.equal(status, 1);
    assert.match(stderr, /^\nError: stdout cannot be written: ENOSPC.*; send the output elsewhere\n$/);
  });

  it('an unreadable release is told, not thrown', async () => {
    cluster.server.put<ConfigMap>(PATHS.secrets, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'cilium-install-values', namespace: 'kube-system' },
      data: { values: 'garbage' },
    });
    const { code, err } = await cluster.run('upgrade');
    assert.equal(code, 1);
    assert.match(err, /Secret kube-system\/cilium-install-values, .* is damaged: delete it with kubectl/);
    assert.equal((await cluster.run('status')).code, 0);
  });
});
