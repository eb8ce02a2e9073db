/** Runs a command in a container, over the WebSocket protocol v5.channel.k8s.io. */
import { apiError, unreachable } from './errors.ts';
import type { Credentials } from './http.ts';
import type { Status } from './types.ts';

export interface ExecResult {
  stdout: string;
  stderr: string;
  exitCode: number;
}

export interface ExecTarget {
  namespace: string;
  pod: string;
  container: string;
}

const PROTOCOL = 'v5.channel.k8s.io';
const STDOUT = 1;
const STDERR = 2;
const STATUS = 3;

/** Without stdin or terminal. Rejects with ApiError or KubeUnreachable when the command could not be started. */
export async function exec(
  credentials: Credentials,
  { namespace, pod, container }: ExecTarget,
  command: string[],
  signal: AbortSignal,
): Promise<ExecResult> {
  const { WebSocket } = await import('ws');
  const query = new URLSearchParams([
    ...command.map((part): [string, string] => ['command', part]),
    ['container', container],
    ['stdout', 'true'],
    ['stderr', 'true'],
  ]);
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(pod)}/exec`;
  const url = `${credentials.server.replace(/^http/, 'ws').replace(/\/+$/, '')}${path}?${query}`;
  const token = typeof credentials.token === 'function' ? await credentials.token() : credentials.token;
  const socket = new WebSocket(url, PROTOCOL, {
    headers: {
      ...(token && { authorization: `Bearer ${token}` }),
      ...(credentials.impersonate && { 'impersonate-user': credentials.impersonate.user }),
    },
    handshakeTimeout: 10_000,
    ...(credentials.ca && { ca: credentials.ca }),
    ...(credentials.cert && { cert: credentials.cert }),
    ...(credentials.key && { key: credentials.key }),
    ...(credentials.tlsServerName && { servername: credentials.tlsServerName }),
    ...(credentials.insecure && { rejectUnauthorized: false }),
  });
  return new Promise((resolve, reject) => {
    const output: Record<number, Buffer[]> = { [STDOUT]: [], [STDERR]: [], [STATUS]: [] };
    const giveUp = () => socket.terminate();
    signal.addEventListener('abort', giveUp, { once: true });
    socket.on('message', (data: Buffer) => output[data[0] ?? -1]?.push(data.subarray(1)));
    socket.on('unexpected-response', (_, response) => {
      const chunks: Buffer[] = [];
      response.on('data', chunk => chunks.push(chunk));
      response.on('end', () => {
        socket.terminate();
        reject(apiError(response.statusCode ?? 0, Buffer.concat(chunks).toString('utf8'), `exec in ${pod}`));
      });
    });
    socket.on('error', error =>
      reject(signal.aborted ? signal.reason : unreachable(credentials.server, error)),
    );
    socket.on('close', () => {
      signal.removeEventListener('abort', giveUp);
      const text = (channel: number) => Buffer.concat(output[channel] ?? []).toString('utf8');
      const exitCode = exitCodeOf(text(STATUS));
      if (exitCode === undefined)
        reject(
          signal.aborted ? signal.reason : unreachable(credentials.server, new Error('the stream broke off')),
        );
      else resolve({ stdout: text(STDOUT), stderr: text(STDERR), exitCode });
    });
  });
}

/** The Status on channel 3: Success, or the exit code among its causes. */
function exitCodeOf(text: string): number | undefined {
  if (text === '') return undefined;
  const { status, details } = JSON.parse(text) as Status & {
    details?: { causes?: { reason?: string; message?: string }[] };
  };
  if (status === 'Success') return 0;
  const code = Number(details?.causes?.find(({ reason }) => reason === 'ExitCode')?.message);
  return Number.isInteger(code) && code > 0 ? code : 1;
}
