import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { FakeCluster, PATHS } from './testing.ts';

const WIREGUARD = ['--set', 'encryption.enabled=true', '--set', 'encryption.type=wireguard'];

describe('cilium uninstall', () => {
  let cluster: FakeCluster;
  beforeEach(async () => {
    cluster = new FakeCluster();
    await cluster.start();
  });
  afterEach(() => cluster.stop());

  const writes = () => cluster.server.requests.filter(line => !/^(GET|POST .*selfsubject)/.test(line));
  const realWrites = () => writes().filter(line => !line.includes('dryRun=All'));

  it('uninstall takes everything away, and install works again', async () => {
    await cluster.run('install', ...WIREGUARD);
    const { code, out, err } = await cluster.run('uninstall');
    assert.equal(code, 0, err);
    assert.equal(err, '');
    assert.equal(out, '⌛ Uninstalling Cilium\n🔥 Cilium was successfully uninstalled.\n');
    for (const path of [
      PATHS.daemonSets,
      PATHS.deployments,
      PATHS.definitions,
      PATHS.ciliumNodes,
      PATHS.secrets,
    ])
      assert.deepEqual(cluster.server.all(path), [], path);
    assert.equal(cluster.server.all(PATHS.configMaps).length, 1);
    const order = [
      'daemonsets/cilium-engine',
      'configmaps/cilium-config',
      'daemonsets/cilium',
      'serviceaccounts/cilium',
    ];
    const places = order.map(end =>
      realWrites().findIndex(line => /^(DELETE|PATCH [^?]*$)/.test(line) && line.endsWith(end)),
    );
    assert.deepEqual(
      places,
      places.toSorted((a, b) => a - b),
    );
    assert.equal((await cluster.run('uninstall')).code, 1);
    assert.equal((await cluster.run('install', ...WIREGUARD)).code, 0);
  });

  it('an installation in another namespace is neither doubled nor half removed', async () => {
    await cluster.run('install', ...WIREGUARD);
    const before = writes().length;
    for (const [command, message] of [
      [
        'install',
        /it is installed already, in namespace kube-system, .*"cilium uninstall -n kube-system" first\n$/,
      ],
      ['uninstall', /the installation is in namespace kube-system, write -n kube-system\n$/],
      ['upgrade', /nothing is installed in namespace default/],
    ] as const) {
      const { code, err } = await cluster.run('-n', 'default', command);
      assert.match(err, message);
      assert.equal(code, 1);
    }
    assert.deepEqual(writes().slice(before), []);
    assert.equal(cluster.server.all(PATHS.definitions).length, 2);
  });

  it('uninstall with dead agents is bounded, and names the nodes', async () => {
    await cluster.run('install', ...WIREGUARD);
    cluster.agents = false;
    const { code, out, err } = await cluster.run('uninstall', '--wait', '--wait-duration', '0.3s');
    assert.equal(code, 0, err);
    assert.match(err, /kind-control-plane, kind-worker, kind-worker2 did not say that they are clean/);
    assert.match(out, /successfully uninstalled/);
  });
});
