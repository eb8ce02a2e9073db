import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type KubeClient } from './client.ts';
import { FakeApiServer } from './fake-apiserver.ts';
import { type ElectionOptions, lead } from './lease.ts';
import type { Lease } from './types.ts';

const LEASES = '/apis/coordination.k8s.io/v1/leases';

describe('leader election', () => {
  let server: FakeApiServer;
  let client: KubeClient;
  let stop: AbortController;
  let leaders: Set<string>;
  let terms: string[];

  beforeEach(async () => {
    server = new FakeApiServer();
    client = connect({ server: await server.listen() }, { timeout: 200 });
    stop = new AbortController();
    leaders = new Set();
    terms = [];
  });
  afterEach(async () => {
    stop.abort();
    await server.close();
  });

  const options = (identity: string): ElectionOptions => ({
    namespace: 'kube-system',
    name: 'operator',
    identity,
    duration: 1_000,
    deadline: 300,
    period: 30,
  });

  function run(identity: string, signal: AbortSignal): Promise<void> {
    return lead(
      client,
      options(identity),
      async term => {
        assert.equal(leaders.size, 0, 'two leaders at once');
        leaders.add(identity);
        terms.push(identity);
        await new Promise<void>(resolve => term.addEventListener('abort', () => resolve(), { once: true }));
        leaders.delete(identity);
      },
      signal,
    );
  }

  it('one leads, the other takes over at once when the first gives up', async () => {
    const first = new AbortController();
    const running = run('a', first.signal);
    await until(() => leaders.has('a'));
    const other = run('b', stop.signal);
    const asked = server.requests.length;
    await until(() => server.requests.length > asked + 8);
    assert.deepEqual(terms, ['a']);
    first.abort();
    await running;
    await until(() => leaders.has('b'));
    const lease = server.read<Lease>(LEASES, 'operator', 'kube-system');
    assert.equal(lease?.spec?.holderIdentity, 'b');
    assert.equal(lease?.spec?.leaseTransitions, 1);
    stop.abort();
    await other;
    assert.equal(server.read<Lease>(LEASES, 'operator', 'kube-system')?.spec?.holderIdentity, '');
  });

  it('a leader that cannot renew stops before another may start', async () => {
    const running = run('a', stop.signal);
    await until(() => leaders.has('a'));
    const lost = performance.now();
    server.answers.set('PUT', () => ({ status: 500, body: 'down' }));
    await until(() => !leaders.has('a'));
    assert.ok(performance.now() - lost < 1_000);
    server.answers.clear();
    await until(() => leaders.has('a'));
    assert.deepEqual(terms, ['a', 'a']);
    stop.abort();
    await running;
  });

  it('a leader whose requests hang stops too', async () => {
    const running = run('a', stop.signal);
    await until(() => leaders.has('a'));
    server.delay = 5_000;
    const lost = performance.now();
    await until(() => !leaders.has('a'));
    assert.ok(performance.now() - lost < 1_000);
    server.delay = 0;
    stop.abort();
    await running;
  });

  it('a dead leader is waited for, for the duration it asked for', async () => {
    server.put<Lease>(LEASES, {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: 'operator', namespace: 'kube-system' },
      spec: { holderIdentity: 'dead', leaseDurationSeconds: 1, renewTime: '1970-01-01T00:00:00.000000Z' },
    });
    const started = performance.now();
    const running = run('a', stop.signal);
    await until(() => leaders.has('a'));
    assert.ok(performance.now() - started >= 1_000);
    stop.abort();
    await running;
  });

  it('what the work rejects with comes out, and the lease is free', async () => {
    const failing = lead(
      client,
      options('a'),
      async () => {
        throw new Error('bug');
      },
      stop.signal,
    );
    await assert.rejects(failing, /bug/);
    assert.equal(server.read<Lease>(LEASES, 'operator', 'kube-system')?.spec?.holderIdentity, '');
  });
});

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 5_000;
  while (!condition()) {
    if (performance.now() > deadline) assert.fail(`never became true: ${condition}`);
    await sleep(5);
  }
}
