/** The server: one TLS listener, every request authenticated, authorized and answered. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import type { Api } from './api.ts';
import { aggregateRoles } from './auth/aggregation.ts';
import { authenticate } from './auth/authenticate.ts';
import { attributes, authorizePath, authorizeResource, impersonate } from './auth/authorize.ts';
import { Rbac } from './auth/rbac.ts';
import { Tokens } from './auth/tokens.ts';
import type { User } from './auth/user.ts';
import { serveDefinitions } from './crd/controller.ts';
import { Exchange } from './http.ts';
import { Kubelets } from './kubelets.ts';
import { type ResourceRequest, target } from './path.ts';
import { servePath } from './paths.ts';
import { refuseUpgrade, tunnel } from './proxy.ts';
import { Registry } from './registry/registry.ts';
import { serveResource, streamCall } from './resources.ts';
import { keepSeeded } from './seed.ts';
import { badRequest, internal, pathNotFound, StatusError } from './status.ts';
import { Store } from './store.ts';

export interface ServerOptions {
  /** The SQLite file, made when absent. */
  readonly data: string;
  /** ca.crt, apiserver.crt and .key, apiserver-kubelet-client.crt and .key, sa.key. */
  readonly pki: string;
  readonly host: string;
  readonly port: number;
  /** The address by which the cluster reaches the server. */
  readonly advertise: string;
  readonly serviceCidrs: readonly string[];
}

export interface RunningServer {
  readonly port: number;
  readonly api: Api;
  close(): Promise<void>;
}

const KEEP_ALIVE = 120_000;

export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const pki = (name: string) => readFileSync(join(options.pki, name));
  const store = new Store(options.data);
  const clock = { store, now: () => new Date(), uuid: randomUUID };
  const api: Api = {
    ...clock,
    registry: new Registry(),
    random: Math.random,
    serviceCidrs: options.serviceCidrs,
    rbac: new Rbac(store),
    tokens: new Tokens(pki('sa.key'), clock),
    kubelets: new Kubelets({
      ca: pki('ca.crt'),
      cert: pki('apiserver-kubelet-client.crt'),
      key: pki('apiserver-kubelet-client.key'),
    }),
  };
  const server = createServer({
    cert: pki('apiserver.crt'),
    key: pki('apiserver.key'),
    ca: pki('ca.crt'),
    requestCert: true,
    rejectUnauthorized: false,
    minVersion: 'TLSv1.2',
    keepAliveTimeout: KEEP_ALIVE,
    requestTimeout: 60_000,
    maxHeaderSize: 64 << 10,
  });
  server.on('request', (request, response) => void answer(api, request, response));
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  server.on('clientError', (_error, socket: Duplex) => {
    if (socket.writable)
      socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n', () => socket.destroy());
    else socket.destroy();
  });
  server.on('upgrade', (request, socket, head) => upgrade(api, request, socket, head));
  const stops = [keepSeeded(api, options), serveDefinitions(api), aggregateRoles(api)];
  await listen(server, options);
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : options.port,
    api,
    close: () =>
      new Promise(resolve => {
        for (const stop of stops) stop();
        api.kubelets.close();
        server.close(() => {
          api.store.close();
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, { host, port }: ServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, 1024, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

async function answer(api: Api, request: IncomingMessage, response: ServerResponse): Promise<void> {
  response.on('error', () => response.destroy());
  let exchange: Exchange | undefined;
  try {
    exchange = new Exchange(request, response, new URL(request.url ?? '/', 'https://localhost'));
    const wanted = target(request.method ?? '', exchange.url);
    if (!wanted) throw badRequest('the path of the request cannot be decoded');
    const user = identify(api, request);
    if (wanted.kind === 'other') {
      authorizePath(api.rbac, user, request.method ?? '', wanted.path);
      await servePath(api, exchange, wanted.path);
    } else {
      authorizeResource(api.rbac, user, wanted.request);
      await serveResource(api, exchange, user, wanted.request);
    }
  } catch (error) {
    if (!exchange) response.destroy();
    else await exchange.fail(error).catch(() => response.destroy());
  }
}

function identify(api: Api, request: IncomingMessage): User {
  return impersonate(api.rbac, authenticate(request, api.tokens), request);
}

/** exec, attach and port-forward, asked for by an upgrade of the connection. */
function upgrade(api: Api, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  socket.on('error', () => socket.destroy());
  try {
    const url = new URL(request.url ?? '/', 'https://localhost');
    const wanted = target(request.method ?? '', url);
    if (wanted?.kind !== 'resource') throw pathNotFound();
    const user = identify(api, request);
    // The websocket is a GET, yet what it does is what POST did: either verb allows it.
    const asCreate: ResourceRequest = { ...wanted.request, verb: 'create' };
    if (api.rbac.allows(user, attributes(wanted.request)) === undefined)
      authorizeResource(api.rbac, user, asCreate);
    tunnel(streamCall(api, user, wanted.request), request, socket, head, url.searchParams);
  } catch (error) {
    if (!(error instanceof StatusError)) console.error(error);
    refuseUpgrade(socket, error instanceof StatusError ? error : internal('the upgrade failed'));
  }
}
