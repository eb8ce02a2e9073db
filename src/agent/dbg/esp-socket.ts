/** The ESP engine of this node, asked and ordered over its control socket as root may: also for the keys. */
import { connect } from 'node:net';
import { AgentUnreachable } from './client.ts';

export const ESP_SOCKET = '/var/run/pellicle/cilium_esp0.sock';

export interface EspState {
  dir: 'in' | 'out';
  src: string;
  dst: string;
  spi: number;
  reqid: number;
  label: string;
  aead?: { name: string; key?: string };
  auth?: { name: string; key?: string };
  enc?: { name: string; key?: string };
}

export interface EspPolicy {
  dst: string;
  src: string;
  to: string;
  spi: number;
}

export interface EspList {
  states: EspState[];
  policies: EspPolicy[];
}

/** Lines in the words of ip-xfrm(8), carried out whole or not at all. */
export type AskEngine = (lines: readonly string[]) => Promise<unknown>;

export function engineAt(path: string): AskEngine {
  return async lines => {
    const answer = JSON.parse(await exchange(path, `${lines.join('\n')}\n\n`)) as {
      error?: { message: string };
    };
    if (answer.error) throw new AgentUnreachable(`the ESP engine refused: ${answer.error.message}`);
    return answer;
  };
}

export async function listStates(ask: AskEngine, withKeys = false): Promise<EspList> {
  return (await ask([withKeys ? 'list keys' : 'list'])) as EspList;
}

const TIMEOUT_MS = 10_000;

function exchange(path: string, request: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect({ path }, () => socket.write(request));
  const chunks: Buffer[] = [];
  const fail = (reason: string) =>
    reject(
      new AgentUnreachable(
        `the ESP engine of this node does not answer on ${path} (${reason}): is the encryption IPsec, and does cilium-engine run?`,
      ),
    );
  socket.setTimeout(TIMEOUT_MS, () => fail('no answer in 10 s'));
  socket.on('data', chunk => {
    chunks.push(chunk);
    if (chunk.includes(0x0a)) resolve(Buffer.concat(chunks).toString('utf8'));
  });
  socket.on('error', (error: NodeJS.ErrnoException) => fail(error.code ?? error.message));
  socket.on('close', () => fail('it hung up'));
  return promise.finally(() => socket.destroy());
}
