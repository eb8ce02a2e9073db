/** A running engine is replaced by a new process: no packet is lost, no counter used twice, no session begun anew. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { rmSync, statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { EspSide, GCM, makeEspKeys, stateIn, stateOut } from './esp-pair.ts';
import { ENGINE, endpointOf, exited, Pair, type Side, until, WIREGUARD_GO } from './pair.ts';
import { SealedCapture } from './sealed-capture.ts';
import { spawned, startPings } from './watched.ts';

const TAKEN_OVER = 3;
const FAILING_TAKER = join(import.meta.dirname, 'failing-taker.ts');
const FAILING_GIVER = join(import.meta.dirname, 'failing-giver.ts');

/** One engine with both devices on the left; on the right an engine for each, or wireguard-go for the one. */
class Both implements AsyncDisposable {
  readonly pair = new Pair();
  readonly left = this.pair.left;
  readonly right = this.pair.right;
  readonly espLeft = new EspSide(this.left);
  readonly espRight = new EspSide(this.right);
  engine!: ChildProcess;

  static async connect(rightProgram: readonly string[] = ENGINE): Promise<Both> {
    const both = new Both();
    try {
      await both.#connect(rightProgram);
      return both;
    } catch (error) {
      await both[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #connect(rightProgram: readonly string[]): Promise<void> {
    const { left, right, espLeft, espRight } = this;
    await Promise.all([
      left.start(ENGINE, '--ipsec', espLeft.device),
      right.start(rightProgram),
      espRight.start(),
    ]);
    this.engine = left.process;
    for (const [side, other] of [
      [left, right],
      [right, left],
    ] as const) {
      side.configure(other, { endpoint: endpointOf(other) });
      side.bringUp();
    }
    const keys = makeEspKeys(GCM);
    await espLeft.change(
      stateOut(espLeft, espRight, keys.leftToRight),
      stateIn(espLeft, espRight, keys.rightToLeft, { words: 'sel 10.8.0.2/32' }),
    );
    await espRight.change(
      stateOut(espRight, espLeft, keys.rightToLeft),
      stateIn(espRight, espLeft, keys.leftToRight, { words: 'sel 10.8.0.1/32' }),
    );
    for (const [esp, other] of [
      [espLeft, espRight],
      [espRight, espLeft],
    ] as const) {
      const [own, theirs] = [innerOf(esp), innerOf(other)];
      await esp.change(
        `policy set dst ${theirs}/32 src ${esp.side.outer4} spi 3 to ${other.side.outer4}`,
        `local ${own}/32`,
      );
      esp.side.run('ip', 'address', 'flush', 'dev', esp.device);
      esp.side.run('ip', 'address', 'add', `${own}/24`, 'dev', esp.device);
      esp.side.run('ip', 'link', 'set', esp.device, 'up');
    }
    assert.equal(left.ping(right.inner4, 2), 2);
    assert.equal(left.ping(innerOf(espRight), 2), 2);
  }

  /** Starts a new engine that takes over, and waits until the one before is gone. */
  async replace(): Promise<void> {
    const before = this.engine;
    const { status } = spawned(
      this.left,
      ...ENGINE,
      '-f',
      '--take-over',
      '--ipsec',
      this.espLeft.device,
      this.left.device,
    );
    this.engine = status.process;
    await until(
      'a process takes over',
      () => before.exitCode !== null || status.process.exitCode !== null,
      30,
    );
    assert.equal(
      before.exitCode,
      TAKEN_OVER,
      `${status.errors()}; exit code of the new one ${status.process.exitCode}`,
    );
    assert.equal(status.process.exitCode, null, status.errors());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.engine?.kill('SIGTERM');
    await this.espRight.stop();
    if (this.engine) await exited(this.engine);
    await this.pair[Symbol.asyncDispose]();
  }
}

function innerOf(esp: EspSide): string {
  return `10.8.0.${esp.side.number}`;
}

interface Flow {
  end: { sum: { lost_packets?: number; packets?: number; bytes: number }; sum_received?: { bytes: number } };
  error?: string;
}

/** iperf3 from left to right for so many seconds: its report. */
async function flow(
  both: Both,
  address: string,
  port: number,
  args: string[],
  seconds: number,
): Promise<Flow> {
  const { status: server } = spawned(
    both.right,
    'iperf3',
    '-s',
    '-1',
    '--forceflush',
    '-B',
    address,
    '-p',
    String(port),
  );
  try {
    await until(
      'iperf3 listens',
      () => server.output().includes('listening') || server.process.exitCode !== null,
    );
    const options = ['-p', String(port), '-t', String(seconds), '-J', ...args];
    const { status: client } = spawned(both.left, 'iperf3', '-c', address, ...options);
    await exited(client.process);
    return JSON.parse(client.output()) as Flow;
  } finally {
    server.process.kill('SIGKILL');
  }
}

/** Datagrams that a receiving program was too slow for. */
function overflows(side: Side): number {
  const [names = '', values = ''] = side
    .run('cat', '/proc/net/snmp')
    .split('\n')
    .filter(line => line.startsWith('Udp:'));
  return Number(values.split(' ')[names.split(' ').indexOf('RcvbufErrors')]);
}

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
    await exited(ping.process);
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
    const ping = startPings(left, right.inner4, 0.02);
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
    assert.equal(await exited(other.process), 1);
    assert.match(other.errors(), /serves the WireGuard device eng\w+, the new one another0: name the same/);
    assert.deepEqual(await ping.stop(), []);
    const { repeated, handshakes } = await capture.stop();
    assert.deepEqual({ repeated, handshakes }, { repeated: [], handshakes: 0 });
  });
});

describe('nobody seals', () => {
  test('when the new one dies as it is let start: the old one ends, or has seen it', async () => {
    await using pair = new Pair();
    const { left } = pair;
    await left.start(ENGINE);
    const { status: taker } = spawned(left, process.execPath, FAILING_TAKER, 'vanish', left.device);
    await exited(taker.process);
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
    assert.equal(await exited(taker.process), 1);
    assert.match(giver.output(), /hello.*\n.*ready/);
    assert.equal(taker.errors(), 'pellicle-engine: the running engine went on by itself\n');
    assert.ok(!left.run('ip', '-o', 'link').includes(` ${left.device}:`));
    rmSync(handoverSocket(left), { force: true });
  });
});

function handoverSocket(side: Side): string {
  return `/var/run/pellicle/${side.device}.handover`;
}

/** Packets that the kernel has given to the tunnel's device. */
function sentInto(side: Side): number {
  return Number(side.run('cat', `/sys/class/net/${side.device}/statistics/tx_packets`));
}

/** A client that has sent the beginning of a request, which its server has read. */
class Begun {
  readonly #socket: Socket;
  #answer = '';

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', chunk => {
      this.#answer += chunk;
    });
  }

  static async start(path: string, beginning: string): Promise<Begun> {
    const socket = connect(path);
    const begun = new Begun(socket);
    await once(socket, 'connect');
    // With an answer to a whole request before it: the server has this client, and not only the kernel.
    socket.write(`${beginning}\n`);
    await until('the first answer', () => begun.#answer.endsWith('\n'));
    begun.#answer = '';
    socket.write(beginning);
    return begun;
  }

  async finish(): Promise<string> {
    this.#socket.write('\n');
    await until('the answer', () => this.#answer.endsWith('\n'));
    this.#socket.destroy();
    return this.#answer;
  }
}
