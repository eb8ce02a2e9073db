/** Answers probes and scrapes on loopback. */
import { createServer, type Server } from 'node:http';

export type Answer = () => { status: number; body: string };

export interface ListenAddress {
  host: string;
  port: number;
}

/** `127.0.0.1:9234`, `[::1]:9234` or `:9234`; undefined for anything else. */
export function parseListen(text: string): ListenAddress | undefined {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([0-9.]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65_535) return undefined;
  return { host: match[1] ?? (match[2] || '::'), port };
}

/** Serves GETs of the paths; rejects with a sentence when the port is taken. */
export async function serve(paths: Record<string, Answer>, { host, port }: ListenAddress): Promise<Server> {
  const server = createServer((request, response) => {
    const path = (request.url ?? '/').split('?')[0] ?? '/';
    const answer = Object.hasOwn(paths, path) ? paths[path] : undefined;
    const { status, body } =
      request.method !== 'GET' && request.method !== 'HEAD'
        ? { status: 405, body: 'only GET\n' }
        : (answer?.() ?? { status: 404, body: `only ${Object.keys(paths).join(' and ')}\n` });
    response.writeHead(status, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' });
    response.end(body);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why =
        error.code === 'EADDRINUSE'
          ? 'another process listens there; stop it, or choose another port'
          : error.message;
      reject(new Error(`cannot listen on ${host}:${port}: ${why}`));
    });
    server.listen(port, host, resolve);
  });
  return server;
}
