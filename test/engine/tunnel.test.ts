/** Two engines with each other, on real devices and sockets. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { endpointOf, Pair, type Side, until, wg } from './pair.ts';
import { transfer } from './transfer.ts';
import { startPings } from './watched.ts';

describe('two engines', () => {
  for (const family of [4, 6] as const) {
    test(`carry both families inside over IPv${family} outside, at every size`, async () => {
      await using pair = new Pair();
      const { left, right } = pair;
      await pair.connect(undefined, undefined, { family });
      // ICMP payloads: nothing, one byte off the padding, up to the MTU exactly.
      for (const size of [0, 3, 4, 1391, 1392])
        assert.equal(left.ping(right.inner4, 2, { size }), 2, `${size}`);
      for (const size of [1, 1371, 1372]) assert.equal(right.ping(left.inner6, 2, { size }), 2, `${size}`);
      assert.equal(left.ping(right.inner4, 2, { size: 8000, fragment: true }), 2);
      await transfer(left, right, right.inner4, 32);
      await transfer(right, left, left.inner6, 32);
    });
  }

  test('agree with a preshared key only if both have the same', async () => {
    await using pair = new Pair();
    const { left, right } = pair;
    const presharedKey = randomBytes(32).toString('base64');
    await pair.connect(undefined, undefined, { presharedKey });
    assert.equal(left.ping(right.inner4, 2), 2);
    assert.match(wg('show', left.device, 'preshared-keys'), new RegExp(presharedKey.replaceAll('+', '\\+')));

    right.configure(left, { presharedKey: randomBytes(32).toString('base64'), endpoint: endpointOf(left) });
    left.configure(right, { presharedKey, endpoint: endpointOf(right) });
    assert.equal(left.ping(right.inner4, 1), 0);
  });

  test('carry inner packets over an outer path that is narrower than they are', async () => {
    await using pair = new Pair();
    const { left, right } = pair;
    await pair.connect();
    for (const side of [left, right]) side.run('ip', 'link', 'set', side.veth, 'mtu', '1300');
    assert.equal(left.ping(right.inner4, 2, { size: 1392 }), 2);
    await transfer(left, right, right.inner4, 8);
  });

  test('count bytes alike, and as UDP payload', async () => {
    await using pair = new Pair();
    const { left, right } = pair;
    await pair.connect();
    assert.equal(left.ping(right.inner4, 10, { size: 1000 }), 10);
    await until('the counters meet', async () => {
      const [mine, theirs] = await Promise.all([left.peer(), right.peer()]);
      return mine.txBytes === theirs.rxBytes && mine.rxBytes === theirs.txBytes;
    });
    const { txBytes, lastHandshake } = await left.peer();
    // 12 packets of 1028 bytes, padded to 1040, 32 of WireGuard; the initiation; the keepalive that confirmed it.
    assert.ok(txBytes >= 12 * 1072 + 148 && txBytes <= 12 * 1072 + 148 + 92 + 2 * 32, `${txBytes}`);
    assert.ok(Math.abs((lastHandshake?.seconds ?? 0) - Date.now() / 1000) < 5);
  });

  test('follow a peer that moves', async () => {
    await using pair = new Pair();
    const { left, right } = pair;
    await pair.connect();
    assert.equal(left.ping(right.inner4, 1), 1);
    wg('set', left.device, 'listen-port', '51900');
    assert.equal(left.ping(right.inner4, 1), 1);
    assert.deepEqual((await right.peer()).endpoint, { address: left.outer4, port: 51_900 });

    left.run('ip', 'address', 'add', '192.0.2.77/24', 'dev', left.veth);
    left.run('ip', 'address', 'del', `${left.outer4}/24`, 'dev', left.veth);
    left.run('ip', 'address', 'replace', '192.0.2.77/24', 'dev', left.veth);
    assert.ok(left.ping(right.inner4, 3, { interval: 0.2 }) >= 1);
    assert.deepEqual((await right.peer()).endpoint, { address: '192.0.2.77', port: 51_900 });
    assert.equal(right.ping(left.inner4, 1), 1);
  });

  test('answer from the address that the peer wrote to', async () => {
    await using pair = new Pair();
    const { left, right } = pair;
    await pair.connect();
    right.run('ip', 'address', 'add', '192.0.2.200/24', 'dev', right.veth);
    wg('set', left.device, 'peer', right.keys.publicKey, 'endpoint', `192.0.2.200:${right.port}`);
    wg('set', right.device, 'peer', left.keys.publicKey, 'remove');
    right.configure(left);
    assert.equal(left.ping(right.inner4, 2), 2);
    assert.deepEqual((await left.peer()).endpoint, { address: '192.0.2.200', port: right.port });
    // The address goes, and with it the peer's way here: the next packet leaves by another one.
    right.run('ip', 'address', 'del', '192.0.2.200/24', 'dev', right.veth);
    assert.ok(right.ping(left.inner4, 3, { interval: 0.2 }) >= 2);
    assert.deepEqual((await left.peer()).endpoint, { address: right.outer4, port: right.port });
  });

  test('come back when one of them is killed', async () => {
    await using pair = new Pair();
    const { left, right } = pair;
    await pair.connect();
    assert.equal(left.ping(right.inner4, 1), 1);
    await right.kill();
    await right.start([process.execPath, engineProgram(), '--persist']);
    right.configure(left, { endpoint: endpointOf(left), persistentKeepalive: 5 });
    right.bringUp();
    await until('traffic from the side that stayed', () => left.ping(right.inner4, 1) === 1);

    // The device persists: only the engine dies, addresses and routes stay.
    await right.kill();
    assert.match(right.run('ip', '-4', 'address', 'show', 'dev', right.device), /10\.9\.0\.2/);
    await right.start([process.execPath, engineProgram(), '--persist']);
    right.configure(left, { endpoint: endpointOf(left), persistentKeepalive: 5 });
    await until('traffic again', () => left.ping(right.inner4, 1) === 1);
  });

  test('lose no packet while the allowed IPs are replaced', async () => {
    await using pair = new Pair();
    const { left, right } = pair;
    await pair.connect();
    assert.equal(left.ping(right.inner4, 1), 1);
    const pings = startPings(left, right.inner4);
    await using stack = new AsyncDisposableStack();
    stack.defer(() => pings.kill());
    const inner = `${right.inner4}/32,${right.inner6}/128`;
    for (let round = 0; round < 100; round++) {
      const more = round % 2 === 0 ? `${inner},10.8.0.0/16` : inner;
      wg('set', left.device, 'peer', right.keys.publicKey, 'allowed-ips', more);
    }
    assert.deepEqual(await pings.stop(), []);
  });

  test('deliver nothing from an address that is not the peer’s, and send nothing where nobody is', async () => {
    await using pair = new Pair();
    const { left, right } = pair;
    await pair.connect();
    assert.equal(left.ping(right.inner4, 1), 1);
    wg('set', right.device, 'peer', left.keys.publicKey, 'allowed-ips', '10.9.0.99/32');
    assert.equal(left.ping(right.inner4, 1), 0);
    await until('it is counted', async () => (await right.statistics())['drop_badSource']! >= 1);
    assert.equal(right.ping(left.inner4, 1), 0);
    await until('it is counted', async () => (await right.statistics())['drop_noPeer']! >= 1);
  });

  test('move an address from one peer to another', async () => {
    await using pair = new Pair();
    const { left, right } = pair;
    await pair.connect();
    const stranger = 'xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=';
    wg('set', left.device, 'peer', stranger, 'allowed-ips', `${right.inner4}/32`);
    assert.equal(left.ping(right.inner4, 1), 0);
    assert.doesNotMatch(lineOf(left, right.keys.publicKey), /10\.9\.0\.2/);
    wg('set', left.device, 'peer', right.keys.publicKey, 'allowed-ips', `${right.inner4}/32`);
    assert.equal(left.ping(right.inner4, 1), 1);
    assert.match(lineOf(left, stranger), /\(none\)/);
  });

  test('send nothing when the link is down, and are back when it is up', async () => {
    await using pair = new Pair();
    const { left, right } = pair;
    await pair.connect();
    assert.equal(left.ping(right.inner4, 1), 1);
    left.run('ip', 'link', 'set', left.device, 'down');
    await until('the port is free', () => !left.run('ss', '-Hlun').includes(`:${left.port} `));
    left.bringUp();
    assert.equal(left.ping(right.inner4, 2), 2);
  });
});

function lineOf(side: Side, publicKey: string): string {
  const lines = wg('show', side.device, 'allowed-ips').split('\n');
  return lines.find(line => line.startsWith(publicKey)) ?? '';
}

function engineProgram(): string {
  return new URL('../../src/main/pellicle-engine.ts', import.meta.url).pathname;
}
