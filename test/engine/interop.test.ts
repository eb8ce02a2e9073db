/** With wireguard-go as the other side: it knows nothing of this code. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { ENGINE, endpointOf, exited, Pair, until, WIREGUARD_GO, wg } from './pair.ts';
import { transfer } from './transfer.ts';

describe('with wireguard-go', () => {
  for (const [family, name, programs] of [
    [4, 'as the initiator', [ENGINE, WIREGUARD_GO]],
    [6, 'as the responder', [WIREGUARD_GO, ENGINE]],
  ] as const) {
    test(`${name}, over IPv${family}, with a preshared key`, async () => {
      await using pair = new Pair();
      const { left, right } = pair;
      const presharedKey = randomBytes(32).toString('base64');
      await pair.connect(...programs, { family, presharedKey });
      for (const size of [0, 3, 4, 1391, 1392])
        assert.equal(left.ping(right.inner4, 2, { size }), 2, `${size}`);
      for (const size of [0, 1372]) assert.equal(right.ping(left.inner6, 2, { size }), 2, `${size}`);
      await transfer(left, right, right.inner4, 16);
      await transfer(right, left, left.inner6, 16);
      const [mine, theirs] = await Promise.all([left.peer(), right.peer()]);
      assert.ok(mine.lastHandshake && theirs.lastHandshake);
    });
  }

  test('it follows us, and we follow it, when the port changes', async () => {
    await using pair = new Pair();
    const { left, right } = pair;
    await pair.connect(ENGINE, WIREGUARD_GO);
    assert.equal(left.ping(right.inner4, 1), 1);
    wg('set', left.device, 'listen-port', '51900');
    assert.equal(left.ping(right.inner4, 1), 1);
    assert.match(wg('show', right.device, 'endpoints'), /192\.0\.2\.1:51900/);
    wg('set', right.device, 'listen-port', '51901');
    assert.equal(right.ping(left.inner4, 1), 1);
    assert.match(wg('show', left.device, 'endpoints'), /192\.0\.2\.2:51901/);
  });

  test('it takes us back after a crash', async () => {
    await using pair = new Pair();
    const { left, right } = pair;
    await pair.connect(ENGINE, WIREGUARD_GO);
    assert.equal(left.ping(right.inner4, 1), 1);
    await left.kill();
    await left.start(ENGINE);
    left.configure(right, { endpoint: endpointOf(right) });
    left.bringUp();
    await until('traffic', () => left.ping(right.inner4, 1) === 1);
  });

  test('under a flood it takes our cookie, and comes back with it', { timeout: 120_000 }, async () => {
    await using pair = new Pair();
    const { left, right } = pair;
    await Promise.all([left.start(ENGINE), right.start(['env', 'LOG_LEVEL=verbose', ...WIREGUARD_GO])]);
    let log = '';
    for (const output of [right.process.stdout, right.process.stderr])
      output?.on('data', chunk => {
        log += chunk;
      });
    left.configure(right);
    left.bringUp();
    right.bringUp();
    const flood = right.spawn(
      process.execPath,
      join(import.meta.dirname, 'flood.ts'),
      left.outer4,
      String(left.port),
      Buffer.from(left.keys.publicKey, 'base64').toString('hex'),
    );
    try {
      await until('cookies are asked for', async () => {
        return ((await left.statistics())['handshake_drop_cookieRequired'] ?? 0) > 100;
      });
      const begin = () => right.configure(left, { endpoint: endpointOf(left), persistentKeepalive: 600 });
      begin();
      await until(
        'a cookie, and a response after it',
        () => {
          if (/Receiving cookie response.*Received handshake response/s.test(log)) return true;
          // The flood stood still for so long that no cookie was asked for.
          if (log.includes('Received handshake response')) {
            log = '';
            begin();
          }
          return false;
        },
        90,
      );
      assert.equal(right.ping(left.inner4, 1), 1);
    } finally {
      flood.kill('SIGKILL');
      await exited(flood);
    }
  });
});
