/** What the kubelets answer: logs streamed, exec, attach and port-forward tunnelled byte for byte. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import type { Duplex } from 'node:stream';
import type { Api, Call } from './api.ts';
import { objects, text } from './object.ts';
import { find } from './read.ts';
import { allContainers } from './registry/podspec.ts';
import { badRequest, internal, StatusError } from './status.ts';

const CONNECT_TIMEOUT = 10_000;
const LOG_OPTIONS = [
  'follow',
  'previous',
  'tailLines',
  'sinceSeconds',
  'sinceTime',
  'timestamps',
  'limitBytes',
  'stream',
];

/** Streams a container's log to the client. */
export async function serveLog(call: Call, response: ServerResponse, query: URLSearchParams): Promise<void> {
  const { node, name, namespace, container } = placed(call, query);
  const options = new URLSearchParams();
  for (const key of LOG_OPTIONS) {
    const value = query.get(key);
    if (value !== null) options.set(key, value);
  }
  for (const key of ['tailLines', 'sinceSeconds', 'limitBytes']) {
    const value = options.get(key);
    if (value !== null && !/^\d+$/.test(value))
      throw badRequest(`${key} has to be a whole number, at least 0`);
  }
  const path = `/containerLogs/${namespace}/${name}/${container}?${options}`;
  const answer = await ask(call.api, node, 'GET', path);
  response.once('close', () => answer.destroy());
  answer.once('error', () => response.destroy());
  response.writeHead(answer.statusCode ?? 500, {
    'Content-Type': answer.headers['content-type'] ?? 'text/plain',
    'Cache-Control': 'no-cache, private',
  });
  response.flushHeaders();
  answer.pipe(response);
}

function ask(api: Api, node: string, method: string, path: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const options = api.kubelets.options(api.store, node);
    const outgoing = httpsRequest({ ...options, method, path });
    const timer = setTimeout(() => outgoing.destroy(new Error('i/o timeout')), CONNECT_TIMEOUT);
    outgoing.once('response', answer => {
      clearTimeout(timer);
      resolve(answer);
    });
    outgoing.once('error', error => {
      clearTimeout(timer);
      reject(unreachable(error, options));
    });
    outgoing.end();
  });
}

function unreachable(error: Error, { host, port }: RequestOptions): StatusError {
  return internal(`error dialing backend: dial tcp ${host}:${port}: ${error.message}`);
}

const STREAMS: Record<string, string> = { exec: 'exec', attach: 'attach', portforward: 'portForward' };

/** Tunnels an upgrade (exec, attach, port-forward) to the kubelet of the pod's node. */
export function tunnel(
  call: Call,
  incoming: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  query: URLSearchParams,
): void {
  const kind = call.request.subresource;
  const { node, name, namespace, container } = placed(
    call,
    kind === 'portforward' ? new URLSearchParams() : query,
    kind === 'portforward',
  );
  const passed = new URLSearchParams(query);
  passed.delete('container');
  const where = kind === 'portforward' ? `${namespace}/${name}` : `${namespace}/${name}/${container}`;
  const options = call.api.kubelets.options(call.api.store, node);
  const headers = Object.fromEntries(
    Object.entries(incoming.headers).filter(
      ([key]) => !['authorization', 'host', 'cookie'].includes(key) && !key.startsWith('impersonate-'),
    ),
  );
  const outgoing = httpsRequest({
    ...options,
    agent: false,
    ...call.api.kubelets.credentials,
    method: incoming.method,
    path: `/${STREAMS[kind]}/${where}?${passed}`,
    headers,
  });
  const timer = setTimeout(() => outgoing.destroy(new Error('i/o timeout')), CONNECT_TIMEOUT);
  outgoing.once('upgrade', (answer, upstream, rest) => {
    clearTimeout(timer);
    socket.write(responseHead(answer));
    if (rest.length) socket.write(rest);
    if (head.length) upstream.write(head);
    join(socket, upstream);
  });
  outgoing.once('response', answer => {
    clearTimeout(timer);
    answer.once('error', () => socket.destroy());
    if (kind === 'portforward' && answer.statusCode === 404) void refuseForward(answer, socket);
    else passOn(answer, socket);
  });
  outgoing.once('error', error => {
    clearTimeout(timer);
    refuseUpgrade(socket, unreachable(error, options));
  });
  socket.once('close', () => outgoing.destroy());
  outgoing.end();
}

function passOn(answer: IncomingMessage, socket: Duplex, body?: string): void {
  socket.write(responseHead(answer, true));
  if (body === undefined) answer.pipe(socket);
  else socket.end(body);
}

const LONGEST_REFUSAL = 64 << 10;

/** A kubelet that has no port-forward says `not found`, which reads as if the pod were gone. */
async function refuseForward(answer: IncomingMessage, socket: Duplex): Promise<void> {
  let body = '';
  try {
    answer.setEncoding('utf8');
    for await (const chunk of answer) {
      body += chunk;
      if (body.length > LONGEST_REFUSAL) throw new Error('too long');
    }
  } catch {
    socket.destroy();
    return;
  }
  if (statusMessage(body) === 'not found')
    refuseUpgrade(
      socket,
      new StatusError(
        501,
        'NotImplemented',
        'port-forward is not in this lab: ask from inside the cluster, as in ' +
          'kubectl exec POD -- curl http://ADDRESS:PORT',
      ),
    );
  else passOn(answer, socket, body);
}

function statusMessage(body: string): string {
  try {
    return text(JSON.parse(body), 'message');
  } catch {
    return '';
  }
}

function join(a: Duplex, b: Duplex): void {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    from.pipe(to);
    from.once('error', () => to.destroy());
    from.once('close', () => to.destroy());
  }
}

function responseHead(answer: IncomingMessage, closing = false): string {
  const lines = [`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}`];
  for (let index = 0; index < answer.rawHeaders.length; index += 2) {
    const name = answer.rawHeaders[index] as string;
    const chunked = /^transfer-encoding$/i.test(name);
    if (closing && (chunked || /^connection$/i.test(name))) continue;
    lines.push(`${name}: ${answer.rawHeaders[index + 1]}`);
  }
  if (closing) lines.push('Connection: close');
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** Answers an upgrade with a Status instead. */
export function refuseUpgrade(socket: Duplex, error: StatusError): void {
  if (socket.destroyed || !socket.writable) return;
  const body = JSON.stringify(error.status());
  socket.end(
    `HTTP/1.1 ${error.code} ${error.reason || 'Error'}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}

interface Placed {
  readonly node: string;
  readonly namespace: string;
  readonly name: string;
  readonly container: string;
}

/** Where the container runs: the one named, or the only one. */
function placed(call: Call, query: URLSearchParams, any = false): Placed {
  const { object: pod, namespace, name } = find(call);
  const names = allContainers(pod.spec as Record<string, unknown>).map(item => text(item, 'name'));
  const mains = objects(pod, 'spec', 'containers').map(item => text(item, 'name'));
  let container = query.get('container') ?? '';
  if (!container && !any) {
    if (mains.length !== 1) {
      const inits = objects(pod, 'spec', 'initContainers').map(item => text(item, 'name'));
      const more = inits.length ? ` or one of the init containers: [${inits.join(' ')}]` : '';
      throw badRequest(
        `a container name must be specified for pod ${name}, choose one of: [${mains.join(' ')}]${more}`,
      );
    }
    container = mains[0] as string;
  }
  if (container && !names.includes(container))
    throw badRequest(`container ${container} is not valid for pod ${name}`);
  const node = text(pod, 'spec', 'nodeName');
  if (!node) throw badRequest(`pod ${name} does not have a host assigned`);
  return { node, namespace, name, container };
}
