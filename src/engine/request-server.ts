/**
 * Serves requests that end with an empty line on a unix socket. Clients are many, may be slow, may stop in the middle, and
 * may ask for answers of megabytes: none of them holds up another one, or grows without bound.
 */
import { lstatSync, mkdirSync, rmSync, unlinkSync, watch } from 'node:fs';
import { connect, createServer, Socket } from 'node:net';
import { dirname } from 'node:path';
import { linuxAddon } from '../linux/addon.ts';
import { systemError } from '../linux/system-error.ts';
import { wipe } from '../proto/bytes.ts';

const MAX_CLIENTS = 128;
/** Of requests that have begun and answers that nobody reads, of all clients together. */
const MAX_HELD_BYTES = 64 << 20;
/** Without progress of a request that has begun, or of an answer. */
const STALLED_MS = 10_000;
const END = Buffer.from('\n\n');

type Answer = RequestServerOptions['answer'];

export interface RequestServer {
  close(): void;
  /** The sockets, for another process: nothing of them is read from now on until this process goes on. */
  carry(): CarriedServer;
  /** They are another process's now. Ends when those clients have their answers that could not be given away. */
  leave(): Promise<void>;
}

/** A server on its way to another process: descriptors, and what each client has begun to ask. */
export interface CarriedServer {
  readonly listener: number;
  readonly clients: readonly { readonly socket: number; readonly received: Uint8Array }[];
}

export interface RequestServerOptions {
  path: string;
  /** The whole answer to one request, which comes without the empty line at its end. Never throws. */
  answer(request: string): string;
  /** The socket's file was removed by somebody. */
  onRemoved(): void;
  stalledMs?: number;
  /** The server in whose place it is. */
  carried?: CarriedServer;
}

/** The folder is made with 0700, the socket with 0600. A socket that nobody serves any more is replaced. */
export async function serveRequests(options: RequestServerOptions): Promise<RequestServer> {
  const { path, carried } = options;
  const clients = new Set<Client>();
  let moved: Client[] = [];
  const serve = (socket: Socket, received?: Uint8Array) => {
    const client = new Client(socket, options, received);
    clients.add(client);
    socket.once('close', () => clients.delete(client));
    socket.on('data', () => relieve(clients));
    if (clients.size > MAX_CLIENTS) [...clients][0]?.socket.destroy();
  };
  const server = createServer(serve);
  if (!carried) await makeWay(path);
  // By descriptor: of a socket that Node makes itself, it removes the file, whoever's that is by then.
  const listener = carried?.listener ?? listenAt(path);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ fd: listener }, resolve);
  });
  for (const { socket, received } of carried?.clients ?? []) {
    serve(new Socket({ fd: socket, readable: true, writable: true }), Buffer.from(received));
  }
  const own = lstatSync(path, { throwIfNoEntry: false })?.ino;
  const isOwn = () => own !== undefined && lstatSync(path, { throwIfNoEntry: false })?.ino === own;
  const watcher = watch(dirname(path), () => {
    if (!isOwn()) options.onRemoved();
  });
  if (own === undefined) setImmediate(options.onRemoved);
  return {
    close() {
      watcher.close();
      server.close();
      if (isOwn()) rmSync(path, { force: true });
      for (const { socket } of clients) socket.destroy();
    },
    carry() {
      moved = [...clients].filter(client => client.isMovable);
      return {
        listener,
        clients: moved.map(({ socket, received }) => ({ socket: descriptorOf(socket), received })),
      };
    },
    async leave() {
      watcher.close();
      server.close();
      // Nothing more is read of them here: what they ask from now on is the other process's to answer.
      for (const client of moved) {
        clients.delete(client);
        client.socket.destroy();
      }
      await Promise.all([...clients].map(client => client.finish()));
    },
  };
}

/** A place for the socket, where nobody serves one. */
async function makeWay(path: string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  if (!lstatSync(path, { throwIfNoEntry: false })) return;
  if (await isServed(path)) {
    throw new Error(`${path} is served by another process: stop that one, or take another name.`);
  }
  unlinkSync(path);
}

/** Node tells it to nobody, but its own child processes get sockets by it. */
function descriptorOf(socket: Socket): number {
  const { _handle: handle } = socket as { _handle?: { fd?: number } | null };
  return handle?.fd ?? -1;
}

/** 0600 from the first moment on. */
function listenAt(path: string): number {
  const listener = linuxAddon().unixListen(path, 0o600);
  if (listener < 0) throw systemError(`listen on ${path}`, listener);
  return listener;
}

function isServed(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}

/** Lets go of whoever holds most, when all of them hold too much. */
function relieve(clients: ReadonlySet<Client>): void {
  const open = [...clients].filter(({ socket }) => !socket.destroyed);
  const held = open.reduce((sum, client) => sum + client.heldBytes, 0);
  if (held <= MAX_HELD_BYTES) return;
  open.reduce((most, client) => (client.heldBytes > most.heldBytes ? client : most)).socket.destroy();
}

/** One request after the other: the next is read when the answer to the last is on its way. */
class Client {
  readonly socket: Socket;
  readonly #answer: Answer;
  #pieces: Buffer[];
  #size: number;

  constructor(socket: Socket, options: RequestServerOptions, received: Uint8Array = Buffer.alloc(0)) {
    this.socket = socket;
    this.#answer = options.answer;
    this.#pieces = received.length > 0 ? [Buffer.from(received)] : [];
    this.#size = received.length;
    socket.setTimeout(options.stalledMs ?? STALLED_MS);
    socket.on('timeout', () => {
      if (this.#size > 0 || socket.writableLength > 0) socket.destroy();
    });
    socket.on('error', () => socket.destroy());
    socket.on('data', piece => this.#take(piece));
  }

  get heldBytes(): number {
    return this.#size + this.socket.writableLength;
  }

  /** The request that has begun. */
  get received(): Uint8Array {
    return Buffer.concat(this.#pieces);
  }

  /** Everything of it is here or in the kernel: no answer is under way. */
  get isMovable(): boolean {
    const { socket } = this;
    return (
      !socket.destroyed &&
      !socket.readableEnded &&
      socket.readableLength === 0 &&
      socket.writableLength === 0 &&
      descriptorOf(socket) >= 0
    );
  }

  /** No request is answered any more; the answer that is under way goes out, while its reader goes on. */
  finish(): Promise<void> {
    const { socket } = this;
    if (socket.destroyed) return Promise.resolve();
    const closed = new Promise<void>(resolve => socket.once('close', () => resolve()));
    socket.removeAllListeners('data');
    socket.removeAllListeners('drain');
    socket.end(() => socket.destroy());
    return closed;
  }

  #take(piece: Buffer): void {
    const isEnd = piece.includes(END) || (piece[0] === END[0] && this.#pieces.at(-1)?.at(-1) === END[0]);
    this.#pieces.push(piece);
    this.#size += piece.length;
    if (isEnd) {
      const whole = Buffer.concat(this.#pieces);
      wipe(...this.#pieces);
      const { answers, rest } = answerAll(whole, this.#answer);
      this.#pieces = rest.length > 0 ? [Buffer.from(rest)] : [];
      this.#size = rest.length;
      wipe(whole);
      this.#send(answers);
    }
  }

  #send(answers: string): void {
    const { socket } = this;
    if (socket.write(answers)) return;
    socket.pause();
    socket.once('drain', () => socket.resume());
  }
}

function answerAll(received: Buffer, answer: Answer): { answers: string; rest: Buffer } {
  let answers = '';
  let start = 0;
  for (let end = received.indexOf(END); end >= 0; end = received.indexOf(END, start)) {
    answers += answer(received.toString('utf8', start, end + 1));
    start = end + END.length;
  }
  return { answers, rest: received.subarray(start) };
}
