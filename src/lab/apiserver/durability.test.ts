/** What the server acknowledged is there after it was killed. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { issueLeaf, type KeyPairPem } from '../cluster/certificates.ts';
import { ask, writePki } from './testing.ts';

const program = join(import.meta.dirname, '../../main/lab-apiserver.ts');
let folder: string;
let authority: KeyPairPem;
let admin: KeyPairPem;
let child: ChildProcess | undefined;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pellicle-durable-'));
  authority = await writePki(folder, new Date());
  admin = await issueLeaf(authority, { commonName: 'admin', organizations: ['system:masters'] }, new Date());
});
after(async () => {
  child?.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

/** Starts the program; the port that it tells. */
function start(): Promise<number> {
  const args = [program, '--data', join(folder, 'api.db'), '--pki', folder, '--listen', '127.0.0.1:0'];
  const started = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  child = started;
  return new Promise((resolve, reject) => {
    let output = '';
    started.stderr.on('data', chunk => {
      output += chunk;
      const port = /127\.0\.0\.1:(\d+)/.exec(output);
      if (port) resolve(Number(port[1]));
    });
    started.once('exit', code => reject(new Error(`ended with ${code}: ${output}`)));
  });
}

test('kill -9 in the middle of writes loses nothing that was acknowledged', async () => {
  const port = await start();
  const client = (at: number) => ({ port: at, ca: authority.cert, cert: admin.cert, key: admin.key });
  const acknowledged: { name: string; resourceVersion: string }[] = [];
  const path = '/api/v1/namespaces/default/configmaps';
  const write = async (lane: number) => {
    for (let index = 0; ; index++) {
      const metadata = { name: `map-${lane}-${index}` };
      const { body } = await ask(
        { ...client(port), method: 'POST', path },
        { apiVersion: 'v1', kind: 'ConfigMap', metadata },
      );
      acknowledged.push(body.metadata);
      if (acknowledged.length === 60) child?.kill('SIGKILL');
    }
  };
  await Promise.allSettled([write(0), write(1), write(2)]);
  assert.ok(acknowledged.length >= 60);
  const again = await start();
  const { body } = await ask({ ...client(again), method: 'GET', path });
  const kept = new Map(
    body.items.map((item: { metadata: { name: string; resourceVersion: string } }) => [
      item.metadata.name,
      item.metadata.resourceVersion,
    ]),
  );
  for (const { name, resourceVersion } of acknowledged) assert.equal(kept.get(name), resourceVersion, name);
  assert.ok(
    Number(body.metadata.resourceVersion) >=
      Math.max(...acknowledged.map(item => Number(item.resourceVersion))),
  );
});

test('a wrong argument, a missing key: one sentence and a code', async () => {
  const ended = (args: string[]) =>
    new Promise<{ code: number | null; output: string }>(resolve => {
      const failing = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
      let output = '';
      failing.stderr.on('data', chunk => {
        output += chunk;
      });
      failing.once('close', code => resolve({ code, output }));
    });
  const usage = await ended(['--data', 'x']);
  assert.equal(usage.code, 2);
  assert.match(usage.output, /--pki is missing/);
  const missing = await ended(['--data', join(folder, 'other.db'), '--pki', join(folder, 'nowhere')]);
  assert.equal(missing.code, 1);
  assert.match(missing.output, /lab-apiserver: .*sa.key|lab-apiserver: .*no such file/);
});
