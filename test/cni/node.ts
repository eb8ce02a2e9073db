/** A node of a test's own: a network namespace, the CNI server in it, and the shim run as a runtime does. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { NodeNetwork } from '../../src/cni/server.ts';
import { createNetns, deleteNetns, type ScratchNetns, scratchNetns } from '../../src/linux/netns.ts';
import { openRtnetlink, type Rtnetlink } from '../../src/linux/rtnetlink.ts';

export const ROOT = join(import.meta.dirname, '../..');
export const SHIM = join(ROOT, 'build/cilium-cni');

export const DUAL: NodeNetwork = {
  podCIDRs: ['10.244.1.0/24', 'fd00:10:244:1::/64'],
  gateways: ['10.244.1.1', 'fd00:10:244:1::1'],
  mtu: 1420,
};
export const V4: NodeNetwork = { podCIDRs: ['10.244.1.0/24'], gateways: ['10.244.1.1'], mtu: 1420 };

export interface Answer {
  status: number | null;
  stdout: string;
  stderr: string;
  /** Parsed stdout; an empty object when there was none. */
  json: Result;
  milliseconds: number;
}
/** The fields of results and errors that tests look at. */
export interface Result {
  cniVersion?: string;
  code?: number;
  msg?: string;
  details?: string;
  supportedVersions?: string[];
  interfaces?: { name: string; mac?: string; mtu?: number; sandbox?: string }[];
  ips?: { version?: string; address: string; gateway?: string; interface?: number }[];
  routes?: { dst: string; gw?: string }[];
  ip4?: { ip: string; gateway: string; routes: { dst: string; gw?: string }[] };
  ip6?: { ip: string; gateway: string };
}

export interface Pod {
  id: string;
  netns: string;
}

export class TestNode {
  readonly socketPath: string;
  readonly rtnetlink: Rtnetlink;
  readonly #netns: ScratchNetns;
  readonly #folder: string;
  #server: ChildProcess | undefined;
  #pods = 0;

  private constructor(netns: ScratchNetns) {
    this.#netns = netns;
    this.#folder = mkdtempSync(join(tmpdir(), 'pf-cni-'));
    this.socketPath = join(this.#folder, 'cni.sock');
    this.rtnetlink = openRtnetlink({ netns: netns.path });
  }

  /** Ends with the test. */
  static async create(t: TestContext): Promise<TestNode> {
    const node = new TestNode(await scratchNetns());
    t.after(async () => {
      await node.kill();
      node.rtnetlink.close();
      node.#netns.close();
      rmSync(node.#folder, { recursive: true });
    });
    return node;
  }

  get netns(): string {
    return this.#netns.path;
  }

  /** Starts the server of test/cni/serve.ts and waits until it listens. */
  async serve(network: NodeNetwork, killAt?: string): Promise<void> {
    const options = { ...network, socketPath: this.socketPath, holder: true, ...(killAt && { killAt }) };
    const args = [`--net=${this.netns}`, process.execPath, join(ROOT, 'test/cni/serve.ts')];
    const server = spawn('nsenter', [...args, JSON.stringify(options)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#server = server;
    let log = '';
    server.stderr.on('data', chunk => {
      log += chunk;
    });
    await new Promise<void>((resolve, reject) => {
      server.stdout.once('data', () => resolve());
      server.once('exit', status => reject(new Error(`the server ended with ${status}: ${log}`)));
    });
  }

  /** Waits until the server that kills itself is gone. */
  async serverGone(): Promise<void> {
    const server = this.#server;
    if (!server || server.exitCode !== null || server.signalCode !== null) return;
    await new Promise(resolve => server.once('exit', resolve));
  }

  async kill(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    this.#server?.kill(signal);
    await this.serverGone();
  }

  /** A pod's sandbox, which ends with the test. */
  async pod(t: TestContext): Promise<Pod> {
    const id = `pf${process.pid}x${this.#pods++}`;
    const netns = `/run/netns/cni-${id}`;
    t.after(() => deleteNetns(netns));
    await createNetns(netns);
    return { id, netns };
  }

  /** Runs the shim; `config` and `environment` replace fields, undefined removes them. */
  call(
    command: string,
    pod: Partial<Pod> = {},
    config: Record<string, unknown> = {},
    environment: Record<string, string | undefined> = {},
    entered: string[] = [],
  ): Promise<Answer> {
    const name = `K8S_POD_NAMESPACE=default;K8S_POD_NAME=${pod.id}`;
    const base = { cniVersion: '1.1.0', name: 'cilium', type: 'cilium-cni', 'agent-socket': this.socketPath };
    const env = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: pod.id,
      CNI_NETNS: pod.netns,
      CNI_IFNAME: 'eth0',
      CNI_ARGS: pod.id && `IgnoreUnknown=1;${name}`,
      CNI_PATH: '/opt/cni/bin',
      ...environment,
    };
    return runShim(JSON.stringify({ ...base, ...config }), env, entered);
  }

  /** DEL by a shim that sees the node's links, as it does on a node. */
  deleteOnNode(pod: Partial<Pod>): Promise<Answer> {
    const env = { CNI_NETNS: pod.netns, PATH: process.env['PATH'] };
    return this.call('DEL', pod, {}, env, ['nsenter', `--net=${this.netns}`]);
  }

  /** The host's ends of pods, and their addresses as the routes tell. */
  async attached(): Promise<{ links: string[]; routes: string[] }> {
    const links = (await this.rtnetlink.links())
      .map(({ name }) => name)
      .filter(name => name.startsWith('lxc'));
    const routes = (await this.rtnetlink.routes({ table: 254 })).filter(({ device }) =>
      links.includes(device!),
    );
    const own = routes.filter(({ destination }) => /\/(32|128)$/.test(destination));
    return { links, routes: own.map(({ destination }) => destination).sort() };
  }
}

/** `entered`: a command that runs the shim. */
export function runShim(
  stdin: string,
  environment: Record<string, string | undefined>,
  entered: string[] = [],
): Promise<Answer> {
  if (!existsSync(SHIM)) throw new Error(`${SHIM} is missing: npm run build`);
  const started = performance.now();
  const env = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== undefined));
  return new Promise((resolve, reject) => {
    const [program = SHIM, ...args] = [...entered, SHIM];
    const shim = spawn(program, args, { env: env as NodeJS.ProcessEnv, stdio: ['pipe', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    shim.stdout.on('data', chunk => {
      stdout += chunk;
    });
    shim.stderr.on('data', chunk => {
      stderr += chunk;
    });
    shim.on('error', reject);
    shim.on('close', status => {
      const milliseconds = performance.now() - started;
      resolve({ status, stdout, stderr, milliseconds, json: stdout ? JSON.parse(stdout) : {} });
    });
    shim.stdin.on('error', () => {}); // it may end before it has read all
    shim.stdin.end(stdin);
  });
}
