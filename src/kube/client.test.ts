import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { ApiError, connect, isNotFound, type KubeClient, KubeUnreachable } from './client.ts';
import { FakeApiServer } from './fake-apiserver.ts';
import { CILIUMNODES, CONFIGMAPS, type ConfigMap, NODES, PODS, resourcePath } from './types.ts';

const settings = (name: string, data: Record<string, string> = {}): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'kube-system' },
  data,
});

describe('client', () => {
  let server: FakeApiServer;
  let client: KubeClient;

  beforeEach(async () => {
    server = new FakeApiServer();
    client = connect({ server: await server.listen(), token: 'secret' }, { timeout: 500 });
  });
  afterEach(() => server.close());

  it('creates, reads, patches, replaces, applies and deletes', async () => {
    await client.create(CONFIGMAPS, settings('a', { x: '1' }));
    assert.deepEqual((await client.get(CONFIGMAPS, 'a', 'kube-system')).data, { x: '1' });
    await client.patch(CONFIGMAPS, 'a', 'kube-system', { data: { x: null, y: '2' } }, 'merge');
    const patched = await client.get(CONFIGMAPS, 'a', 'kube-system');
    assert.deepEqual(patched.data, { y: '2' });
    await client.replace(CONFIGMAPS, { ...patched, data: { z: '3' } });
    await assert.rejects(client.replace(CONFIGMAPS, patched), {
      name: 'ApiError',
      code: 409,
      reason: 'Conflict',
    });
    await client.apply(CONFIGMAPS, settings('b'), { fieldManager: 'test', force: true });
    const { items, resourceVersion } = await client.list(CONFIGMAPS, { namespace: 'kube-system' });
    assert.deepEqual(
      items.map(item => [item.kind, item.metadata.name]),
      [
        ['ConfigMap', 'a'],
        ['ConfigMap', 'b'],
      ],
    );
    assert.ok(Number(resourceVersion) > 0);
    await client.delete(CONFIGMAPS, 'a', 'kube-system');
    await assert.rejects(client.get(CONFIGMAPS, 'a', 'kube-system'), isNotFound);
    assert.ok(server.requests.some(line => line.endsWith('configmaps/b?fieldManager=test&force=true')));
  });

  it('dry-runs change nothing', async () => {
    await client.create(CONFIGMAPS, settings('a'), { dryRun: true });
    assert.equal(server.read('/api/v1/configmaps', 'a', 'kube-system'), undefined);
  });

  it('refuses an empty name, which would ask for all objects', async () => {
    assert.throws(() => client.get(PODS, '', 'default'), TypeError);
    await assert.rejects(client.delete(PODS, '', 'default'), TypeError);
    assert.deepEqual(server.requests, []);
  });

  it('builds the paths of the API', () => {
    assert.equal(resourcePath(NODES, { name: 'n' }), '/api/v1/nodes/n');
    assert.equal(
      resourcePath(PODS, { name: 'p', namespace: 'x', subresource: 'status' }),
      '/api/v1/namespaces/x/pods/p/status',
    );
    assert.equal(resourcePath(CILIUMNODES, { namespace: 'x' }), '/apis/cilium.io/v2/ciliumnodes');
  });

  it('asks a busy server again', async () => {
    let calls = 0;
    server.answers.set('GET /api/v1/nodes/n', () =>
      ++calls < 3
        ? { status: 429, body: {}, headers: { 'retry-after': '0' } }
        : { status: 200, body: { metadata: { name: 'n' } } },
    );
    assert.equal((await client.get(NODES, 'n')).metadata.name, 'n');
  });

  it('turns bodies that are no Status into errors too', async () => {
    server.answers.set('GET /api/v1/nodes', () => ({ status: 502, body: '<html>bad gateway</html>' }));
    await assert.rejects(client.list(NODES), (error: unknown) => {
      assert.ok(error instanceof ApiError);
      assert.equal(error.code, 502);
      assert.match(error.message, /502/);
      return true;
    });
    server.answers.set('GET /api/v1/pods', () => ({ status: 200, body: 'not json' }));
    await assert.rejects(client.list(PODS), KubeUnreachable);
  });

  it('gives up on a slow server in one sentence', async () => {
    server.delay = 5_000;
    const started = performance.now();
    await assert.rejects(client.get(NODES, 'n'), (error: unknown) => {
      assert.ok(error instanceof KubeUnreachable);
      assert.equal(error.code, 'ETIMEDOUT');
      assert.match(
        error.message,
        /^the API server http:\/\/127\.0\.0\.1:\d+ cannot be reached: it did not answer in time; check /,
      );
      return true;
    });
    assert.ok(performance.now() - started < 3_000);
  });

  it('says what to check when nothing listens, or what listens speaks no HTTP', async () => {
    const closed = connect({ server: 'http://127.0.0.1:1' });
    await assert.rejects(closed.get(NODES, 'n'), {
      code: 'ECONNREFUSED',
      message: /refused; check that the cluster runs/,
    });
    const chatter = createServer(socket => socket.end('SSH-2.0-x\r\n')).listen(0, '127.0.0.1');
    try {
      await new Promise(resolve => chatter.once('listening', resolve));
      const { port } = chatter.address() as { port: number };
      await assert.rejects(connect({ server: `http://127.0.0.1:${port}` }).get(NODES, 'n'), KubeUnreachable);
      await assert.rejects(connect({ server: `https://127.0.0.1:${port}` }).get(NODES, 'n'), KubeUnreachable);
    } finally {
      chatter.close();
    }
  });

  it('refuses a server that is no URL', () => {
    assert.throws(() => connect({ server: 'kind-kind' }), /is no address of an API server/);
  });

  it('survives connections that the server closed in between', async () => {
    const url = client.server;
    assert.equal((await client.list(NODES)).items.length, 0);
    await server.close();
    server = new FakeApiServer();
    await server.listen(Number(new URL(url).port));
    assert.equal((await client.list(NODES)).items.length, 0);
  });

  it('watches from a resourceVersion, over chunks that split lines and characters', async () => {
    const { resourceVersion } = await client.list(CONFIGMAPS);
    const abort = new AbortController();
    const seen: string[] = [];
    const done = (async () => {
      for await (const event of client.watch(CONFIGMAPS, { resourceVersion, signal: abort.signal })) {
        seen.push(`${event.type} ${event.object.metadata.name} ${event.object.data?.['x'] ?? ''}`);
        if (event.object.metadata.name === 'last') abort.abort();
      }
    })();
    while (server.watchCount === 0) await client.list(NODES);
    await client.create(CONFIGMAPS, settings('a', { x: 'é' }));
    const line = `${JSON.stringify({ type: 'ADDED', object: settings('last', { x: '\u{1F510}' }) })}\n`;
    const bytes = Buffer.from(line);
    const cut = bytes.indexOf(Buffer.from('\u{1F510}')) + 2;
    for (const part of [bytes.subarray(0, cut), bytes.subarray(cut)]) {
      server.sendRaw(part as unknown as string);
      await client.list(NODES);
    }
    await done;
    assert.deepEqual(seen, ['ADDED a é', 'ADDED last \u{1F510}']);
  });

  it('answers a watch that is refused with the refusal', async () => {
    server.compact();
    const watch = client.watch(NODES, { resourceVersion: '1', signal: new AbortController().signal });
    await assert.rejects(watch[Symbol.asyncIterator]().next(), { name: 'ApiError', code: 410 });
  });
});
