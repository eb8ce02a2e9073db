/** The two namespaces of Pair, with a device for ESP in each: 10.9.0.1 and fd09::1 to 10.9.0.2 and fd09::2 inside. */
import { randomBytes } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import type { EspStatus, StateStatus } from '../../src/engine/esp-status.ts';
import { aeadSuite, type Suite } from '../../src/proto/esp/suite.ts';
import { ENGINE, exited, Pair, type Side, until } from './pair.ts';

export const GCM = aeadSuite('rfc4106(gcm(aes))', 20, 128);
export const ENCAPSULATED = 'encap espinudp 4500 4500 0.0.0.0';

/** One end of a pair of states. */
export interface EspOptions {
  suite?: Suite;
  spi?: number;
  family?: 4 | 6;
  /** Words for both states. */
  words?: string;
}

/** The keys of both directions, in the words of `state add`. */
export interface EspKeys {
  leftToRight: string;
  rightToLeft: string;
}

export class EspSide implements AsyncDisposable {
  readonly side: Side;
  readonly device: string;
  #engine: ReturnType<Side['spawn']> | undefined;

  constructor(side: Side) {
    this.side = side;
    this.device = side.device.replace('eng', 'esp');
  }

  get socket(): string {
    return `/var/run/pellicle/${this.device}.sock`;
  }

  get process(): ReturnType<Side['spawn']> {
    if (!this.#engine) throw new Error(`${this.device} has no engine`);
    return this.#engine;
  }

  async start(...args: string[]): Promise<void> {
    const [node = '', program = ''] = ENGINE;
    const engine = this.side.spawn(node, program, '-f', '--ipsec', this.device, ...args);
    this.#engine = engine;
    let errors = '';
    engine.stderr?.on('data', chunk => {
      errors += chunk;
    });
    await until(`${this.device} serves its socket`, async () => {
      if (engine.exitCode !== null) throw new Error(`the engine ended: ${errors}`);
      return existsSync(this.socket) && (await this.list().catch(() => undefined)) !== undefined;
    });
    this.side.run('ip', 'address', 'replace', `${this.side.inner4}/24`, 'dev', this.device);
    this.side.run('ip', 'address', 'replace', `${this.side.inner6}/64`, 'dev', this.device, 'nodad');
    this.side.run('ip', 'link', 'set', this.device, 'up');
  }

  /** Ends it at once, as a crash would. */
  async kill(): Promise<void> {
    this.process.kill('SIGKILL');
    await exited(this.process);
    this.#engine = undefined;
  }

  async stop(): Promise<void> {
    if (!this.#engine) return;
    this.#engine.kill('SIGTERM');
    await exited(this.#engine);
    this.#engine = undefined;
    rmSync(this.socket, { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** What the socket answers, parsed. */
  request(...lines: string[]): Promise<unknown> {
    return askEsp(this.socket, `${lines.join('\n')}\n\n`);
  }

  /** Throws when the request is refused. */
  async change(...lines: string[]): Promise<void> {
    const answer = (await this.request(...lines)) as { error?: { line: number; message: string } };
    if (answer.error) throw new Error(`${this.device}, line ${answer.error.line}: ${answer.error.message}`);
  }

  async list(): Promise<EspStatus> {
    return (await this.request('list')) as EspStatus;
  }

  async state(dir: 'in' | 'out', spi = 3): Promise<StateStatus> {
    const found = (await this.list()).states.find(state => state.dir === dir && state.spi === spi);
    if (!found) throw new Error(`${this.device} has no state dir ${dir} spi ${spi}`);
    return found;
  }
}

export class EspPair implements AsyncDisposable {
  readonly pair = new Pair();
  readonly left = new EspSide(this.pair.left);
  readonly right = new EspSide(this.pair.right);

  static async connect(options: EspOptions = {}): Promise<EspPair> {
    const pair = new EspPair();
    try {
      await Promise.all([pair.left.start(), pair.right.start()]);
      await pair.open(options);
      await pair.seal(options);
      return pair;
    } catch (error) {
      await pair[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Both states on both sides; nothing is sealed with them yet. */
  async open(options: EspOptions = {}, keys = makeEspKeys(options.suite)): Promise<EspKeys> {
    const { left, right } = this;
    await left.change(
      stateOut(left, right, keys.leftToRight, options),
      stateIn(left, right, keys.rightToLeft, options),
    );
    await right.change(
      stateOut(right, left, keys.rightToLeft, options),
      stateIn(right, left, keys.leftToRight, options),
    );
    return keys;
  }

  /** What goes to the other side's inner addresses is sealed with that SPI from now on. */
  async seal({ spi = 3, family = 4 }: EspOptions = {}): Promise<void> {
    for (const [side, other] of [
      [this.left, this.right],
      [this.right, this.left],
    ] as const) {
      const policy = (destinations: string) =>
        `policy set dst ${destinations} src ${outer(side, family)} spi ${spi} to ${outer(other, family)}`;
      await side.change(
        policy(`${other.side.inner4}/32`),
        policy(`${other.side.inner6}/128`),
        `local ${side.side.inner4}/32 ${side.side.inner6}/128`,
      );
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.left.stop();
    await this.right.stop();
    await this.pair[Symbol.asyncDispose]();
  }
}

export function outer(side: EspSide, family: 4 | 6 = 4): string {
  return family === 4 ? side.side.outer4 : side.side.outer6;
}

export function makeEspKeys(suite: Suite = GCM): EspKeys {
  return { leftToRight: algorithmOf(suite), rightToLeft: algorithmOf(suite) };
}

export function stateOut(from: EspSide, to: EspSide, algorithm: string, options: EspOptions = {}): string {
  const { spi = 3, family = 4, words = '' } = options;
  return `state add src ${outer(from, family)} dst ${outer(to, family)} spi ${spi} dir out ${algorithm} flag esn ${words}`;
}

/** What `from` seals, opened by `at`. */
export function stateIn(at: EspSide, from: EspSide, algorithm: string, options: EspOptions = {}): string {
  const { spi = 3, family = 4, words = '' } = options;
  const sources = `sel ${from.side.inner4}/32 sel ${from.side.inner6}/128`;
  return `state add src ${outer(from, family)} dst ${outer(at, family)} spi ${spi} dir in ${algorithm} flag esn ${sources} ${words}`;
}

/** With random keys. */
function algorithmOf(suite: Suite): string {
  const cipher = randomBytes(suite.keyLength + suite.saltLength).toString('hex');
  if (suite.integrity === undefined) return `aead ${suite.cipher} 0x${cipher} ${8 * suite.icvLength}`;
  const integrity = randomBytes(suite.integrityKeyLength).toString('hex');
  return `auth-trunc ${suite.integrity} 0x${integrity} ${8 * suite.icvLength} enc ${suite.cipher} 0x${cipher}`;
}

function askEsp(path: string, request: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => socket.write(request));
    let answer = '';
    socket.setTimeout(20_000, () => socket.destroy(new Error(`${path} does not answer`)));
    socket.on('data', chunk => {
      answer += chunk;
      if (answer.endsWith('\n')) socket.end();
    });
    socket.on('error', reject);
    socket.on('close', () => {
      try {
        resolve(JSON.parse(answer));
      } catch (error) {
        reject(error);
      }
    });
  });
}
