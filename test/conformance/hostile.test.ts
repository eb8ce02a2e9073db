/** What peers, strangers and clients of the configuration socket can do that they should not. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fromBase64, toHex } from '../../src/proto/bytes.ts';
import { REJECT_AFTER_MESSAGES, REPLAY_WINDOW } from '../../src/proto/wireguard/limits.ts';
import { ask, ENGINE, endpointOf, exited, makeKeys, Pair, type Side, until } from '../engine/pair.ts';
import { transfer } from '../engine/transfer.ts';
import { echoReplySequence, echoRequest } from '../interop/ping.ts';
import { Liar } from './liar.ts';
import { World } from './world.ts';

const NOTHING = new Uint8Array();

describe('a peer with right keys', () => {
  test('says nothing twice, anywhere in the window, and nothing beyond the last counter', async () => {
    await using world = new World();
    await using liar = await Liar.open(world);
    const SIZE = 32;
    let { bytes } = await liar.taken();
    let replayed = 0;
    /** Empty packets with these counters: so many are taken, the others are replays. */
    const sayAll = async (counters: readonly bigint[], fresh: number) => {
      for (const counter of counters) liar.say(counter, NOTHING);
      bytes += fresh * SIZE;
      replayed += counters.length - fresh;
      await until(`${fresh} of ${counters.length} are taken`, async () => {
        const now = await liar.taken();
        assert.ok(now.bytes <= bytes && now.drops['drop_replayed']! <= replayed, JSON.stringify(now));
        return now.bytes === bytes && now.drops['drop_replayed'] === replayed;
      });
    };
    const range = (from: bigint, count: number) => Array.from({ length: count }, (_, i) => from + BigInt(i));
    const first = range(100n, REPLAY_WINDOW + 100);
    await sayAll(first, first.length);
    await sayAll(first, 0);
    // A great jump leaves the whole window behind it open, once, and nothing behind that.
    const top = 1n << 40n;
    await sayAll([top, top], 1);
    const behind = range(top - BigInt(REPLAY_WINDOW), REPLAY_WINDOW);
    await sayAll(behind.toReversed(), behind.length);
    await sayAll([...behind, top, top - BigInt(REPLAY_WINDOW) - 1n, 101n, 0n], 0);

    const last = REJECT_AFTER_MESSAGES - 1n;
    await sayAll([last, last], 1);
    for (const counter of [REJECT_AFTER_MESSAGES, 2n ** 64n - 1n]) liar.say(counter, NOTHING);
    await until('they are counted', async () => (await liar.taken()).drops['drop_expired'] === 2);
    assert.equal((await liar.taken()).bytes, bytes);
  });

  test('speaks for its own addresses only, and in whole packets', async () => {
    await using world = new World();
    await using liar = await Liar.open(world);
    const good = echoRequest('10.9.0.2', '10.9.0.1', 9);
    const lies: [Uint8Array, string][] = [
      [echoRequest('10.9.0.3', '10.9.0.1', 9), 'drop_badSource'],
      [echoRequest('10.9.0.1', '10.9.0.1', 9), 'drop_badSource'],
      [echoRequest('127.0.0.1', '10.9.0.1', 9), 'drop_badSource'],
      [echoRequest('fd09::2', 'fd09::1', 9), 'drop_badSource'],
      [good.with(0, 0x55), 'drop_badInnerPacket'],
      [good.with(0, 0x44), 'drop_badInnerPacket'],
      [good.with(2, 0xff), 'drop_badInnerPacket'],
      [good.with(3, 19), 'drop_badInnerPacket'],
      [good.subarray(0, 19), 'drop_badInnerPacket'],
      [Uint8Array.of(0x45), 'drop_badInnerPacket'],
      [Uint8Array.of(0x60, ...new Array(38).fill(0)), 'drop_badInnerPacket'],
    ];
    const { bytes } = await liar.taken();
    const expected: Record<string, number> = { drop_badSource: 0, drop_badInnerPacket: 0 };
    lies.forEach(([packet, reason], i) => {
      liar.say(1000n + BigInt(i), packet);
      expected[reason]!++;
    });
    await until('each is counted by its reason', async () => {
      const { drops } = await liar.taken();
      return Object.entries(expected).every(([reason, count]) => drops[reason] === count);
    });
    assert.equal((await liar.taken()).bytes, bytes);
    liar.say(2000n, good);
    await until('the true one is answered', () =>
      liar.core.delivered.some(packet => echoReplySequence(packet) === 9),
    );
  });
});

/** Starts flood.ts on a side, from `sources` addresses that are all its own. */
async function flood(from: Side, to: Side, kind: string, sources: number) {
  from.run('ip', 'route', 'add', 'local', '198.18.0.0/16', 'dev', 'lo');
  to.run('ip', 'route', 'add', '198.18.0.0/16', 'via', from.outer4);
  const addresses = Array.from({ length: sources }, (_, i) => `198.18.${i >> 8}.${i & 255}`);
  const file = join(import.meta.dirname, 'flood.ts');
  const publicKey = toHex(fromBase64(to.keys.publicKey)!);
  const args = [file, kind, to.outer4, String(to.port), publicKey, addresses.join(',')];
  const child = from.spawn(process.execPath, ...args);
  await once(child.stdout!, 'data');
  return {
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exited(child);
    },
  };
}

function residentMegabytes(side: Side): number {
  const status = readFileSync(`/proc/${side.process.pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
}

describe('under a flood', () => {
  test('of initiations from a thousand addresses, sessions go on, and memory stays what it was', async () => {
    await using pair = new Pair();
    const { left, right } = pair;
    await pair.connect();
    assert.equal(left.ping(right.inner4, 2), 2);
    const before = residentMegabytes(right);
    await using _ = await flood(left, right, 'initiations', 1000);
    const dropped = async () => {
      const counts = await right.statistics();
      return (counts['handshake_drop_cookieRequired'] ?? 0) + (counts['drop_handshakeQueueFull'] ?? 0);
    };
    await until('cookies are asked for', async () => (await dropped()) > 5000);
    await transfer(left, right, right.inner4, 8);
    await transfer(right, left, left.inner4, 8);
    await until('more of them', async () => (await dropped()) > 20_000, 20);
    const grown = residentMegabytes(right) - before;
    assert.ok(grown < 48, `${grown} MiB more`);
  });

  test('of garbage, sessions go on, a new one begins, and each kind is counted', async () => {
    await using pair = new Pair();
    const { left, right } = pair;
    await pair.connect();
    assert.equal(left.ping(right.inner4, 2), 2);
    const before = residentMegabytes(right);
    await using _ = await flood(left, right, 'garbage', 10);
    await transfer(left, right, right.inner4, 8);
    left.configure(right, { endpoint: endpointOf(right) });
    await until('a new session', () => left.ping(right.inner4, 1) === 1);
    await until('all kinds are counted', async () => {
      const counts = await right.statistics();
      return ['drop_malformed', 'drop_unknownIndex', 'drop_badMac1'].every(kind => counts[kind]! > 100);
    });
    const grown = residentMegabytes(right) - before;
    assert.ok(grown < 48, `${grown} MiB more`);
  });
});

test('ten thousand peers are configured at once, cost little, and do not hold up the one that talks', async () => {
  await using pair = new Pair();
  const { left, right } = pair;
  await pair.connect();
  assert.equal(left.ping(right.inner4, 2), 2);
  const before = residentMegabytes(left);
  const count = 10_000;
  const lines = Array.from({ length: count }, (_, i) => {
    const key = toHex(fromBase64(makeKeys().publicKey)!);
    return `public_key=${key}\nreplace_allowed_ips=true\nallowed_ip=10.${100 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}/32\n`;
  });
  assert.equal(await ask(left.socket, `set=1\n${lines.join('')}\n`), 'errno=0\n\n');
  assert.equal((await left.status()).peers.length, count + 1);
  assert.equal(left.ping(right.inner4, 5), 5);
  await transfer(left, right, right.inner4, 8);
  const kibibytes = ((residentMegabytes(left) - before) * 1024) / count;
  assert.ok(kibibytes < 8, `${kibibytes} KiB a peer, with what the requests left behind`);
});

test('what waits for peers that are out of reach takes bounded memory, and leaves room for one more', async () => {
  await using pair = new Pair();
  const { left, right } = pair;
  await left.start(ENGINE);
  left.configure(right, { endpoint: endpointOf(right) });
  left.bringUp();
  const count = 1500;
  const lines = Array.from({ length: count }, (_, i) => {
    const key = toHex(fromBase64(makeKeys().publicKey)!);
    return `public_key=${key}\nendpoint=${left.outer4}:9\nallowed_ip=10.100.${i >> 8}.${i & 255}/32\n`;
  });
  assert.equal(await ask(left.socket, `set=1\n${lines.join('')}\n`), 'errno=0\n\n');
  left.run('ip', 'route', 'add', '10.100.0.0/16', 'dev', left.device);
  const before = residentMegabytes(left);
  const script = `
import socket
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(130):
    for peer in range(${count}):
        sender.sendto(bytes(1300), ("10.100.%d.%d" % (peer >> 8, peer & 255), 9))
`;
  left.run('/usr/bin/python3', '-c', script);
  await until('most of it is dropped', async () => (await left.statistics())['drop_stagingFull']! > 20_000);
  const grown = residentMegabytes(left) - before;
  assert.ok(grown < 128, `${grown} MiB more`);
  const ping = left.spawn('ping', '-n', '-c', '3', '-i', '0.1', '-W', '30', right.inner4);
  let output = '';
  ping.stdout!.on('data', chunk => {
    output += chunk;
  });
  const closed = once(ping, 'close');
  await right.start(ENGINE);
  right.configure(left);
  right.bringUp();
  await closed;
  assert.match(output, / 0% packet loss/);
});

describe('clients of the configuration socket', () => {
  const open = async (path: string): Promise<Socket> => {
    const socket = connect(path);
    socket.on('error', () => {});
    await once(socket, 'connect');
    return socket;
  };

  test('that stop in the middle, by the hundred, keep nobody from being served', async () => {
    await using pair = new Pair();
    const { left, right } = pair;
    await pair.connect();
    const before = residentMegabytes(left);
    const halves = await Promise.all(Array.from({ length: 100 }, () => open(left.socket)));
    const piece = `set=1\n${'public_key='.padEnd(75, '0')}\n`.repeat(100);
    for (const half of halves) half.write(piece);
    const deaf = await Promise.all(Array.from({ length: 20 }, () => open(left.socket)));
    for (const socket of deaf) socket.pause().write('get=1\n\n');
    for (let i = 0; i < 20; i++) assert.match(await ask(left.socket, 'get=1\n\n'), /errno=0\n\n$/);
    assert.equal(left.ping(right.inner4, 3), 3);
    assert.equal((await left.status()).peers.length, 1);
    assert.ok(residentMegabytes(left) - before < 48);
    for (const socket of [...halves, ...deaf]) socket.destroy();
  });

  test('that send megabytes without an end are let go of, the greatest first, and memory is bounded', async () => {
    await using pair = new Pair();
    const { left } = pair;
    await left.start(ENGINE);
    const before = residentMegabytes(left);
    const lines = Buffer.from(`set=1\n${'allowed_ip=10.0.0.0/8\n'.repeat(190_000)}`);
    const hogs = await Promise.all(Array.from({ length: 30 }, () => open(left.socket)));
    const isOpen = (socket: Socket) => !socket.destroyed;
    for (const hog of hogs) hog.resume().write(lines);
    await until(
      'enough of them are let go of',
      () => hogs.filter(isOpen).length * lines.length <= 64 << 20,
      30,
    );
    assert.ok(hogs.some(isOpen));
    assert.match(await ask(left.socket, 'get=1\n\n'), /errno=0\n\n$/);
    const grown = residentMegabytes(left) - before;
    assert.ok(grown < 200, `${grown} MiB more`);
    for (const hog of hogs) hog.destroy();
  });
});
