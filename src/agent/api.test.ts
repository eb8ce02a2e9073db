import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { json, serveTcp, serveUnix, text } from './api.ts';
import { AgentUnreachable, askAgent, get } from './dbg/client.ts';

const folder = mkdtempSync(join(tmpdir(), 'api-'));
const path = join(folder, 'run', 'cilium.sock');
const servers: Server[] = [];
after(() => {
  for (const server of servers) server.close();
  rmSync(folder, { recursive: true });
});

test('the socket is its owner’s alone and answers by path', async () => {
  const handlers = { '/v1/status': () => json({ a: 1 }), '/bad': () => Promise.reject(new Error('no luck')) };
  servers.push(await serveUnix(path, handlers));
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(await askAgent('/v1/status?x=1', path), { a: 1 });
  assert.deepEqual(await get('/bad', path), { status: 500, body: 'no luck\n' });
  assert.equal((await get('/toString', path)).status, 404);
  await assert.rejects(askAgent('/nope', path), /answered 404: no such page: try \/v1\/status/);
});

test('a second server is turned away while the first lives', async () => {
  await assert.rejects(serveUnix(path, {}), /another agent answers on .*: only one can run on a node/);
});

test('a socket that was left behind is replaced', async () => {
  const stale = join(folder, 'stale.sock');
  writeFileSync(stale, '');
  servers.push(await serveUnix(stale, { '/': () => text('hello\n') }));
  assert.equal((await get('/', stale)).body, 'hello\n');
});

test('only GET and HEAD are answered', async () => {
  const server = await serveTcp('127.0.0.1', 0, { '/': () => text('x') });
  servers.push(server);
  const { port } = server.address() as { port: number };
  const ask = (method: string) => fetch(`http://127.0.0.1:${port}/`, { method }).then(({ status }) => status);
  assert.deepEqual(await Promise.all(['GET', 'HEAD', 'POST', 'DELETE'].map(ask)), [200, 200, 405, 405]);
});

test('no agent: what to look at', async () => {
  await assert.rejects(get('/', join(folder, 'none.sock')), (error: Error) => {
    return (
      error instanceof AgentUnreachable &&
      /does not run on this node.*kubectl -n kube-system get pods/.test(error.message)
    );
  });
});
