/** logs, exec and attach, through the server, to a kubelet that is a stand-in. */
import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { type WebSocket, WebSocketServer } from 'ws';
import { issueLeaf } from '../cluster/certificates.ts';
import { follow, startTestServer, type TestServer } from './testing.ts';

const MERGE = 'application/merge-patch+json';
let server: TestServer;
let kubelet: Server;
const asked: string[] = [];

before(async () => {
  server = await startTestServer();
  kubelet = await startKubelet();
  const { port } = kubelet.address() as AddressInfo;
  await server.ask('POST', '/api/v1/nodes', {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'node-a' },
    status: {
      addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
      daemonEndpoints: { kubeletEndpoint: { Port: port } },
    },
  });
  for (const name of ['one', 'two'])
    await server.ask('POST', '/api/v1/namespaces/default/pods', {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name },
      spec: {
        nodeName: 'node-a',
        containers: [{ name: 'main', image: 'i' }, ...(name === 'two' ? [{ name: 'side', image: 'i' }] : [])],
      },
    });
});
after(async () => {
  kubelet.closeAllConnections();
  kubelet.close();
  await server.close();
});

/** Logs a line a moment; exec echoes its input until it ends, then exits with the code that `exit N` asks for. */
async function startKubelet(): Promise<Server> {
  const pair = await issueLeaf(
    server.authority,
    { commonName: 'system:node:node-a', organizations: ['system:nodes'], hosts: ['node-a'] },
    new Date(),
  );
  const made = createServer({
    cert: pair.cert,
    key: pair.key,
    ca: server.authority.cert,
    requestCert: true,
    rejectUnauthorized: true,
  });
  made.on('request', (request, response) => {
    asked.push(request.url ?? '');
    if (!request.url?.startsWith('/containerLogs/default/one/main')) {
      response.writeHead(400, { 'Content-Type': 'application/json' });
      response.end(
        JSON.stringify({
          kind: 'Status',
          apiVersion: 'v1',
          status: 'Failure',
          code: 400,
          reason: 'BadRequest',
          message: 'container is waiting to start',
        }),
      );
      return;
    }
    response.write('first\n');
    if (!request.url.includes('follow=true')) response.end('last\n');
    else {
      const timer = setInterval(() => response.write('more\n'), 50);
      response.on('close', () => clearInterval(timer));
    }
  });
  const sockets = new WebSocketServer({
    noServer: true,
    handleProtocols: offered => (offered.has('v5.channel.k8s.io') ? 'v5.channel.k8s.io' : false),
  });
  made.on('upgrade', (request, socket, head) => {
    asked.push(request.url ?? '');
    if (!/^\/(exec|attach)\//.test(request.url ?? '')) {
      const message = request.url?.includes('/two') ? 'pod "two" not found on this node' : 'not found';
      const body = JSON.stringify({
        kind: 'Status',
        apiVersion: 'v1',
        status: 'Failure',
        message,
        code: 404,
      });
      socket.end(
        `HTTP/1.1 404 NotFound\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
      );
      return;
    }
    sockets.handleUpgrade(request, socket, head, opened =>
      run(opened, new URL(request.url ?? '', 'https://x').searchParams.getAll('command')),
    );
  });
  await new Promise<void>(resolve => made.listen(0, '127.0.0.1', resolve));
  return made;
}

function run(socket: WebSocket, command: string[]): void {
  const send = (channel: number, text: string) =>
    socket.send(Buffer.concat([Buffer.of(channel), Buffer.from(text)]));
  const end = (code: number) => {
    const causes = [{ reason: 'ExitCode', message: String(code) }];
    send(
      3,
      JSON.stringify(
        code
          ? {
              metadata: {},
              status: 'Failure',
              reason: 'NonZeroExitCode',
              message: 'command terminated',
              details: { causes },
            }
          : { metadata: {}, status: 'Success' },
      ),
    );
    socket.close(1000);
  };
  if (command[0] === 'exit') {
    send(2, 'going\n');
    end(Number(command[1]));
    return;
  }
  socket.on('message', data => {
    const bytes = Buffer.from(data as Buffer);
    if (bytes[0] === 0) send(1, bytes.subarray(1).toString().toUpperCase());
    if (bytes[0] === 255) end(0);
  });
}

test('logs', async () => {
  assert.equal(await server.run(['logs', 'one', '--tail=5', '--timestamps']), 'first\nlast\n');
  assert.match(
    asked.at(-1) ?? '',
    /^\/containerLogs\/default\/one\/main\?(?=.*tailLines=5)(?=.*timestamps=true)/,
  );
});

test('logs -f streams, and stops when the client goes', async () => {
  const base = ['--kubeconfig', `${server.folder}/kubeconfig`, '--cache-dir', `${server.folder}/cache`];
  const following = follow('kubectl', [...base, 'logs', '-f', 'one']);
  await following.until('first\nmore\nmore\n');
  following.stop();
});

test('exec carries input, output and the exit code', async () => {
  const echoed = await server.kubectl(['exec', '-i', 'one', '--', 'cat'], 'hello\n');
  assert.deepEqual([echoed.code, echoed.stdout], [0, '---\nHELLO\n']);
  assert.match(asked.at(-1) ?? '', /^\/exec\/default\/one\/main\?(?=.*command=cat)(?=.*stdin=true)/);
  const left = await server.kubectl(['exec', 'one', '--', 'exit', '7']);
  assert.deepEqual([left.code, left.stderr.split('\n')[0]], [7, 'going']);
});

test('attach is carried as exec is', async () => {
  const attached = await server.kubectl(['attach', '-i', 'one'], 'hello\n');
  assert.deepEqual([attached.code, attached.stdout], [0, '---\nHELLO\n']);
  assert.match(asked.at(-1) ?? '', /^\/attach\/default\/one\/main\?(?=.*stdin=true)(?=.*stdout=true)/);
});

test('port-forward says that it is not there, and what to do, unless the kubelet knows better', async () => {
  const unserved = await forward('one');
  assert.match(unserved, /port-forward is not in this lab: .*kubectl exec POD/);
  const absent = await forward('two');
  assert.match(absent, /pod "two" not found on this node/);
});

/** What kubectl says of a port-forward to a pod that runs. */
async function forward(pod: string): Promise<string> {
  const path = `/api/v1/namespaces/default/pods/${pod}/status`;
  await server.ask('PATCH', path, { status: { phase: 'Running' } }, { 'Content-Type': MERGE });
  const ran = await server.kubectl(['port-forward', `pod/${pod}`, ':80']);
  assert.notEqual(ran.code, 0);
  return ran.stderr;
}

test('a container has to be named where there are several', async () => {
  const answer = await server.ask('GET', '/api/v1/namespaces/default/pods/two/log');
  assert.deepEqual(
    [answer.status, answer.body.message],
    [400, 'a container name must be specified for pod two, choose one of: [main side]'],
  );
  const wrong = await server.ask('GET', '/api/v1/namespaces/default/pods/two/log?container=nope');
  assert.equal(wrong.body.message, 'container nope is not valid for pod two');
  const waiting = await server.ask('GET', '/api/v1/namespaces/default/pods/two/log?container=side');
  assert.deepEqual([waiting.status, waiting.body.message], [400, 'container is waiting to start']);
});

test('exec in what is not there, or where nobody answers, is told before the upgrade', async () => {
  const gone = await server.kubectl(['exec', 'gone', '--', 'ls']);
  assert.match(gone.stderr, /pods "gone" not found/);
  await server.ask('POST', '/api/v1/nodes', {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'node-b' },
    status: {
      addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
      daemonEndpoints: { kubeletEndpoint: { Port: 1 } },
    },
  });
  await server.ask('POST', '/api/v1/namespaces/default/pods', {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'far' },
    spec: { nodeName: 'node-b', containers: [{ name: 'main', image: 'i' }] },
  });
  const far = await server.kubectl(['exec', 'far', '--', 'ls']);
  assert.match(far.stderr, /error dialing backend/);
  const logs = await server.kubectl(['logs', 'far']);
  assert.match(logs.stderr, /error dialing backend/);
});

test('exec needs the right to it', async () => {
  const ran = await server.kubectl([
    'exec',
    'one',
    '--as=system:serviceaccount:default:default',
    '--',
    'exit',
    '0',
  ]);
  assert.match(ran.stderr, /is forbidden: User "system:serviceaccount:default:default" cannot/);
});
