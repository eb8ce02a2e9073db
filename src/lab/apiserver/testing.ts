/** A server of a test's own, with a certificate authority of its own, and kubectl that talks to it. */
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type RequestOptions, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { issueAuthority, issueLeaf, issueSigningKey, type KeyPairPem } from '../cluster/certificates.ts';
import { type RunningServer, startServer } from './server.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  // The body as JSON, for tests to look into.
  readonly body: ReturnType<typeof JSON.parse>;
}

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface TestServer extends RunningServer {
  readonly folder: string;
  readonly authority: KeyPairPem;
  readonly admin: KeyPairPem;
  /** kubectl as the administrator; its answer whatever its exit code. */
  kubectl(args: string[], input?: string, env?: Record<string, string>): Promise<Ran>;
  /** kubectl that has to succeed: what it prints. */
  run(args: string[], input?: string): Promise<string>;
  /** A request as the administrator, unless other credentials are given. */
  ask(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
    options?: RequestOptions,
  ): Promise<Answer>;
  /** The PEM pair of another client. */
  client(commonName: string, ...organizations: string[]): Promise<KeyPairPem>;
  /** Ends the server and starts it again on the same data. */
  restart(): Promise<void>;
}

/** Starts a server on 127.0.0.1; `close` ends it and removes its folder. */
export async function startTestServer(): Promise<TestServer> {
  const folder = await mkdtemp(join(tmpdir(), 'pellicle-apiserver-'));
  const now = new Date();
  const authority = await writePki(folder, now);
  const admin = await issueLeaf(authority, { commonName: 'admin', organizations: ['system:masters'] }, now);
  const options = {
    data: join(folder, 'api.db'),
    pki: folder,
    host: '127.0.0.1',
    port: 0,
    advertise: '127.0.0.1',
    serviceCidrs: ['10.96.0.0/16'],
  };
  let server = await startServer(options);
  const kubeconfig = join(folder, 'kubeconfig');
  const writeConfig = () => writeFile(kubeconfig, configText(server.port, authority, admin), { mode: 0o600 });
  await writeConfig();
  const base = ['--kubeconfig', kubeconfig, '--cache-dir', join(folder, 'cache')];
  const kubectl: TestServer['kubectl'] = (args, input, env = {}) =>
    // kubectl takes what begins with a brace for JSON; what tests give is YAML.
    runProgram('kubectl', [...base, ...args], input && `---\n${input}`, env);
  return {
    folder,
    authority,
    admin,
    kubectl,
    get port() {
      return server.port;
    },
    get api() {
      return server.api;
    },
    async run(args, input) {
      const ran = await kubectl(args, input);
      if (ran.code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${ran.stderr}`);
      return ran.stdout;
    },
    ask: (method, path, body, headers = {}, more = {}) =>
      ask(
        {
          method,
          path,
          headers,
          port: server.port,
          ca: authority.cert,
          cert: admin.cert,
          key: admin.key,
          ...more,
        },
        body,
      ),
    client: (commonName, ...organizations) => issueLeaf(authority, { commonName, organizations }, now),
    async restart() {
      await server.close();
      server = await startServer({ ...options, port: server.port });
    },
    async close() {
      await server.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Writes what a server needs into a folder; the authority signs further certificates. */
export async function writePki(folder: string, now: Date): Promise<KeyPairPem> {
  const authority = await issueAuthority({ commonName: 'test' }, now);
  const pairs = {
    apiserver: await issueLeaf(
      authority,
      { commonName: 'apiserver', hosts: ['127.0.0.1', 'localhost'] },
      now,
    ),
    'apiserver-kubelet-client': await issueLeaf(
      authority,
      { commonName: 'apiserver-kubelet-client', organizations: ['system:masters'] },
      now,
    ),
  };
  const write = (name: string, text: string) => writeFile(join(folder, name), text, { mode: 0o600 });
  await write('ca.crt', authority.cert);
  for (const [name, pair] of Object.entries(pairs)) {
    await write(`${name}.crt`, pair.cert);
    await write(`${name}.key`, pair.key);
  }
  await write('sa.key', (await issueSigningKey()).privateKey);
  return authority;
}

export function configText(port: number, authority: KeyPairPem, client: KeyPairPem): string {
  const data = (pem: string) => Buffer.from(pem).toString('base64');
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    clusters: [
      {
        name: 'test',
        cluster: { server: `https://127.0.0.1:${port}`, 'certificate-authority-data': data(authority.cert) },
      },
    ],
    users: [
      {
        name: 'test',
        user: { 'client-certificate-data': data(client.cert), 'client-key-data': data(client.key) },
      },
    ],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
  });
}

export function runProgram(
  program: string,
  args: string[],
  input = '',
  env: Record<string, string> = {},
): Promise<Ran> {
  return new Promise(resolve => {
    const options = { env: { ...process.env, ...env }, timeout: 30_000, maxBuffer: 16 << 20 };
    const child = execFile(program, args, options, (error, stdout, stderr) => {
      const code = error ? (typeof error.code === 'number' ? error.code : 1) : 0;
      resolve({ code, stdout, stderr: stderr || (error?.message ?? '') });
    });
    child.stdin?.end(input);
  });
}

/** Starts a program whose output is read while it runs. */
export function follow(
  program: string,
  args: string[],
): { stop(): void; until(text: string): Promise<string> } {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const waiting = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', chunk => {
      output += chunk;
      for (const look of waiting) look();
    });
  return {
    stop: () => void child.kill('SIGKILL'),
    until: text =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`no "${text}" in: ${output}`)), 15_000);
        const look = () => {
          if (!output.includes(text)) return;
          waiting.delete(look);
          clearTimeout(timer);
          resolve(output);
        };
        waiting.add(look);
        look();
      }),
  };
}

export function ask(options: RequestOptions, body?: unknown): Promise<Answer> {
  const raw =
    typeof body === 'string' || Buffer.isBuffer(body)
      ? body
      : body === undefined
        ? undefined
        : JSON.stringify(body);
  const typed =
    raw === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(raw) };
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { host: '127.0.0.1', agent: false, ...options, headers: { ...typed, ...options.headers } },
      answer => {
        const chunks: Buffer[] = [];
        answer.on('data', chunk => chunks.push(chunk));
        answer.on('error', reject);
        answer.on('end', () => {
          const bytes = Buffer.concat(chunks);
          const text = (answer.headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes).toString();
          const json = String(answer.headers['content-type']).startsWith('application/json');
          resolve({
            status: answer.statusCode ?? 0,
            headers: answer.headers,
            text,
            body: json && text ? readLines(text) : undefined,
          });
        });
      },
    );
    outgoing.on('error', reject);
    outgoing.end(raw);
  });
}

/** One JSON value, or an array of them when each stands on a line. */
function readLines(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text
      .split('\n')
      .filter(line => line)
      .map(line => JSON.parse(line));
  }
}
