import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type KubeClient } from '../kube/client.ts';
import { Recorder } from '../kube/events.ts';
import { FakeApiServer } from '../kube/fake-apiserver.ts';
import type { CiliumEndpoint, CiliumNode, KubeEvent, Node, Pod } from '../kube/types.ts';
import {
  DELETED_NODE_GRACE,
  NODE_GRACE,
  Orphans,
  ownerlessEndpoints,
  ownerlessNodes,
  UNMANAGED_GRACE,
} from './garbage.ts';
import { Metrics } from './metrics.ts';
import { operate } from './operator.ts';
import type { Pool } from './pool.ts';
import { parseListen, serve } from './server.ts';

const NODES = '/api/v1/nodes';
const PODS = '/api/v1/pods';
const CILIUMNODES = '/apis/cilium.io/v2/ciliumnodes';
const CILIUMENDPOINTS = '/apis/cilium.io/v2/ciliumendpoints';

const node = (name: string): Node => ({ apiVersion: 'v1', kind: 'Node', metadata: { name }, spec: {} });
const ciliumNode = (name: string, podCIDRs?: string[]): CiliumNode => ({
  apiVersion: 'cilium.io/v2',
  kind: 'CiliumNode',
  metadata: { name },
  spec: podCIDRs ? { ipam: { podCIDRs } } : {},
});
const pod = (name: string, uid = 'u'): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default', uid },
  spec: { containers: [] },
});
const endpoint = (name: string, uid = 'u'): CiliumEndpoint => ({
  apiVersion: 'cilium.io/v2',
  kind: 'CiliumEndpoint',
  metadata: {
    name,
    namespace: 'default',
    ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name, uid }],
  },
});

describe('garbage', () => {
  it('nodes: those without a Node, but none when all Nodes are gone', () => {
    assert.deepEqual(ownerlessNodes([ciliumNode('a'), ciliumNode('b')], [node('a')]), ['b']);
    assert.deepEqual(ownerlessNodes([ciliumNode('a')], []), []);
  });

  it('endpoints: those without their Pod', () => {
    const endpoints = [endpoint('stays'), endpoint('gone'), endpoint('again', 'old')];
    assert.deepEqual(ownerlessEndpoints(endpoints, [pod('stays'), pod('again', 'new')]), [
      'default/gone',
      'default/again',
    ]);
  });

  it('waits for the grace, from the first time without a break', () => {
    const orphans = new Orphans();
    const due = (names: string[], now: number) => orphans.due(names, now, () => 10);
    assert.deepEqual(due(['a'], 0), []);
    assert.deepEqual(due([], 5), []);
    assert.deepEqual(due(['a'], 6), []);
    assert.deepEqual(due(['a'], 15), []);
    assert.deepEqual(due(['a'], 16), ['a']);
  });
});

describe('operator', () => {
  let server: FakeApiServer;
  let client: KubeClient;
  let stop: AbortController;
  let metrics: Metrics;
  let time: number;
  let working: Promise<void>;
  let recorder: Recorder;

  beforeEach(async () => {
    server = new FakeApiServer();
    client = connect({ server: await server.listen() }, { timeout: 500 });
    stop = new AbortController();
    metrics = new Metrics();
    recorder = new Recorder(client, { controller: 'cilium-operator', instance: 'test' });
    time = 0;
    working = Promise.resolve();
  });
  afterEach(async () => {
    stop.abort();
    await working;
    await server.close();
  });

  function start(pools: Pool[] = []): void {
    const log = () => {};
    working = operate(
      {
        client,
        recorder,
        metrics,
        pools,
        log,
        now: () => time,
        nodeRound: 10,
        endpointRound: 10,
        dnsRound: 10,
      },
      stop.signal,
    );
  }

  it('deletes the CiliumNode of a Node that went, soon; of one never seen, later', async () => {
    for (const name of ['stays', 'goes']) {
      server.put(NODES, node(name));
      server.put(CILIUMNODES, ciliumNode(name));
    }
    server.put(CILIUMNODES, ciliumNode('stray'));
    start();
    await until(() => server.watchCount === 2);
    server.remove(NODES, 'goes');
    const names = () => server.all(CILIUMNODES).map(({ metadata }) => metadata.name);
    await until(() => {
      time += 100;
      return !names().includes('goes');
    });
    assert.ok(time >= DELETED_NODE_GRACE);
    assert.deepEqual(names(), ['stays', 'stray']);
    time += NODE_GRACE;
    await until(() => names().length === 1);
    assert.deepEqual(names(), ['stays']);
    await until(() => metrics.deleted.CiliumNode === 2);
  });

  it('deletes endpoints without a pod, and goes on after a failure', async () => {
    server.put(PODS, pod('stays'));
    server.put(CILIUMENDPOINTS, endpoint('stays'));
    server.put(CILIUMENDPOINTS, endpoint('gone'));
    server.answers.set('DELETE', () => ({ status: 500, body: 'no' }));
    start();
    await until(() => {
      time += 10;
      return metrics.errors > 0;
    });
    server.answers.clear();
    await until(() => server.all(CILIUMENDPOINTS).length === 1);
    assert.equal(server.all(CILIUMENDPOINTS)[0]?.metadata.name, 'stays');
  });

  it('restarts DNS pods without a network, in kube-system alone', async () => {
    const dns = (name: string, change: Partial<Pod> = {}): Pod => ({
      ...pod(name),
      metadata: {
        name,
        namespace: 'kube-system',
        labels: { 'k8s-app': 'kube-dns' },
        ownerReferences: [
          { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'dns', uid: 'r', controller: true },
        ],
      },
      status: { phase: 'Running' },
      ...change,
    });
    server.put(PODS, dns('old'));
    server.put(PODS, dns('new'));
    server.put(PODS, dns('starting', { status: { phase: 'Pending' } }));
    server.put(PODS, dns('host', { spec: { containers: [], hostNetwork: true } }));
    server.put(PODS, pod('unmanaged'));
    server.put(CILIUMENDPOINTS, { ...endpoint('new'), metadata: { name: 'new', namespace: 'kube-system' } });
    start();
    await until(() => {
      time += 500;
      return metrics.restartedPods === 1;
    });
    assert.ok(time >= UNMANAGED_GRACE);
    const names = server.all(PODS).map(({ metadata }) => metadata.name);
    assert.deepEqual(names, ['new', 'starting', 'host', 'unmanaged']);
  });

  it('hands out pod CIDRs without overlap, and tells when there are none left', async () => {
    for (const name of ['a', 'b', 'c', 'd']) server.put(NODES, node(name));
    server.put(CILIUMNODES, ciliumNode('a', ['10.0.1.0/24', 'fd00::/120']));
    for (const name of ['b', 'c', 'no-node']) server.put(CILIUMNODES, ciliumNode(name));
    start([
      { family: 4, networks: ['10.0.0.0/23', '10.1.0.0/24'], maskSize: 24 },
      { family: 6, networks: ['fd00::/104'], maskSize: 120 },
    ]);
    const cidrs = (name: string) => server.read<CiliumNode>(CILIUMNODES, name)?.spec.ipam?.podCIDRs;
    await until(() => cidrs('d')?.length === 1 && cidrs('c')?.length === 2);
    assert.deepEqual(cidrs('a'), ['10.0.1.0/24', 'fd00::/120']);
    assert.deepEqual(cidrs('b'), ['10.0.0.0/24', 'fd00::100/120']);
    assert.deepEqual(cidrs('c'), ['10.1.0.0/24', 'fd00::200/120']);
    assert.deepEqual(cidrs('d'), ['fd00::300/120']);
    assert.equal(cidrs('no-node'), undefined);
    await until(() => server.all('/apis/events.k8s.io/v1/events').length > 0);
    const [event] = server.all('/apis/events.k8s.io/v1/events') as KubeEvent[];
    assert.equal(event?.reason, 'PodCIDRPoolExhausted');
    assert.equal(metrics.podCIDRsExhausted, 1);
  });
});

describe('operator server', () => {
  it('answers its paths, and says when the port is taken', async () => {
    const server = await serve(
      { '/healthz': () => ({ status: 200, body: 'ok\n' }) },
      { host: '127.0.0.1', port: 0 },
    );
    try {
      const { port } = server.address() as { port: number };
      const get = (path: string, method = 'GET') => fetch(`http://127.0.0.1:${port}${path}`, { method });
      assert.equal(await (await get('/healthz')).text(), 'ok\n');
      assert.equal((await get('/nothing')).status, 404);
      assert.equal((await get('/healthz', 'POST')).status, 405);
      await assert.rejects(serve({}, { host: '127.0.0.1', port }), /another process listens there/);
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });

  it('reads addresses', () => {
    assert.deepEqual(parseListen('127.0.0.1:9234'), { host: '127.0.0.1', port: 9234 });
    assert.deepEqual(parseListen('[::1]:1'), { host: '::1', port: 1 });
    assert.deepEqual(parseListen(':1'), { host: '::', port: 1 });
    for (const wrong of ['9234', 'host:1', '1.2.3.4:99999', '']) assert.equal(parseListen(wrong), undefined);
  });

  it('metrics are lines that Prometheus takes', () => {
    for (const line of new Metrics().text('0.1.0').trimEnd().split('\n'))
      assert.match(
        line,
        /^(# (HELP|TYPE) cilium_operator_|# (HELP|TYPE) process_|[a-z_]+(\{[a-z]+="[^"]*"\})? [0-9.]+$)/,
      );
  });
});

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadline) assert.fail(`never became true: ${condition}`);
    await sleep(2);
  }
}
