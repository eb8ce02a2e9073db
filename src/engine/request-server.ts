/**
 * Serves requests that end with an empty line on a unix socket. Clients are many, may be slow, may stop in the middle, and
 * may ask for answers of megabytes: none of them holds up another one, or grows without bound.
 */
import { lstatSync, mkdirSync, rmSync, unlinkSync, watch } from 'node:fs';
import { connect, createServer, Socket } from 'node:net';
import { dirname } from 'node:path';
import { linuxAddon } from '../linux/addon.ts';
import { systemError } from '../linux/system-error.ts';
import { RequestBuffer } from './request-buffer.ts';

const MAX_CLIENTS = 128;
/** Of requests that have begun and answers that nobody reads, of all clients together. */
const MAX_HELD_BYTES = 64 << 20;
/** Of the answers that one client has not read: it gets no further one. */
const MAX_ANSWERED_BYTES = 8 << 20;
/** Without progress of a request that has begun, or of an answer. */
const STALLED_MS = 10_000;

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
    const client = new Client(socket, options, () => relieve(clients));
    clients.add(client);
    socket.once('close', () => clients.delete(client));
    if (received) client.take(received);
    if (clients.size > MAX_CLIENTS) [...clients][0]?.socket.destroy();
  };
  const server = createServer({ allowHalfOpen: true }, socket => serve(socket));
  if (!carried) await makeWay(path);
  // By descriptor: of a socket that Node makes itself, it removes the file, whoever's that is by then.
  const listener = carried?.listener ?? listenAt(path);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ fd: listener }, resolve);
  });
  for (const { socket, received } of carried?.clients ?? []) {
    serve(new Socket({ fd: socket, readable: true, writable: true, allowHalfOpen: true }), received);
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

/** One request after the other: the next is answered when the answer to the last is on its way. */
class Client {
  readonly socket: Socket;
  readonly #answer: Answer;
  readonly #onGrown: () => void;
  readonly #received = new RequestBuffer();
  #isAnswering = false;

  /** `onGrown` is called when it may hold more than before. */
  constructor(socket: Socket, options: RequestServerOptions, onGrown: () => void) {
    this.socket = socket;
    this.#onGrown = onGrown;
    this.#answer = options.answer;
    socket.setTimeout(options.stalledMs ?? STALLED_MS);
    socket.on('timeout', () => {
      if (this.#received.size > 0 || socket.writableLength > 0) socket.destroy();
    });
    socket.on('error', () => socket.destroy());
    socket.on('data', piece => this.take(piece));
    socket.on('drain', () => socket.resume());
    socket.on('end', () => this.#endIfDone());
  }

  get heldBytes(): number {
    return this.#received.size + this.socket.writableLength;
  }

  /** What it asked and has no answer to, and the request that has begun. */
  get received(): Uint8Array {
    return Uint8Array.from(this.#received.bytes);
  }

  /** Everything of it is here or in the kernel: no answer is under way. */
  get isMovable(): boolean {
    const { socket } = this;
    return (
      !socket.destroyed &&
      !socket.writableEnded &&
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

  /** What it sent. Wiped here. */
  take(piece: Uint8Array): void {
    this.#received.push(piece);
    if (!this.#isAnswering) this.#answerNext();
    this.#onGrown();
  }

  /** Who says that it asks no more still gets its answers. */
  #endIfDone(): void {
    if (this.socket.readableEnded && !this.#isAnswering) this.socket.end();
  }

  /** One in a turn of the event loop: whoever asks for many does not hold up the others. */
  #answerNext(): void {
    const { socket } = this;
    this.#isAnswering = false;
    if (!socket.writable) return;
    const request = this.#received.take();
    if (request === undefined) {
      this.#endIfDone();
      return;
    }
    this.#isAnswering = true;
    // Of whoever does not read its answers, nothing more is read.
    if (!socket.write(this.#answer(request))) socket.pause();
    this.#onGrown();
    if (socket.writableLength < MAX_ANSWERED_BYTES) setImmediate(() => this.#answerNext());
    else socket.once('drain', () => this.#answerNext());
  }
}
