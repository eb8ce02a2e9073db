/** Asks the agent of this node over its unix socket. */
import { request } from 'node:http';

export const API_SOCKET = '/var/run/cilium/cilium.sock';

/** No answer from the agent. The message says what to do. */
export class AgentUnreachable extends Error {
  override readonly name = 'AgentUnreachable';
}

export async function askAgent<T>(path: string, socketPath: string): Promise<T> {
  const { status, body } = await get(path, socketPath);
  if (status !== 200) throw new AgentUnreachable(`the agent answered ${status}: ${body.trim()}`);
  return JSON.parse(body) as T;
}

export function get(path: string, socketPath: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, path, timeout: 10_000 }, response => {
      const chunks: Buffer[] = [];
      response.on('data', chunk => chunks.push(chunk));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }),
      );
      response.on('error', reject);
    });
    outgoing.on('timeout', () =>
      outgoing.destroy(Object.assign(new Error('no answer in 10 s'), { code: 'ETIMEDOUT' })),
    );
    outgoing.on('error', (error: NodeJS.ErrnoException) => reject(unreachable(error, socketPath)));
    outgoing.end();
  });
}

function unreachable(error: NodeJS.ErrnoException, socketPath: string): AgentUnreachable {
  switch (error.code) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return new AgentUnreachable(
        `the agent does not run on this node (nobody answers on ${socketPath}): look at ` +
          '"kubectl -n kube-system get pods -l k8s-app=cilium" and at the log of its pod',
      );
    case 'EACCES':
      return new AgentUnreachable(`you may not ask the agent on ${socketPath}: run this as root`);
    default:
      return new AgentUnreachable(`the agent cannot be asked on ${socketPath}: ${error.message}`);
  }
}
