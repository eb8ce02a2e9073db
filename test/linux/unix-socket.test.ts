import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { listenUnix } from '../../src/linux/unix-socket.ts';

describe('a server on a unix socket', () => {
  const folder = mkdtempSync(join(tmpdir(), 'pellicle-unix-'));
  const path = join(folder, 'it.sock');
  test.after(() => rmSync(folder, { recursive: true }));

  const serve = (answer: string) =>
    listenUnix(path, 0o600, async connection => {
      await connection.write(Buffer.from(answer));
      connection.close();
    });
  const ask = async () => {
    const socket = connect(path);
    const [answer] = await once(socket, 'data');
    return String(answer);
  };

  test('removes its file when it is closed', async () => {
    const server = serve('here');
    assert.equal(await ask(), 'here');
    server.close();
    assert.ok(!existsSync(path));
  });

  test('leaves the file of a server that has taken its place', async () => {
    const first = serve('first');
    using _ = serve('second');
    first.close();
    assert.equal(await ask(), 'second');
  });

  test('that leaves touches no file: the next one may be replacing it', async () => {
    const first = serve('first');
    first.leave();
    first.close();
    assert.ok(existsSync(path));
    using _ = serve('second');
    assert.equal(await ask(), 'second');
  });

  test('finds it no harm that its file has gone', () => {
    const server = serve('here');
    rmSync(path);
    server.close();
  });
});
