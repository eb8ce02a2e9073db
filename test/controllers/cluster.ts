/** An API server and the controllers as processes of their own, with keys and state in a folder that goes with them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type KubeClient } from '../../src/kube/client.ts';
import { issueAuthority, issueLeaf, issueSigningKey } from '../../src/lab/cluster/certificates.ts';
import { kubeconfigText } from '../../src/lab/cluster/pki.ts';

const sources = join(import.meta.dirname, '../../src/main');

export class TestCluster {
  readonly client: KubeClient;
  readonly kubeconfig: string;
  readonly #folder: string;
  readonly #port: number;
  readonly #processes = new Map<string, ChildProcess>();
  #output = '';

  private constructor(folder: string, port: number, client: KubeClient) {
    this.#folder = folder;
    this.#port = port;
    this.client = client;
    this.kubeconfig = join(folder, 'kubeconfig');
  }

  static async start(): Promise<TestCluster> {
    const folder = await mkdtemp(join(tmpdir(), 'pellicle-controllers-'));
    const port = await freePort();
    const server = `https://127.0.0.1:${port}`;
    const identity = await makeKeys(join(folder, 'pki'));
    await writeFile(join(folder, 'kubeconfig'), kubeconfigText(server, 'test', identity), { mode: 0o600 });
    const cluster = new TestCluster(folder, port, connect({ server, ...identity }));
    await cluster.startApiServer();
    return cluster;
  }

  async startApiServer(): Promise<void> {
    const files = ['--data', join(this.#folder, 'api.db'), '--pki', join(this.#folder, 'pki')];
    this.#spawn('lab-apiserver', [...files, '--listen', `127.0.0.1:${this.#port}`]);
    await until(
      'the API server is ready',
      async () => (await this.client.raw('GET', '/readyz')).status === 200,
    );
  }

  startControllers(): void {
    this.#spawn('lab-controllers', ['--kubeconfig', this.kubeconfig]);
  }

  /** Sends the signal and resolves to the exit code, or the signal that ended it. */
  async end(
    program: 'lab-apiserver' | 'lab-controllers',
    signal: NodeJS.Signals,
  ): Promise<number | NodeJS.Signals> {
    const child = this.#processes.get(program);
    if (child === undefined) throw new Error(`${program} does not run`);
    this.#processes.delete(program);
    const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
    child.kill(signal);
    const [code, by] = await ended;
    return code ?? by ?? 'SIGKILL';
  }

  runs(program: string): boolean {
    const child = this.#processes.get(program);
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  async stop(): Promise<void> {
    for (const program of ['lab-controllers', 'lab-apiserver'] as const)
      if (this.#processes.has(program)) await this.end(program, 'SIGKILL');
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** What the programs said, for a test that failed. */
  get output(): string {
    return this.#output;
  }

  #spawn(program: string, args: string[]): void {
    const child = spawn(process.execPath, [join(sources, `${program}.ts`), ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
      });
    }
    this.#processes.set(program, child);
  }
}

/** Looks again and again until it is so. Throws with `what` after `seconds`. */
export async function until(
  what: string,
  isSo: () => Promise<boolean> | boolean,
  seconds = 30,
): Promise<void> {
  const deadline = performance.now() + seconds * 1000;
  let last: unknown;
  while (performance.now() < deadline) {
    try {
      if (await isSo()) return;
      last = undefined;
    } catch (error) {
      last = error;
    }
    await new Promise(resolve => setTimeout(resolve, 50));
  }
  throw new Error(`not within ${seconds} s: ${what}${last === undefined ? '' : ` (${String(last)})`}`);
}

async function makeKeys(folder: string): Promise<{ ca: string; cert: string; key: string }> {
  await mkdir(folder, { mode: 0o700 });
  const now = new Date();
  const authority = await issueAuthority({ commonName: 'kubernetes' }, now);
  const server = await issueLeaf(authority, { commonName: 'kube-apiserver', hosts: ['127.0.0.1'] }, now);
  const masters = { organizations: ['system:masters'] };
  const kubelet = await issueLeaf(
    authority,
    { commonName: 'kube-apiserver-kubelet-client', ...masters },
    now,
  );
  const admin = await issueLeaf(authority, { commonName: 'admin', ...masters }, now);
  const signing = await issueSigningKey();
  const files = {
    'ca.crt': authority.cert,
    'ca.key': authority.key,
    'apiserver.crt': server.cert,
    'apiserver.key': server.key,
    'apiserver-kubelet-client.crt': kubelet.cert,
    'apiserver-kubelet-client.key': kubelet.key,
    'sa.key': signing.privateKey,
    'sa.pub': signing.publicKey,
  };
  for (const [name, text] of Object.entries(files))
    await writeFile(join(folder, name), text, { mode: 0o600 });
  return { ca: authority.cert, cert: admin.cert, key: admin.key };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
