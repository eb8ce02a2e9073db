/** The sockets of the DNS server: UDP and TCP on one port, and HTTP for the kubelet's probes. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';

export type Respond = (query: Uint8Array, overTcp: boolean) => Promise<Uint8Array | undefined>;

/** A TCP connection without a question is closed after so long (milliseconds). */
const IDLE = 10_000;
const MOST_CONNECTIONS = 256;

/** Listens on every address of both families. Resolves when it does. `port` 0 takes a free one. */
export async function listenDns(
  port: number,
  respond: Respond,
): Promise<{ port: number; close(): Promise<void> }> {
  const tcp = createServer({ allowHalfOpen: true }, socket => serveConnection(socket, respond));
  tcp.maxConnections = MOST_CONNECTIONS;
  await listen(tcp, port);
  const bound = (tcp.address() as { port: number }).port;
  const udp = await bindUdp(bound);
  udp.on('message', (query, from) => {
    void respond(query, false).then(answer => {
      if (answer !== undefined) udp.send(answer, from.port, from.address, () => {});
    });
  });
  return {
    port: bound,
    async close() {
      udp.close();
      tcp.close();
    },
  };
}

/** `/health` style endpoints: 200 while `isWell`, else 503. */
export async function listenHealth(port: number, path: string, isWell: () => boolean): Promise<HttpServer> {
  const server = createHttpServer((request, response) => {
    const known = request.url?.split('?')[0] === path;
    response.writeHead(known ? (isWell() ? 200 : 503) : 404, { 'content-type': 'text/plain' });
    response.end(known ? (isWell() ? 'OK' : 'not ready') : 'not found');
  });
  await listen(server, port);
  return server;
}

/** One question after another on a connection, each with its length before it (RFC 1035 4.2.2). */
function serveConnection(socket: Socket, respond: Respond): void {
  let received = Buffer.alloc(0);
  let turn: Promise<void> = Promise.resolve();
  socket.setTimeout(IDLE, () => socket.destroy());
  socket.on('error', () => socket.destroy());
  socket.on('end', () => void turn.then(() => socket.end()));
  socket.on('data', chunk => {
    received = Buffer.concat([received, chunk]);
    while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
      const length = received.readUInt16BE(0);
      const query = received.subarray(2, 2 + length);
      received = received.subarray(2 + length);
      turn = turn.then(async () => {
        const answer = await respond(query, true);
        if (answer === undefined || socket.destroyed) {
          socket.destroy();
          return;
        }
        socket.write(Buffer.concat([Uint8Array.of(answer.length >> 8, answer.length & 255), answer]));
      });
    }
  });
}

async function bindUdp(port: number): Promise<UdpSocket> {
  try {
    const socket = createSocket({ type: 'udp6' });
    socket.bind(port, '::');
    await once(socket, 'listening');
    return socket;
  } catch {
    const socket = createSocket({ type: 'udp4' });
    socket.bind(port, '0.0.0.0');
    await once(socket, 'listening');
    return socket;
  }
}

/** On `::`, which takes IPv4 too, or on `0.0.0.0` where there is no IPv6. */
async function listen(server: Server | HttpServer, port: number): Promise<void> {
  try {
    server.listen(port, '::');
    await once(server, 'listening');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EAFNOSUPPORT')) throw error;
    server.listen(port, '0.0.0.0');
    await once(server, 'listening');
  }
}
