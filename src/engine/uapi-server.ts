/**
 * Serves the cross-platform configuration protocol on /var/run/wireguard/NAME.sock. Clients are many, may be slow, may
 * stop in the middle, and may ask for answers of megabytes: none of them holds up another one, or grows without bound.
 */
import { lstatSync, mkdirSync, unlinkSync, watch } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { parseRequest, printErrno } from '../proto/wireguard/uapi.ts';
import { printStatus } from '../proto/wireguard/uapistatus.ts';
import { asUapiError, configure, statusOf } from './configure.ts';
import type { Log } from './log.ts';
import { printStatistics } from './statistics.ts';
import type { Tunnel } from './tunnel.ts';

const MAX_CLIENTS = 128;
const MAX_REQUEST_BYTES = 64 << 20;
/** Without progress of a request that has begun, or of an answer. */
const STALLED_MS = 10_000;
const END = Buffer.from('\n\n');

export interface UapiServer {
  close(): void;
}

export interface UapiServerOptions {
  path: string;
  tunnel: Tunnel;
  log: Log;
  /** The socket's file was removed by somebody. */
  onRemoved(): void;
  stalledMs?: number;
}

/** The folder is made with 0700, the socket with 0600. A socket that nobody serves any more is replaced. */
export async function serveUapi(options: UapiServerOptions): Promise<UapiServer> {
  const { path, tunnel, log } = options;
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  if (lstatSync(path, { throwIfNoEntry: false })) {
    if (await isServed(path)) {
      throw new Error(`${path} is served by another process: stop that one, or take another name.`);
    }
    unlinkSync(path);
  }
  const clients = new Set<Socket>();
  const server = createServer(socket => {
    clients.add(socket);
    socket.once('close', () => clients.delete(socket));
    if (clients.size > MAX_CLIENTS) [...clients][0]?.destroy();
    serveClient(socket, tunnel, log, options.stalledMs ?? STALLED_MS);
  });
  await listen(server, path);
  const own = lstatSync(path).ino;
  const isOwn = () => lstatSync(path, { throwIfNoEntry: false })?.ino === own;
  const watcher = watch(dirname(path), () => {
    if (!isOwn()) options.onRemoved();
  });
  return {
    close() {
      watcher.close();
      // Node removes the file when the server closes, whoever's it is by then.
      if (isOwn()) server.close();
      for (const client of clients) client.destroy();
    },
  };
}

function listen(server: Server, path: string): Promise<void> {
  // 0600 from the first moment on.
  const before = process.umask(0o177);
  return new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  }).finally(() => process.umask(before));
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

/** One request after the other: the next is read when the answer to the last is on its way. */
function serveClient(socket: Socket, tunnel: Tunnel, log: Log, stalledMs: number): void {
  let pieces: Buffer[] = [];
  let size = 0;
  socket.setTimeout(stalledMs);
  socket.on('timeout', () => {
    if (size > 0 || socket.writableLength > 0) socket.destroy();
  });
  socket.on('error', () => socket.destroy());
  socket.on('data', piece => {
    const tail = pieces.at(-1)?.subarray(-1) ?? Buffer.alloc(0);
    pieces.push(piece);
    size += piece.length;
    if (Buffer.concat([tail, piece]).includes(END)) {
      const whole = Buffer.concat(pieces);
      const { answers, rest } = answerAll(whole, tunnel, log);
      pieces = rest.length > 0 ? [rest] : [];
      size = rest.length;
      send(socket, answers);
    }
    if (size > MAX_REQUEST_BYTES) socket.destroy();
  });
}

function send(socket: Socket, answers: string): void {
  if (socket.write(answers)) return;
  socket.pause();
  socket.once('drain', () => socket.resume());
}

function answerAll(received: Buffer, tunnel: Tunnel, log: Log): { answers: string; rest: Buffer } {
  let answers = '';
  let start = 0;
  for (let end = received.indexOf(END); end >= 0; end = received.indexOf(END, start)) {
    answers += answer(received.toString('utf8', start, end + 1), tunnel, log);
    start = end + END.length;
  }
  return { answers, rest: received.subarray(start) };
}

function answer(text: string, tunnel: Tunnel, log: Log): string {
  try {
    if (text === 'get=statistics\n') return printStatistics(tunnel);
    const request = parseRequest(text);
    if ('get' in request) return printStatus(statusOf(tunnel));
    configure(tunnel, request.set);
    return printErrno();
  } catch (error) {
    const refused = asUapiError(error);
    log.error(`Configuration refused: ${refused.message}`);
    return printErrno(refused);
  }
}
