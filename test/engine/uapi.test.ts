/** The configuration socket: what `wg` does with it, and what clients do that are no `wg`. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { ask, ENGINE, makeKeys, Pair, until, wg } from './pair.ts';

const FAST = [process.execPath, join(import.meta.dirname, 'fast-engine.ts')];
const hex = (base64: string) => Buffer.from(base64, 'base64').toString('hex');

async function open(path: string): Promise<Socket> {
  const socket = connect(path);
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

describe('the configuration socket', () => {
  test('shows wg what wg set', async () => {
    await using pair = new Pair();
    const { left, right } = pair;
    await left.start(ENGINE);
    left.configure(right, { endpoint: '[2001:db8::2]:51802', persistentKeepalive: 25 });
    wg('set', left.device, 'fwmark', '0xe00');
    const lines = wg('show', left.device, 'dump').trim().split('\n');
    assert.equal(lines[0], [left.keys.privateKey, left.keys.publicKey, left.port, '0xe00'].join('\t'));
    assert.equal(
      lines[1],
      [right.keys.publicKey, '(none)', '[2001:db8::2]:51802', '10.9.0.2/32,fd09::2/128', 0, 0, 0, 25].join(
        '\t',
      ),
    );
    wg('set', left.device, 'peer', right.keys.publicKey, 'persistent-keepalive', 'off', 'allowed-ips', '');
    assert.match(wg('show', left.device, 'dump'), /\t\(none\)\t0\t0\t0\toff\n$/);
    wg('set', left.device, 'peer', right.keys.publicKey, 'remove');
    assert.equal(wg('show', left.device, 'peers'), '');
  });

  test('chooses a port when none is given, and tells it', async () => {
    await using pair = new Pair();
    const { left } = pair;
    await left.start(ENGINE);
    left.bringUp();
    await until('a port', () => Number(wg('show', left.device, 'listen-port')) > 0);
    const port = wg('show', left.device, 'listen-port').trim();
    assert.match(left.run('ss', '-Hlun'), new RegExp(`:${port} `));
  });

  test('keeps peers of which a request says nothing, drops all others with replace_peers', async () => {
    await using pair = new Pair();
    const { left } = pair;
    await left.start(ENGINE);
    const [a, b] = [makeKeys(), makeKeys()].map(keys => hex(keys.publicKey)) as [string, string];
    assert.equal(await ask(left.socket, `set=1\npublic_key=${a}\npublic_key=${b}\n\n`), 'errno=0\n\n');
    assert.equal((await left.status()).peers.length, 2);
    await ask(left.socket, `set=1\npublic_key=${a}\nupdate_only=true\npersistent_keepalive_interval=7\n\n`);
    assert.deepEqual(
      (await left.status()).peers.map(peer => peer.persistentKeepalive),
      [7, 0],
    );
    await ask(left.socket, `set=1\nreplace_peers=true\npublic_key=${b}\n\n`);
    assert.deepEqual(
      (await left.status()).peers.map(peer => Buffer.from(peer.publicKey).toString('hex')),
      [b],
    );
    const unknown = hex(makeKeys().publicKey);
    await ask(
      left.socket,
      `set=1\npublic_key=${unknown}\nupdate_only=true\npersistent_keepalive_interval=7\n\n`,
    );
    assert.equal((await left.status()).peers.length, 1);
  });

  test('refuses what is wrong, whole, and without a word of the keys in the log', async () => {
    await using pair = new Pair();
    const { left } = pair;
    await left.start(ENGINE);
    let log = '';
    left.process.stderr?.on('data', chunk => {
      log += chunk;
    });
    const secret = hex(left.keys.privateKey);
    const peer = hex(makeKeys().publicKey);
    for (const [request, code] of [
      [`set=1\nprivate_key=${secret}\nlisten_port=99999\n\n`, 22],
      [`set=1\nprivate_key=${secret}00\n\n`, 22],
      [`set=1\nprivate_key=${secret}\npublic_key=${peer}\nallowed_ip=10.0.0.0/33\n\n`, 22],
      [`set=1\nprivate_key=${secret}\npublic_key=${peer}\nendpoint=[fe80::1%nowhere]:1\n\n`, 22],
      [`set=1\n${secret}\n\n`, 71],
      ['GET / HTTP/1.1\n\n', 71],
      ['get=2\n\n', 71],
    ] as const) {
      assert.equal(await ask(left.socket, request), `errno=-${code}\n\n`, request);
    }
    assert.equal((await left.status()).privateKey, undefined);
    await until('the log tells', () => log.split('Configuration refused').length === 8);
    assert.ok(!log.includes(secret.slice(0, 16)));
  });

  test('answers many clients, and requests that come in one piece or in many', async () => {
    await using pair = new Pair();
    const { left } = pair;
    await left.start(ENGINE);
    const answers = await Promise.all(Array.from({ length: 100 }, () => ask(left.socket, 'get=1\n\n')));
    assert.ok(answers.every(answer => answer.endsWith('errno=0\n\n')));

    const socket = await open(left.socket);
    let received = '';
    socket.on('data', chunk => {
      received += chunk;
    });
    socket.write('get=1\n\nget=1\n\nge');
    for (const piece of ['t', '=1', '\n', '\n']) {
      socket.write(piece);
      await new Promise(resolve => setImmediate(resolve));
    }
    await until('three answers', () => received.split('errno=0\n\n').length === 4);
    socket.destroy();
  });

  test('waits for nobody who stops in the middle, and not for ever', async () => {
    await using pair = new Pair();
    const { left } = pair;
    await left.start(FAST);
    const half = await open(left.socket);
    half.write('set=1\nprivate_key=');
    const idle = await open(left.socket);
    assert.match(await ask(left.socket, 'get=1\n\n'), /errno=0/);
    await once(half.resume(), 'close');
    assert.equal(idle.closed, false);
    idle.write('get=1\n\n');
    assert.match(String(await once(idle, 'data')), /errno=0/);
    idle.destroy();
  });

  test('carries 130,560 allowed IPs of one peer, there and back', async () => {
    await using pair = new Pair();
    const { left, right } = pair;
    await left.start(FAST);
    const publicKey = hex(right.keys.publicKey);
    const ranges = Array.from(
      { length: 130_560 },
      (_, i) => `10.${(i >> 9) & 255}.${(i >> 1) & 255}.${(i & 1) << 7}/25`,
    );
    const request = `set=1\npublic_key=${publicKey}\nreplace_allowed_ips=true\n${ranges.map(range => `allowed_ip=${range}\n`).join('')}\n`;
    assert.equal(await ask(left.socket, request), 'errno=0\n\n');

    // Somebody who asks and does not read is let go of.
    const deaf = await open(left.socket);
    deaf.pause();
    deaf.write('get=1\n\n');
    const answer = await ask(left.socket, 'get=1\n\n');
    assert.equal(answer.split('allowed_ip=').length - 1, 130_560);
    assert.ok(answer.includes(`allowed_ip=${ranges[77_777]}\n`));
    await until('the deaf client is let go of', () => left.run('ss', '-Hx').split(left.socket).length <= 2);
    deaf.destroy();

    await ask(
      left.socket,
      `set=1\npublic_key=${publicKey}\nreplace_allowed_ips=true\nallowed_ip=10.9.0.2/32\n\n`,
    );
    assert.equal((await left.peer()).allowedIps.length, 1);
  });
});
