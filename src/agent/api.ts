/** HTTP for people and programs on the node: everything on a unix socket, metrics and probes on TCP of the loopback. */
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { messageOf } from './log.ts';

export interface Answer {
  status?: number;
  type?: string;
  body: string;
}

/** By path; only GET is answered. */
export type Handlers = Readonly<Record<string, () => Promise<Answer> | Answer>>;

export function json(value: unknown, status = 200): Answer {
  return { status, type: 'application/json', body: `${JSON.stringify(value)}\n` };
}

export function text(body: string, status = 200): Answer {
  return { status, type: 'text/plain; charset=utf-8', body };
}

/** Mode 0600. A socket that nobody answers on is replaced; a live one is an error. */
export async function serveUnix(path: string, handlers: Handlers): Promise<Server> {
  mkdirSync(dirname(path), { recursive: true });
  if (await answers(path))
    throw new Error(`another agent answers on ${path}: only one can run on a node; stop it first`);
  rmSync(path, { force: true });
  const server = createServer(handle(handlers));
  const umask = process.umask(0o177);
  try {
    await listening(server, () => server.listen(path));
  } finally {
    process.umask(umask);
  }
  chmodSync(path, 0o600);
  return server;
}

export async function serveTcp(host: string, port: number, handlers: Handlers): Promise<Server> {
  const server = createServer(handle(handlers));
  await listening(server, () => server.listen({ host, port }));
  return server;
}

function handle(handlers: Handlers) {
  return (request: IncomingMessage, response: ServerResponse) => {
    void respond(request, handlers).then(({ status = 200, type = 'text/plain', body }) => {
      response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
      response.end(request.method === 'HEAD' ? undefined : body);
    });
  };
}

async function respond(request: IncomingMessage, handlers: Handlers): Promise<Answer> {
  request.resume();
  if (request.method !== 'GET' && request.method !== 'HEAD') return text('only GET is answered here\n', 405);
  const path = (request.url ?? '/').split('?')[0]!;
  const handler = Object.hasOwn(handlers, path) ? handlers[path] : undefined;
  if (!handler) return text(`no such page: try ${Object.keys(handlers).join(', ')}\n`, 404);
  try {
    return await handler();
  } catch (error) {
    return text(`${messageOf(error)}\n`, 500);
  }
}

function listening(server: Server, listen: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.once('listening', () => {
      server.off('error', reject);
      resolve();
    });
    listen();
  });
}

function answers(path: string): Promise<boolean> {
  const socket = connect({ path });
  return new Promise(resolve => {
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
