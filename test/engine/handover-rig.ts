/** One engine with a device for WireGuard and one for ESP, that is replaced while others talk through it. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { EspSide, GCM, makeEspKeys, stateIn, stateOut } from './esp-pair.ts';
import { ENGINE, endpointOf, exited, Pair, type Side, until } from './pair.ts';
import { spawned } from './watched.ts';

/** Exit status of an engine that another one took over from. */
export const TAKEN_OVER = 3;

/** One engine with both devices on the left; on the right an engine for each, or wireguard-go for the one. */
export class Both implements AsyncDisposable {
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

export function innerOf(esp: EspSide): string {
  return `10.8.0.${esp.side.number}`;
}

interface Flow {
  end: { sum: { lost_packets?: number; packets?: number; bytes: number }; sum_received?: { bytes: number } };
  error?: string;
}

/** iperf3 from left to right for so many seconds: its report. */
export async function flow(
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
    await client.closed;
    return JSON.parse(client.output()) as Flow;
  } finally {
    server.process.kill('SIGKILL');
  }
}

/** Datagrams that a receiving program was too slow for. */
export function overflows(side: Side): number {
  const [names = '', values = ''] = side
    .run('cat', '/proc/net/snmp')
    .split('\n')
    .filter(line => line.startsWith('Udp:'));
  return Number(values.split(' ')[names.split(' ').indexOf('RcvbufErrors')]);
}

/** A client that has sent the beginning of a request, which its server has read. */
export class Begun {
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
