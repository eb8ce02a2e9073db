/** A lab of the test's own with the product installed, driven as a user would: kubectl, cilium, pellicle as programs. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const root = join(import.meta.dirname, '../..');
const run = promisify(execFile);

export interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

export class Cluster {
  readonly name: string;
  readonly #folder = mkdtempSync(join(tmpdir(), 'pellicle-e2e-'));
  readonly env: NodeJS.ProcessEnv;

  constructor(name: string) {
    this.name = name;
    this.env = {
      ...process.env,
      PATH: `${join(root, 'bin')}:${process.env.PATH}`,
      KUBECONFIG: join(this.#folder, 'config'),
      KUBECACHEDIR: join(this.#folder, 'cache'),
      NO_COLOR: '1',
    };
  }

  get worker(): string {
    return `${this.name}-worker`;
  }
  get worker2(): string {
    return `${this.name}-worker2`;
  }

  async up(...flags: string[]): Promise<void> {
    await this.must('pellicle', 'lab', 'up', '--name', this.name, ...flags);
  }

  async down(): Promise<void> {
    await this.must('pellicle', 'lab', 'down', '--name', this.name);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async install(...flags: string[]): Promise<void> {
    const set = ['--set', 'encryption.enabled=true', '--set', 'encryption.type=wireguard'];
    await this.must('cilium', 'install', '--version', '1.14.5', ...set, ...flags);
    await this.must('cilium', 'status', '--wait', '--wait-duration', '2m');
  }

  /** Runs a program to its end. */
  async try(program: string, ...args: string[]): Promise<Outcome> {
    try {
      const { stdout, stderr } = await run(program, args, {
        env: this.env,
        cwd: root,
        maxBuffer: 1 << 26,
        timeout: 240_000,
      });
      return { code: 0, stdout, stderr };
    } catch (error) {
      const {
        code,
        stdout = '',
        stderr = '',
        message,
      } = error as Error & { code?: unknown; stdout?: string; stderr?: string };
      if (typeof code !== 'number') throw new Error(`${program} ${args.join(' ')}: ${message}\n${stderr}`);
      return { code, stdout, stderr };
    }
  }

  /** What it prints on stdout, trimmed; throws with its stderr when it fails. */
  async must(program: string, ...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.try(program, ...args);
    if (code !== 0) throw new Error(`${program} ${args.join(' ')}: exit ${code}\n${stderr}${stdout}`);
    return stdout.trim();
  }

  kubectl(...args: string[]): Promise<string> {
    return this.must('kubectl', ...args);
  }

  /** A command in the agent's container of a node. */
  async agent(node: string, ...command: string[]): Promise<string> {
    const pod = await this.agentPod(node);
    return this.kubectl('-n', 'kube-system', 'exec', pod, '--', ...command);
  }

  async agentPod(node: string): Promise<string> {
    const selector = `spec.nodeName=${node}`;
    return this.kubectl(
      '-n',
      'kube-system',
      'get',
      'po',
      '-l',
      'k8s-app=cilium',
      '--field-selector',
      selector,
      '-o',
      'name',
    );
  }

  spawn(program: string, ...args: string[]): ChildProcess {
    return spawn(program, args, { env: this.env, cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  }

  async apply(manifest: object): Promise<void> {
    const child = spawn('kubectl', ['apply', '-f', '-'], {
      env: this.env,
      stdio: ['pipe', 'ignore', 'inherit'],
    });
    child.stdin?.end(JSON.stringify(manifest));
    const code = await new Promise(resolve => child.on('close', resolve));
    if (code !== 0) throw new Error(`kubectl apply: exit ${code}`);
  }

  /** Pids (of this machine) of a node's programs of ours, by the name of the bundle. */
  async pids(node: string, program: string): Promise<number[]> {
    const status = JSON.parse(
      await this.must('pellicle', 'lab', 'status', '--name', this.name, '-o', 'json'),
    ) as {
      nodes: { name: string; pid: number }[];
    };
    const init = status.nodes.find(each => each.name === node);
    if (!init) throw new Error(`no node ${node}`);
    const network = readlinkSync(`/proc/${init.pid}/ns/net`);
    return readdirSync('/proc')
      .filter(entry => /^\d+$/.test(entry))
      .filter(pid => {
        try {
          const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
          const runs = command.some(word => word.endsWith(`/dist/${program}.js`));
          return runs && readlinkSync(`/proc/${pid}/ns/net`) === network;
        } catch {
          return false;
        }
      })
      .map(Number);
  }
}

/** Waits until the probe gives something, asking again every 100 ms. */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T | undefined | false>,
  seconds = 60,
): Promise<T> {
  const deadline = Date.now() + seconds * 1000;
  let last: unknown;
  while (Date.now() < deadline) {
    try {
      const value = await probe();
      if (value) return value;
    } catch (error) {
      last = error;
    }
    await new Promise(resolve => setTimeout(resolve, 100));
  }
  throw new Error(`not within ${seconds} s: ${what}${last ? ` (${String(last)})` : ''}`);
}

export function pod(name: string, nodeName: string, command = ['sleep', 'infinity']): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', labels: { app: name } },
    spec: {
      nodeName,
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'main', image: 'nicolaka/netshoot', command }],
    },
  };
}
