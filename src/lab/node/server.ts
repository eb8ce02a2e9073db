/** The kubelet's own API: logs, exec and what runs, over TLS, for the API server alone. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { WebSocket } from 'ws';
import type { Pod } from '../../kube/core.ts';
import { type ExecSession, openExec } from './execute.ts';
import type { Instance, InstanceRecord } from './instance.ts';
import { type LogOptions, writeLog } from './logs.ts';
import { refuse, remoteCommands, serveSession } from './remote.ts';
import type { Runtime } from './runtime.ts';

export interface PodView {
  pod: Pod;
  instance(container: string): Instance | undefined;
  previous(container: string): InstanceRecord | undefined;
}

export interface ServedNode {
  find(namespace: string, name: string): PodView | undefined;
  pods(): Pod[];
}

export interface ServerFiles {
  cert: string;
  key: string;
  ca: string;
}

class HttpProblem extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

const reasons: Record<number, string> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  500: 'InternalError',
};

export function kubeletServer(node: ServedNode, runtime: Runtime, files: ServerFiles): Server {
  const sockets = remoteCommands();
  const server = createServer({
    ...files,
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
  });
  server.on('request', (request, response) => {
    void answer(node, request, response).catch(error => sendProblem(response, error));
  });
  server.on('upgrade', (request, socket, head) => {
    void upgrade(request, socket, head).catch(error => rejectUpgrade(socket, error));
  });
  return server;

  async function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    authorize(request);
    const { parts, query } = target(request);
    const [what, namespace, pod, container] = parts;
    if (parts.length !== 4 || (what !== 'exec' && what !== 'attach')) throw new HttpProblem(404, 'not found');
    const instance = runningInstance(node, namespace!, pod!, container!);
    const flag = (name: string) => ['true', '1'].includes(query.get(name) ?? '');
    const wants = { stdin: flag('stdin'), tty: flag('tty') };
    const command = query.getAll('command');
    if (what === 'exec' && command.length === 0) throw new HttpProblem(400, 'a command is needed');
    sockets.handleUpgrade(request, socket, head, (webSocket: WebSocket) => {
      // Nothing is read before the session is there to take it.
      webSocket.pause();
      const session =
        what === 'exec'
          ? openExec(runtime, instance.record.id, { command, ...wants })
          : Promise.reject<ExecSession>(new Error('attach is not in this lab: use exec or logs -f'));
      session.then(
        opened => serveSession(webSocket, opened, wants),
        error => refuse(webSocket, `error executing command in container: ${(error as Error).message}`),
      );
    });
  }
}

async function answer(node: ServedNode, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { parts, query } = target(request);
  if (parts[0] === 'healthz') {
    response.end('ok');
    return;
  }
  authorize(request);
  if (request.method !== 'GET') throw new HttpProblem(405, `${request.method} is not served here`);
  if (parts[0] === 'pods' && parts.length === 1) {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ kind: 'PodList', apiVersion: 'v1', metadata: {}, items: node.pods() }));
    return;
  }
  if (parts[0] === 'containerLogs' && parts.length === 4) {
    await sendLogs(node, parts, query, response);
    return;
  }
  throw new HttpProblem(404, 'not found');
}

async function sendLogs(
  node: ServedNode,
  [, namespace, name, container]: string[],
  query: URLSearchParams,
  response: ServerResponse,
): Promise<void> {
  const view = node.find(namespace!, name!);
  if (!view) throw new HttpProblem(404, `pod "${name}" not found on this node`);
  const known = [...view.pod.spec.containers, ...(view.pod.spec.initContainers ?? [])];
  if (!known.some(each => each.name === container)) {
    throw new HttpProblem(400, `container ${container} is not valid for pod ${name}`);
  }
  const previous = query.get('previous') === 'true';
  const instance = view.instance(container!);
  const record = previous ? view.previous(container!) : instance?.record;
  if (!record) {
    throw new HttpProblem(
      400,
      previous
        ? `previous terminated container "${container}" in pod "${name}" not found`
        : `container "${container}" in pod "${name}" is waiting to start: ${waitingReason(view.pod, container!)}`,
    );
  }
  const gone = new AbortController();
  response.on('close', () => gone.abort());
  response.setHeader('content-type', 'text/plain');
  response.flushHeaders();
  const running = () => !previous && view.instance(container!) === instance && (instance?.running ?? false);
  await writeLog(record.logPath, logOptions(query), response, running, gone.signal).catch(error => {
    if (error.code !== 'ENOENT') throw error;
  });
  response.end();
}

function waitingReason(pod: Pod, container: string): string {
  const statuses = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])];
  return statuses.find(status => status.name === container)?.state?.waiting?.reason ?? 'ContainerCreating';
}

function logOptions(query: URLSearchParams): LogOptions {
  const number = (name: string) => {
    const text = query.get(name);
    if (text === null || text === '') return undefined;
    if (!/^\d+$/.test(text)) throw new HttpProblem(400, `${name} has to be a number`);
    return Number(text);
  };
  const seconds = number('sinceSeconds');
  const time = query.get('sinceTime');
  const since =
    seconds !== undefined ? new Date(Date.now() - seconds * 1000) : time ? new Date(time) : undefined;
  if (since && Number.isNaN(since.getTime())) throw new HttpProblem(400, 'sinceTime has to be RFC 3339');
  const tailLines = number('tailLines');
  const limitBytes = number('limitBytes');
  return {
    follow: query.get('follow') === 'true',
    timestamps: query.get('timestamps') === 'true',
    ...(tailLines !== undefined && { tailLines }),
    ...(limitBytes !== undefined && { limitBytes }),
    ...(since && { since }),
  };
}

function runningInstance(node: ServedNode, namespace: string, name: string, container: string): Instance {
  const view = node.find(namespace, name);
  if (!view) throw new HttpProblem(404, `pod "${name}" not found on this node`);
  const instance = view.instance(container);
  if (!instance?.running || instance.record.startedAt === undefined) {
    throw new HttpProblem(500, `container not found ("${container}")`);
  }
  return instance;
}

/** The client certificate is of our authority; only the API server's (system:masters) may act. */
function authorize(request: IncomingMessage): void {
  const organizations = (request.socket as TLSSocket).getPeerCertificate().subject?.O as unknown;
  const groups = Array.isArray(organizations) ? organizations : [organizations];
  if (!groups.includes('system:masters')) throw new HttpProblem(403, 'only the API server may ask this');
}

function target(request: IncomingMessage): { parts: string[]; query: URLSearchParams } {
  const url = new URL(request.url ?? '/', 'https://kubelet');
  try {
    return { parts: url.pathname.split('/').slice(1).map(decodeURIComponent), query: url.searchParams };
  } catch {
    throw new HttpProblem(400, 'malformed path');
  }
}

function problemBody(error: unknown): { code: number; body: string } {
  const code = error instanceof HttpProblem ? error.code : 500;
  const { message } = error as Error;
  const status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message };
  return { code, body: JSON.stringify({ ...status, reason: reasons[code] ?? 'InternalError', code }) };
}

function sendProblem(response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const { code, body } = problemBody(error);
  response.writeHead(code, { 'content-type': 'application/json' }).end(body);
}

function rejectUpgrade(socket: Duplex, error: unknown): void {
  const { code, body } = problemBody(error);
  socket.end(
    `HTTP/1.1 ${code} ${reasons[code] ?? 'Error'}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}
