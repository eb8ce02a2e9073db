import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type WebSocket, WebSocketServer } from 'ws';
import { ApiError, KubeUnreachable } from './client.ts';
import { exec } from './exec.ts';
import { FakeApiServer } from './fake-apiserver.ts';

describe('exec', () => {
  const target = { namespace: 'kube-system', pod: 'cilium-x', container: 'cilium-agent' };
  let server: FakeApiServer;
  let url: string;
  let sockets: WebSocketServer;
  let seen: string;

  beforeEach(async () => {
    server = new FakeApiServer();
    url = await server.listen();
    sockets = new WebSocketServer({
      noServer: true,
      handleProtocols: protocols => [...protocols][0] ?? false,
    });
    seen = '';
  });
  afterEach(async () => {
    sockets.close();
    await server.close();
  });

  function answer(
    frames: [channel: number, text: string][],
    end = (socket: WebSocket) => socket.close(),
  ): void {
    server.onUpgrade = (request, socket, head) => {
      seen = `${request.headers.authorization} ${request.url} ${request.headers['sec-websocket-protocol']}`;
      sockets.handleUpgrade(request, socket, head, client => {
        for (const [channel, text] of frames)
          client.send(Buffer.concat([Buffer.from([channel]), Buffer.from(text)]));
        end(client);
      });
    };
  }
  const run = (signal = new AbortController().signal) =>
    exec({ server: url, token: 't' }, target, ['cilium', 'status'], signal);

  it('collects output and exit code', async () => {
    const causes = [{ reason: 'ExitCode', message: '3' }];
    answer([
      [1, ''],
      [1, 'out'],
      [2, 'err'],
      [1, 'put'],
      [3, JSON.stringify({ status: 'Failure', reason: 'NonZeroExitCode', details: { causes } })],
    ]);
    assert.deepEqual(await run(), { stdout: 'output', stderr: 'err', exitCode: 3 });
    assert.equal(
      seen,
      'Bearer t /api/v1/namespaces/kube-system/pods/cilium-x/exec?command=cilium&command=status&container=cilium-agent&stdout=true&stderr=true v5.channel.k8s.io',
    );
    answer([[3, '{"status":"Success"}']]);
    assert.equal((await run()).exitCode, 0);
  });

  it('refusals keep their status', async () => {
    server.onUpgrade = (_, socket) => {
      const body = JSON.stringify({
        kind: 'Status',
        code: 403,
        reason: 'Forbidden',
        message: 'no exec for you',
      });
      socket.end(`HTTP/1.1 403 Forbidden\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    };
    await assert.rejects(run(), (error: unknown) => {
      assert.ok(error instanceof ApiError);
      assert.equal(error.code, 403);
      assert.equal(error.message, 'no exec for you');
      return true;
    });
  });

  it('a stream that breaks off, a dead server and a caller without patience are told apart', async () => {
    answer([[1, 'half']], socket => socket.terminate());
    await assert.rejects(run(), KubeUnreachable);
    server.onUpgrade = undefined;
    await assert.rejects(run(), KubeUnreachable);
    answer([], () => {});
    await assert.rejects(run(AbortSignal.timeout(50)), { name: 'TimeoutError' });
  });
});
