import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Heartbeat } from './heartbeat.ts';
import { createLog } from './log.ts';

const log = createLog({ write: () => {} });

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise(resolve => server.close(resolve));
  return port;
}

async function until(holds: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 5000; !holds(); await sleep(5))
    assert.ok(Date.now() < deadline, 'in time');
}

test('nodes that answer are reachable, those that do not are not, with the reason', async t => {
  const port = await freePort();
  const [one, two] = ['one', 'two'].map(
    nodeName => new Heartbeat({ port, nodeName, log, everyMs: 20, timeoutMs: 200 }),
  );
  t.after(() => [one, two].forEach(beat => void beat!.stop()));
  two!.listen(['127.0.0.2']);
  one!.watch([
    { name: 'two', address: '127.0.0.2' },
    { name: 'three', address: '127.0.0.3' },
  ]);
  await until(() => one!.beats().some(beat => beat.reachable) && one!.beats().length === 2);
  const [three, reached] = one!.beats();
  assert.deepEqual(
    [three?.name, three?.reachable, reached?.name, reached?.reachable],
    ['three', false, 'two', true],
  );
  assert.match(three?.error ?? '', /ECONNREFUSED/);
  assert.ok((reached?.latencyMs ?? -1) > 0);
  two!.listen([]);
  await until(() => one!.beats().every(beat => !beat.reachable));
  one!.watch([]);
  assert.deepEqual(one!.beats(), []);
});

test('something else on the port is not taken for an agent, nor is silence', async t => {
  const port = await freePort();
  const rude = createServer(socket => socket.end('SSH-2.0\n')).listen(port, '127.0.0.4');
  const silent = createServer(() => {}).listen(port, '127.0.0.5');
  const one = new Heartbeat({ port, nodeName: 'one', log, timeoutMs: 50 });
  t.after(() => {
    one.stop();
    rude.close();
    silent.close();
  });
  one.watch([
    { name: 'rude', address: '127.0.0.4' },
    { name: 'silent', address: '127.0.0.5' },
  ]);
  await until(() => one.beats().length === 2);
  assert.deepEqual(
    one.beats().map(({ name, reachable, error }) => [name, reachable, error]),
    [
      ['rude', false, 'something else answers'],
      ['silent', false, 'no answer in time'],
    ],
  );
});
