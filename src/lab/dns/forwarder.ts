/** Asks the machine's own DNS servers what the cluster does not know. */
import { createSocket } from 'node:dgram';
import { connect, isIP, isIPv6 } from 'node:net';
import { decodeMessage, type Message, MessageError } from './message.ts';

export interface Upstream {
  address: string;
  port: number;
}

export interface ForwarderOptions {
  upstreams: readonly Upstream[];
  /** Milliseconds for each server's answer. */
  timeout?: number;
  /** Two random bytes. */
  random?: () => number;
}

/** No upstream gave an answer. */
export class NoAnswer extends Error {}

/** Questions under way at a time; more are refused rather than queued without end. */
const MOST = 512;

export class Forwarder {
  readonly #options: Required<ForwarderOptions>;
  #underWay = 0;

  constructor(options: ForwarderOptions) {
    this.#options = { timeout: 2_000, random: () => Math.floor(Math.random() * 0x10000), ...options };
  }

  /** The upstream's answer, byte for byte but for the id. Each server is asked twice. Rejects with NoAnswer. */
  async ask(query: Uint8Array, asked: Message, overTcp: boolean): Promise<Uint8Array> {
    if (this.#underWay >= MOST) throw new NoAnswer('too many questions are under way');
    this.#underWay++;
    try {
      for (const upstream of [...this.#options.upstreams, ...this.#options.upstreams]) {
        const answer = await this.#try(upstream, query, asked, overTcp);
        if (answer !== undefined) return answer;
      }
      throw new NoAnswer('no upstream answered');
    } finally {
      this.#underWay--;
    }
  }

  async #try(
    upstream: Upstream,
    query: Uint8Array,
    asked: Message,
    overTcp: boolean,
  ): Promise<Uint8Array | undefined> {
    const id = this.#options.random() & 0xffff;
    const sent = withId(query, id);
    const exchange = overTcp ? exchangeTcp : exchangeUdp;
    const matches = (answer: Uint8Array) => answers(answer, id, asked);
    try {
      const answer = await exchange(upstream, sent, matches, this.#options.timeout);
      return answer && withId(answer, asked.id);
    } catch {
      return undefined;
    }
  }
}

/** The `nameserver` lines of resolv.conf(5). */
export function parseResolvConf(text: string): Upstream[] {
  return text
    .split('\n')
    .map(line => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? '')
    .filter(address => isIP(address.split('%')[0] ?? '') !== 0)
    .map(address => ({ address, port: 53 }));
}

/** A port of its own for each question, as RFC 5452 wants it. */
function exchangeUdp(
  upstream: Upstream,
  query: Uint8Array,
  matches: (answer: Uint8Array) => boolean,
  timeout: number,
): Promise<Uint8Array | undefined> {
  return new Promise(resolve => {
    const socket = createSocket(isIPv6(upstream.address) ? 'udp6' : 'udp4');
    const end = (answer?: Uint8Array): void => {
      clearTimeout(timer);
      socket.removeAllListeners();
      socket.on('error', () => {});
      socket.close();
      resolve(answer);
    };
    const timer = setTimeout(end, timeout);
    socket.on('error', () => end());
    socket.on('message', message => {
      if (matches(message)) end(message);
    });
    socket.connect(upstream.port, upstream.address, () => socket.send(query));
  });
}

function exchangeTcp(
  upstream: Upstream,
  query: Uint8Array,
  matches: (answer: Uint8Array) => boolean,
  timeout: number,
): Promise<Uint8Array | undefined> {
  return new Promise(resolve => {
    const socket = connect({ host: upstream.address, port: upstream.port });
    let received = Buffer.alloc(0);
    const end = (answer?: Uint8Array): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(end, timeout);
    socket.on('error', () => end());
    socket.on('close', () => end());
    socket.on('connect', () =>
      socket.write(Buffer.concat([Uint8Array.of(query.length >> 8, query.length & 255), query])),
    );
    socket.on('data', chunk => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 2) return;
      const length = received.readUInt16BE(0);
      if (received.length < 2 + length) return;
      const answer = received.subarray(2, 2 + length);
      end(matches(answer) ? answer : undefined);
    });
  });
}

/** Whether the message answers this very question (others are forged or late). */
function answers(bytes: Uint8Array, id: number, asked: Message): boolean {
  try {
    const message = decodeMessage(bytes);
    const [got, wanted] = [message.questions[0], asked.questions[0]];
    return (
      message.response &&
      message.id === id &&
      (got === undefined
        ? message.rcode !== 0
        : got.type === wanted?.type && got.name.toLowerCase() === wanted.name.toLowerCase())
    );
  } catch (error) {
    if (error instanceof MessageError) return false;
    throw error;
  }
}

function withId(message: Uint8Array, id: number): Uint8Array {
  const copy = Uint8Array.from(message);
  copy[0] = id >> 8;
  copy[1] = id & 255;
  return copy;
}
