/**
 * A client of the ESP engine's control socket. A request is lines of words as of ip-xfrm(8) and an empty line, carried out
 * whole or not at all; the answer is one line of JSON. Several requests may go over one connection, which ends with the
 * engine: what is asked and what is then ordered over it concern the same run of the engine.
 */
import { connect, type Socket } from 'node:net';
import { DriverUnavailable } from './driver.ts';
import { type IpsecStatus, readStatus } from './ipsec-status.ts';

/** The engine refused, or said what cannot be understood. `message` is a sentence without key material. */
export class IpsecControlError extends Error {
  override readonly name = 'IpsecControlError';
}

export interface ControlSession {
  list(): Promise<IpsecStatus>;
  /** Nothing is sent for no lines. Rejects with IpsecControlError when the engine refuses them. */
  order(lines: readonly string[]): Promise<void>;
  close(): void;
}

export interface ControlOptions {
  /** For connecting, and for each answer; default 5000. */
  timeoutMs?: number;
}

/** Rejects with DriverUnavailable when there is no engine, as all that is asked over the session does. */
export async function openControl(path: string, options: ControlOptions = {}): Promise<ControlSession> {
  const connection = new Connection(path, options.timeoutMs ?? 5000);
  await connection.opened();
  return sessionOver(
    request => connection.exchange(request),
    () => connection.close(),
  );
}

/** A session by way of a function that takes a request and answers a line of JSON. */
export function sessionOver(
  exchange: (request: string) => Promise<string>,
  close: () => void = () => {},
): ControlSession {
  const ask = async (lines: readonly string[]): Promise<Record<string, unknown>> => {
    const answer = parseAnswer(await exchange(`${lines.join('\n')}\n\n`));
    if (answer['error'] !== undefined) throw refusal(answer['error'], lines);
    return answer;
  };
  return {
    list: async () => {
      const answer = await ask(['list']);
      const status = readStatus(answer);
      if (typeof status === 'string') throw new IpsecControlError(`the ESP engine's list is odd: ${status}`);
      return status;
    },
    order: async lines => {
      if (lines.length > 0) await ask(lines);
    },
    close,
  };
}

const LONGEST_ANSWER = 64 << 20;
const NOBODY_THERE = new Set(['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'EACCES']);

class Connection {
  readonly #path: string;
  readonly #timeoutMs: number;
  readonly #socket: Socket;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #waiting: { resolve: (line: string) => void; reject: (error: Error) => void } | undefined;
  #failure: Error | undefined;

  constructor(path: string, timeoutMs: number) {
    this.#path = path;
    this.#timeoutMs = timeoutMs;
    this.#socket = connect({ path });
    this.#socket.on('data', chunk => this.#take(chunk));
    this.#socket.on('end', () => this.#fail('hung up before it had answered'));
    this.#socket.on('error', (error: NodeJS.ErrnoException) => {
      const isGone = NOBODY_THERE.has(error.code ?? '');
      this.#fail(isGone ? `is not there (${error.code})` : `cannot be asked (${error.message})`);
    });
  }

  async opened(): Promise<void> {
    await this.#within(() => this.#socket.once('connect', () => this.#answer('')));
  }

  exchange(request: string): Promise<string> {
    return this.#within(() => this.#socket.write(request));
  }

  close(): void {
    this.#socket.destroy();
  }

  async #within(start: () => void): Promise<string> {
    if (this.#failure) throw this.#failure;
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    this.#waiting = { resolve, reject };
    const timer = setTimeout(
      () => this.#fail(`did not answer within ${this.#timeoutMs} ms`),
      this.#timeoutMs,
    );
    try {
      start();
      return await promise;
    } finally {
      clearTimeout(timer);
    }
  }

  #take(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes > LONGEST_ANSWER) this.#fail('sent an answer without end');
    if (!chunk.includes(0x0a)) return;
    const text = Buffer.concat(this.#chunks).toString('utf8');
    this.#chunks = [];
    this.#bytes = 0;
    this.#answer(text.slice(0, text.indexOf('\n')));
  }

  #answer(line: string): void {
    this.#waiting?.resolve(line);
    this.#waiting = undefined;
  }

  #fail(reason: string): void {
    this.#failure ??= new DriverUnavailable(`the ESP engine at ${this.#path} ${reason}`);
    this.#socket.destroy();
    this.#waiting?.reject(this.#failure);
    this.#waiting = undefined;
  }
}

function parseAnswer(line: string): Record<string, unknown> {
  try {
    const answer: unknown = JSON.parse(line);
    if (typeof answer === 'object' && answer !== null && !Array.isArray(answer))
      return answer as Record<string, unknown>;
  } catch {
    // Said below.
  }
  throw new IpsecControlError(
    'the ESP engine answered what is no JSON object: are engine and agent of one version?',
  );
}

/** Of the refused line only its command is told: it may have keys. */
function refusal(error: unknown, lines: readonly string[]): IpsecControlError {
  const { line, message } = (typeof error === 'object' && error !== null ? error : {}) as {
    line?: unknown;
    message?: unknown;
  };
  const refused = typeof line === 'number' ? lines[line - 1] : undefined;
  const command = refused === undefined ? 'a request' : `"${refused.split(' ').slice(0, 2).join(' ')}"`;
  const reason = typeof message === 'string' ? withoutKeys(message) : 'it gave no reason';
  return new IpsecControlError(`the ESP engine refused ${command}: ${reason}`);
}

function withoutKeys(text: string): string {
  return text.slice(0, 300).replace(/(0x)?[0-9a-fA-F]{20,}/g, '…');
}
