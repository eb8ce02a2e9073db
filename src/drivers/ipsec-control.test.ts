import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { DriverUnavailable, type IpsecDesired } from './driver.ts';
import { IpsecControlError, openControl } from './ipsec-control.ts';
import { IpsecEngine } from './ipsec-engine.ts';
import { MemoryEngine } from './memory-ipsec.ts';

const folder = mkdtempSync(join(tmpdir(), 'esp-'));
const path = join(folder, 'esp0.sock');
after(() => rmSync(folder, { recursive: true }));

const RUN = '11111111-2222-3333-4444-555555555551';
const EMPTY = { run: RUN, states: [], policies: [], local: [], drops: {} };
const KEY = 'ab'.repeat(20);

test('several requests go over one connection, and answers may come in pieces', async () => {
  const engine = new MemoryEngine();
  let connections = 0;
  const serve = (socket: Socket) => {
    connections++;
    socket.on('data', data => {
      const line = `${engine.answer(String(data))}\n`;
      socket.write(line.slice(0, 10));
      setTimeout(() => socket.write(line.slice(10)), 5);
    });
  };
  await served(serve, async () => {
    const session = await openControl(path);
    assert.equal((await session.list()).run, engine.run);
    await session.order(['local 10.9.0.0/24']);
    assert.deepEqual((await session.list()).local, ['10.9.0.0/24']);
    await session.order([]);
    session.close();
  });
  assert.equal(connections, 1);
  assert.deepEqual(engine.log, ['local 10.9.0.0/24']);
});

test('nobody there, nobody answering, hanging up: unavailable, with what happened', async () => {
  await assert.rejects(openControl(path), unavailable(/is not there \(ENOENT\)/));
  const list = async () => (await openControl(path, { timeoutMs: 50 })).list();
  await served(
    () => {},
    () => assert.rejects(list, unavailable(/did not answer within 50 ms/)),
  );
  await served(
    socket => socket.on('data', () => socket.end('{"run"')),
    () => assert.rejects(list, unavailable(/hung up before it had answered/)),
  );
  assert.match(
    (await failureOf(new IpsecEngine({ device: 'esp0', directory: folder }).observe())).message,
    /ESP engine/,
  );
});

for (const [answer, says] of [
  ['banana', /answered what is no JSON object: are engine and agent of one version\?/],
  ['[]', /no JSON object/],
  [{ ...EMPTY, run: 7 }, /"run" is missing/],
  [{ ...EMPTY, states: {} }, /"states" is no list/],
  [{ ...EMPTY, states: [{ dir: 'up' }] }, /a state has no "dir"/],
  [{ ...EMPTY, states: [{ dir: 'in', lastUsed: 0, src: 'x' }] }, /"src" is no address/],
  [{ ...EMPTY, policies: [{ dst: '10.9.0.0' }] }, /what should be a CIDR is none/],
  [{ ...EMPTY, local: [1] }, /"local" is no list of words/],
] as const) {
  const line = typeof answer === 'string' ? answer : JSON.stringify(answer);
  test(`an odd answer is told as such: ${line.slice(0, 60)}`, async () => {
    await served(
      socket => socket.on('data', () => socket.write(`${line}\n`)),
      async () => {
        const error = await failureOf((await openControl(path)).list());
        assert.ok(error instanceof IpsecControlError);
        assert.match(error.message, says);
      },
    );
  });
}

test('a refusal names the command and the reason, and never a key', async () => {
  const lines = ['local 10.9.0.0/24', `state add src 10.9.0.1 dst 10.9.1.1 aead x 0x${KEY} 128`];
  const refusals = [
    { error: { line: 2, message: `0x${KEY} is no key` } },
    { error: { line: 9, message: KEY } },
    { error: 'no' },
  ];
  for (const [i, refusal] of refusals.entries()) {
    await served(
      socket => socket.on('data', () => socket.write(`${JSON.stringify(refusal)}\n`)),
      async () => {
        const error = await failureOf((await openControl(path)).order(lines));
        assert.ok(error instanceof IpsecControlError);
        assert.doesNotMatch(error.message, /abab/);
        assert.match(error.message, i === 0 ? /refused "state add": … is no key/ : /refused a request/);
      },
    );
  }
});

test('an engine that is started anew between two requests gets no keys of its run before', async () => {
  const engine = new MemoryEngine();
  const desired: IpsecDesired = { device: 'esp0', run: engine.run, local: ['10.9.0.0/24'], peers: [] };
  await served(
    socket => socket.on('data', data => socket.write(`${engine.answer(String(data))}\n`)),
    async () => {
      const driver = new IpsecEngine({ device: 'esp0', directory: folder });
      assert.equal(await driver.drifted(), false, 'before anything was applied');
      assert.equal((await driver.apply(desired)).length, 1);
      assert.equal(await driver.drifted(), false);
      engine.restart();
      assert.equal(await driver.drifted(), true);
      await assert.rejects(driver.apply(desired), unavailable(/started anew/));
      assert.deepEqual(engine.log, ['local 10.9.0.0/24']);
    },
  );
  // Gone in the middle: between the list and the order.
  const answers = [JSON.stringify({ ...EMPTY, run: engine.run })];
  await served(
    socket => {
      socket.on('data', () => {
        const answer = answers.pop();
        if (answer === undefined) socket.destroy();
        else socket.write(`${answer}\n`);
      });
    },
    async () => {
      const driver = new IpsecEngine({ device: 'esp0', directory: folder });
      await assert.rejects(driver.apply({ ...desired, run: engine.run }), DriverUnavailable);
    },
  );
});

function unavailable(says: RegExp) {
  return (error: unknown) => error instanceof DriverUnavailable && says.test(error.message);
}

async function failureOf(promise: Promise<unknown>): Promise<Error> {
  return promise.then(
    () => assert.fail('it did not fail'),
    (error: Error) => error,
  );
}

async function served(serve: (socket: Socket) => void, use: () => Promise<unknown>): Promise<void> {
  const sockets = new Set<Socket>();
  const server = createServer(socket => {
    sockets.add(socket);
    socket.on('error', () => {});
    serve(socket);
  });
  await new Promise<void>(resolve => server.listen(path, resolve));
  try {
    await use();
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise(resolve => server.close(resolve));
    rmSync(path, { force: true });
  }
}
