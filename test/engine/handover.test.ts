/** A running engine is replaced by a new process: no packet is lost, no counter used twice, no session begun anew. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { EspStatus } from '../../src/engine/esp-status.ts';
import { ENCAPSULATED, GCM, makeEspKeys, stateIn, stateOut } from './esp-pair.ts';
import { Begun, Both, flow, innerOf, overflows, TAKEN_OVER } from './handover-rig.ts';
import {
  ask,
  ENGINE,
  endpointOf,
  exited,
  makeKeys,
  Pair,
  type Side,
  until,
  WIREGUARD_GO,
  wg,
} from './pair.ts';
import { SealedCapture } from './sealed-capture.ts';
import { spawned, startPings } from './watched.ts';

const FAILING_TAKER = join(import.meta.dirname, 'failing-taker.ts');
const FAILING_GIVER = join(import.meta.dirname, 'failing-giver.ts');

/** What the packet loops of `Both` save in format 1: another size is another format, once a version with the one is out. */
const SAVED_BYTES = [1478, 1026];

describe('an engine is taken over', () => {
  test('ten times under load: nothing is lost, repeated or begun anew', { timeout: 180_000 }, async () => {
    await using both = await Both.connect();
    const { left, right, espLeft, espRight } = both;
    const run = (await espLeft.list()).run;
    const handshakeAt = (await left.peer()).lastHandshake;
    await using capture = await SealedCapture.start(left);
    await using stack = new AsyncDisposableStack();
    const pings = [
      startPings(left, right.inner4),
      startPings(right, left.inner4),
      startPings(left, innerOf(espRight)),
      startPings(right, innerOf(espLeft)),
    ];
    for (const ping of pings) stack.defer(() => ping.kill());
    const seconds = 20;
    const flows = Promise.all([
      flow(both, right.inner4, 5201, ['-b', '40M'], seconds),
      flow(both, right.inner4, 5202, ['-u', '-b', '4M', '-l', '500'], seconds),
      flow(both, innerOf(espRight), 5203, ['-b', '40M', '-R'], seconds),
      flow(both, innerOf(espRight), 5204, ['-u', '-b', '4M', '-l', '500'], seconds),
    ]);
    flows.catch(() => {});
    let counted = { tx: 0, rx: 0, sequence: 0 };
    for (let times = 0; times < 10; times++) {
      await both.replace();
      const { txBytes, rxBytes, lastHandshake } = await left.peer();
      const { sequence } = await espLeft.state('out');
      assert.deepEqual(lastHandshake, handshakeAt);
      assert.equal((await espLeft.list()).run, run);
      assert.ok(txBytes > counted.tx && rxBytes > counted.rx && sequence > counted.sequence);
      counted = { tx: txBytes, rx: rxBytes, sequence };
    }
    const [wgTcp, wgUdp, espTcp, espUdp] = await flows;
    for (const stop of pings) assert.deepEqual(await stop.stop(), []);
    for (const tcp of [wgTcp, espTcp]) assert.equal(tcp.error, undefined);
    for (const udp of [wgUdp, espUdp]) assert.ok(udp.end.sum.packets! > 1000);
    // What was lost has come as far as iperf3, which did not read it in time.
    assert.ok(wgUdp.end.sum.lost_packets! + espUdp.end.sum.lost_packets! <= overflows(right));
    assert.equal(overflows(left), 0);
    const { packets, repeated, handshakes } = await capture.stop();
    assert.deepEqual(repeated, []);
    assert.equal(handshakes, 0);
    assert.equal(packets.size, 4, [...packets.keys()].join(', '));
    for (const [key, count] of packets) assert.ok(count > 1000, `${key}: ${count}`);
    assert.deepEqual((await espLeft.list()).drops, {});
  });

  test('beside wireguard-go, which keeps its session', { timeout: 120_000 }, async () => {
    await using both = await Both.connect(WIREGUARD_GO);
    const { left, right } = both;
    const before = await right.peer();
    await using capture = await SealedCapture.start(left);
    await using stack = new AsyncDisposableStack();
    const pings = [startPings(left, right.inner4), startPings(right, left.inner4)];
    for (const ping of pings) stack.defer(() => ping.kill());
    for (let times = 0; times < 3; times++) await both.replace();
    for (const ping of pings) assert.deepEqual(await ping.stop(), []);
    const { repeated, handshakes } = await capture.stop();
    assert.deepEqual({ repeated, handshakes }, { repeated: [], handshakes: 0 });
    assert.deepEqual((await right.peer()).lastHandshake, before.lastHandshake);
  });

  test('with requests that have begun: the new one answers them', { timeout: 60_000 }, async () => {
    await using both = await Both.connect();
    const { left, espLeft } = both;
    const wireguard = await Begun.start(left.socket, 'get=1\n');
    const esp = await Begun.start(espLeft.socket, 'list\n');
    await both.replace();
    assert.match(await wireguard.finish(), /public_key=.*errno=0/s);
    assert.equal(JSON.parse(await esp.finish()).run, (await espLeft.list()).run);
    for (const socket of [left.socket, espLeft.socket, handoverSocket(left)]) {
      assert.equal(statSync(socket).mode & 0o777, 0o600);
    }
  });

  test('while requests come all the time: each is answered by one of the two', {
    timeout: 90_000,
  }, async () => {
    await using both = await Both.connect();
    const { left, espLeft } = both;
    const run = (await espLeft.list()).run;
    let isOver = false;
    const client = async (ask: () => Promise<unknown>, expected: unknown) => {
      let answered = 0;
      for (; !isOver; answered++) assert.deepEqual(await ask(), expected);
      return answered;
    };
    const clients = Promise.all([
      client(async () => (await espLeft.list()).run, run),
      client(async () => (await espLeft.list()).run, run),
      client(async () => (await left.status()).peers.length, 1),
      client(async () => (await left.status()).peers.length, 1),
    ]);
    clients.catch(() => {});
    for (let times = 0; times < 8; times++) await both.replace();
    isOver = true;
    for (const answered of await clients) assert.ok(answered > 8);
  });

  test('with an answer under way: the old one stays until it is read', { timeout: 60_000 }, async () => {
    await using pair = new Pair();
    const { left } = pair;
    await left.start(ENGINE);
    const before = left.process;
    const ranges = Array.from({ length: 40_000 }, (_, i) => `allowed_ip=10.${i >> 8}.${i & 255}.0/24`);
    await ask(left.socket, `set=1\npublic_key=${hex(makeKeys().publicKey)}\n${ranges.join('\n')}\n\n`);
    const reader = connect(left.socket);
    await once(reader, 'connect');
    reader.pause();
    // More than the kernel takes at once.
    reader.write('get=1\n\n');
    assert.equal((await left.peer()).allowedIps.length, ranges.length);
    const { status: taker } = spawned(
      left,
      'env',
      'LOG_LEVEL=verbose',
      ...ENGINE,
      '-f',
      '--take-over',
      left.device,
    );
    await using stack = new AsyncDisposableStack();
    stack.defer(async () => void (await exited(taker.process)));
    stack.defer(() => void taker.process.kill('SIGTERM'));
    await until('the new one is there', () => taker.errors().includes('Ready'), 30);
    assert.equal((await left.peer()).allowedIps.length, ranges.length);
    assert.equal(before.exitCode, null);
    let answer = '';
    reader.on('data', chunk => {
      answer += chunk;
    });
    reader.resume();
    await once(reader, 'close');
    assert.match(answer, /\nerrno=0\n\n$/);
    assert.equal(answer.split('allowed_ip=').length - 1, ranges.length);
    assert.equal(await exited(before), TAKEN_OVER);
  });

  test('with all of its configuration, and where keys stopped that it has no more', {
    timeout: 60_000,
  }, async () => {
    await using both = await Both.connect();
    const { left, right, espLeft, espRight } = both;
    const peers = Array.from({ length: 50 }, (_, i) => [
      `public_key=${hex(makeKeys().publicKey)}`,
      `preshared_key=${hex(makeKeys().privateKey)}`,
      `persistent_keepalive_interval=${i % 2 === 0 ? 0 : 600 + i}`,
      `endpoint=${i % 3 === 0 ? `[fd00:1::${i + 1}]` : `198.51.100.${i + 1}`}:${1000 + i}`,
      ...['allowed_ip=10.77.0.0/16', `allowed_ip=10.77.${i}.0/24`, `allowed_ip=fd77:${i}::/32`],
    ]);
    assert.equal(await ask(left.socket, `set=1\nfwmark=3\n${peers.flat().join('\n')}\n\n`), 'errno=0\n\n');
    const keys = makeEspKeys(GCM);
    const words = ENCAPSULATED;
    const out = stateOut(espLeft, espRight, keys.leftToRight, { spi: 7, words });
    await espLeft.change(
      out,
      `policy set dst ${innerOf(espRight)}/32 src ${left.outer4} spi 7 to ${right.outer4}`,
    );
    await espRight.change(
      stateIn(espRight, espLeft, keys.leftToRight, { spi: 7, words: `${words} sel ${innerOf(espLeft)}/32` }),
    );
    assert.equal(left.ping(innerOf(espRight), 5), 5);
    await espLeft.change(`state delete src ${left.outer4} dst ${right.outer4} spi 7 dir out`);

    const before = await configurationOf(both);
    await both.replace();
    assert.deepEqual(await configurationOf(both), before);
    await espLeft.change(out);
    assert.ok((await espLeft.state('out', 7)).sequence >= 5);
    assert.equal(left.ping(innerOf(espRight), 5), 5);
    assert.deepEqual((await espRight.state('in', 7)).drops, {});
  });

  test('in a format that is known by its number', { timeout: 60_000 }, async () => {
    await using both = await Both.connect();
    const { left, espLeft } = both;
    const { status: taker } = spawned(
      left,
      ...[process.execPath, FAILING_TAKER, 'describe', left.device, espLeft.device],
    );
    await taker.closed;
    const hint =
      'who changes what native/engine/handover.cc writes counts up FORMAT in src/engine/handover.ts';
    assert.deepEqual(JSON.parse(taker.output()), SAVED_BYTES, hint);
  });

  test('before its peer has answered: what waits for the session is sent', { timeout: 60_000 }, async () => {
    await using pair = new Pair();
    const { left, right } = pair;
    await left.start(ENGINE);
    let engine = left.process;
    await using stack = new AsyncDisposableStack();
    stack.defer(async () => void (await exited(engine)));
    stack.defer(() => void engine.kill('SIGTERM'));
    left.configure(right, { endpoint: endpointOf(right) });
    left.bringUp();
    const { status: ping } = spawned(left, 'ping', '-n', '-c', '3', '-i', '0.1', '-W', '30', right.inner4);
    await until('the pings wait', () => sentInto(left) >= 3);
    const before = engine;
    engine = spawned(left, ...ENGINE, '-f', '--take-over', left.device).status.process;
    assert.equal(await exited(before), TAKEN_OVER);
    await right.start(WIREGUARD_GO);
    right.configure(left);
    right.bringUp();
    await ping.closed;
    assert.match(ping.output(), / 0% packet loss/);
  });
});

describe('an engine goes on', () => {
  test('when the new one fails before it has confirmed', { timeout: 120_000 }, async () => {
    await using pair = new Pair();
    const { left, right } = pair;
    await pair.connect(ENGINE, WIREGUARD_GO);
    assert.equal(left.ping(right.inner4, 2), 2);
    await using capture = await SealedCapture.start(left);
    await using stack = new AsyncDisposableStack();
    // So seldom that what waits while the silent one is waited for finds room in the buffers of ping and of wireguard-go.
    const ping = startPings(left, right.inner4, 0.04);
    stack.defer(() => ping.kill());
    for (const how of ['die', 'refuse', 'silence', 'format']) {
      const { status: taker } = spawned(left, process.execPath, FAILING_TAKER, how, left.device);
      await until(`the taker has begun to ${how}`, () => taker.output().endsWith('\n'), 20);
      const before = (await left.peer()).txBytes;
      await until(`the engine goes on (${how})`, async () => (await left.peer()).txBytes > before);
      assert.equal(left.process.exitCode, null);
      if (how === 'format') {
        assert.match(taker.output(), /hands over in format \d+, the new one \(9.9.9\) takes 99/);
      }
      taker.process.kill('SIGKILL');
      await exited(taker.process);
    }
    const { status: other } = spawned(
      left,
      ...ENGINE,
      '-f',
      '--take-over',
      '--ipsec',
      left.device,
      'another0',
    );
    await other.closed;
    assert.equal(other.process.exitCode, 1);
    assert.match(other.errors(), /serves the WireGuard device eng\w+, the new one another0: name the same/);
    assert.deepEqual(await ping.stop(), []);
    const { repeated, handshakes } = await capture.stop();
    assert.deepEqual({ repeated, handshakes }, { repeated: [], handshakes: 0 });
  });
});

test('whoever says half a hello, or announces a huge one, holds up nobody', async () => {
  await using pair = new Pair();
  const { left, right } = pair;
  await pair.connect();
  assert.equal(left.ping(right.inner4, 1), 1);
  const huge = Buffer.from('Plch\xff\xff\xff\x3f\0\0\0\0', 'latin1');
  for (const beginning of ['P', huge.subarray(0, 11), huge, 'Plch\x08\0\0\0\0\0\0\0{"']) {
    const half = connect(handoverSocket(left));
    let isOpen = true;
    half
      .on('error', () => {})
      .on('close', () => {
        isOpen = false;
      });
    await once(half, 'connect');
    half.write(beginning);
    for (let i = 0; i < 2; i++) await left.status();
    if (beginning === huge) await until('nothing more is read of it', () => !isOpen);
    else assert.ok(isOpen, 'it was waited for');
    half.destroy();
  }
  const nonsense = connect(handoverSocket(left));
  nonsense.resume().write('Plch\x08\0\0\0\0\0\0\0{{{{{{{{');
  await once(nonsense, 'close');
  const old = left.process;
  const { status: taker } = spawned(left, ...ENGINE, '-f', '--take-over', left.device);
  assert.equal(await exited(old), TAKEN_OVER);
  assert.equal(left.ping(right.inner4, 1), 1);
  taker.process.kill('SIGTERM');
  await exited(taker.process);
});

describe('nobody seals', () => {
  test('when the new one dies as it is let start: the old one ends, or has seen it', async () => {
    await using pair = new Pair();
    const { left } = pair;
    await left.start(ENGINE);
    const { status: taker } = spawned(left, process.execPath, FAILING_TAKER, 'vanish', left.device);
    await taker.closed;
    assert.equal(taker.output(), 'taken\n');
    // It ends if the kernel took its last word for the new one: then it cannot know whether that was read.
    await Promise.race([exited(left.process), left.status().catch(() => {})]);
    if (left.process.exitCode !== null) assert.equal(left.process.exitCode, TAKEN_OVER);
    await left.stop();
    await left.start(ENGINE, '--take-over');
    assert.equal((await left.status()).peers.length, 0);
  });

  test('when the old one dies before it lets the new one start: that ends, and leaves nothing', async () => {
    await using pair = new Pair();
    const { left } = pair;
    const { status: giver } = spawned(left, process.execPath, FAILING_GIVER, handoverSocket(left));
    await until('it listens', () => giver.output().includes('listening'));
    const { status: taker } = spawned(left, ...ENGINE, '-f', '--take-over', left.device);
    await taker.closed;
    assert.equal(taker.process.exitCode, 1);
    assert.match(giver.output(), /hello.*\n.*ready/);
    assert.equal(taker.errors(), 'pellicle-engine: the running engine went on by itself\n');
    assert.ok(!left.run('ip', '-o', 'link').includes(` ${left.device}:`));
    rmSync(handoverSocket(left), { force: true });
  });
});

/** All of it, with keys. */
async function configurationOf({ left, espLeft }: Both) {
  const { states, ...rest } = (await espLeft.request('list keys')) as EspStatus;
  // It is told by two clocks, of which one is read a moment later.
  const known = states.map(state => ({ ...state, lastUsed: state.lastUsed > 0 }));
  return { wireguard: wg('showconf', left.device), ...rest, states: known };
}

/** Of a key as `wg` prints it. */
function hex(key: string): string {
  return Buffer.from(key, 'base64').toString('hex');
}

function handoverSocket(side: Side): string {
  return `/var/run/pellicle/${side.device}.handover`;
}

/** Packets that the kernel has given to the tunnel's device. */
function sentInto(side: Side): number {
  return Number(side.run('cat', `/sys/class/net/${side.device}/statistics/tx_packets`));
}
