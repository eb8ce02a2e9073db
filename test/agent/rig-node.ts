/** A node of the rig: its namespaces, its engine and agent, and the pods that a test attaches to it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Holder, run, until } from './holder.ts';

const root = join(import.meta.dirname, '../..');
const node24 = process.execPath;

export class RigNode {
  readonly name: string;
  readonly index: number;
  readonly addresses: string[];
  readonly podCIDRs: string[];
  readonly holder: Holder;
  readonly #folder: string;
  readonly #children = new Map<string, ChildProcess>();

  constructor(name: string, addresses: string[], index: number, dual: boolean, folder: string) {
    this.name = name;
    this.addresses = addresses;
    this.index = index;
    this.podCIDRs = [`10.244.${index}.0/24`, ...(dual ? [`fd00:10:244:${index}::/64`] : [])];
    this.#folder = folder;
    this.holder = new Holder(['/run']);
  }

  async plugIn(switchPid: number): Promise<void> {
    const port = `port${this.index}`;
    await run('ip', [
      ...['link', 'add', 'eth0', 'netns', String(this.holder.pid), 'type', 'veth'],
      ...['peer', 'name', port, 'netns', String(switchPid)],
    ]);
    await run('nsenter', ['-t', String(switchPid), '-n', 'ip', 'link', 'set', port, 'master', 'br0', 'up']);
    const add = this.addresses.map(
      address => `ip addr add ${address}/${address.includes(':') ? '64 nodad' : '16'} dev eth0`,
    );
    await this.holder.sh(
      [
        'mkdir -p /run/netns /run/cni',
        'ip link set eth0 up',
        ...add,
        'ip route add default via 172.18.0.1',
      ].join(' && '),
    );
  }

  get log(): string {
    return this.printed('agent');
  }

  /** What the processes of that name have printed. */
  printed(name: string): string {
    const path = this.#logPath(name);
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }

  /** Starts a tcpdump of ICMP in a pod, by the name `listener`: it listens when this resolves. */
  async listen(pod: string): Promise<void> {
    this.spawn('listener', 'ip', ['netns', 'exec', pod, 'tcpdump', '-n', '-l', '-i', 'eth0', 'icmp']);
    await until('tcpdump listens', async () => this.printed('listener').includes('listening on'));
  }

  startEngine(): void {
    const ours = join(root, 'src/main/pellicle-engine.ts');
    this.spawn('engine', node24, [ours, '-f', '--persist', '--ipsec', 'cilium_esp0', 'cilium_wg0']);
  }

  agentCommand(): string[] {
    const kubeconfig = join(this.#folder, 'rig', 'pki', 'controllers.conf');
    return [
      node24,
      join(root, 'src/main/cilium-agent.ts'),
      ...['--k8s-node-name', this.name, '--kubeconfig', kubeconfig],
      ...['--cni-conf-dir', '/run/cni/net.d', '--cni-bin-dir', '/run/cni/bin'],
    ];
  }

  startAgent(env: Record<string, string> = {}): void {
    const [command, ...args] = this.agentCommand();
    this.spawn('agent', command!, args, env);
  }

  /** The agent sees and does nothing while `during` runs. */
  async whileAgentStands(during: () => Promise<void>): Promise<void> {
    const agent = this.#children.get('agent');
    if (!agent) throw new Error(`no agent runs on ${this.name}`);
    agent.kill('SIGSTOP');
    try {
      await during();
    } finally {
      agent.kill('SIGCONT');
    }
  }

  /** By name: `agent`, `engine`. Resolves when it is gone. */
  async kill(name: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<number | null> {
    const child = this.#children.get(name);
    if (!child) throw new Error(`${name} does not run on ${this.name}`);
    const hasEnded = child.exitCode !== null || child.signalCode !== null;
    const ended = hasEnded ? Promise.resolve() : new Promise(resolve => child.once('exit', resolve));
    child.kill(signal);
    await ended;
    this.#children.delete(name);
    return child.exitCode;
  }

  /** The exit code, when it has ended by itself. */
  ended(name: string): Promise<number> {
    const child = this.#children.get(name)!;
    return until(`${name} ends`, async () => child.exitCode ?? undefined).catch(error => {
      throw new Error(`${error.message}\n${this.log.slice(-3000)}`);
    });
  }

  async whenReady(): Promise<void> {
    await until(`the agent of ${this.name} is ready`, async () => {
      const { code } = await this.try('curl', '-sf', 'http://127.0.0.1:9879/readyz');
      return code === 0;
    }).catch(error => {
      throw new Error(`${error.message}\n${this.log.slice(-3000)}`);
    });
  }

  async status(path = '/v1/status'): Promise<Record<string, unknown>> {
    const { stdout } = await this.run(
      'curl',
      '-s',
      '--unix-socket',
      '/run/cilium/cilium.sock',
      `http://agent${path}`,
    );
    return JSON.parse(stdout);
  }

  /** The command line inside the agent. */
  cilium(...args: string[]) {
    return this.run(node24, join(root, 'src/main/cilium-dbg.ts'), ...args);
  }

  /** A pod: a network namespace attached by the CNI plugin. Answers its addresses. */
  async addPod(name: string): Promise<string[]> {
    await this.run('ip', 'netns', 'add', name);
    await this.run('ip', '-n', name, 'link', 'set', 'lo', 'up');
    const result = await until(`the pod ${name} has an address`, async () => {
      const { code, stdout } = await this.#cni('ADD', name);
      return code === 0 && (JSON.parse(stdout) as { ips: { address: string }[] });
    });
    return result.ips.map(({ address }) => address.split('/')[0]!);
  }

  async deletePod(name: string): Promise<void> {
    const { code, stdout } = await this.#cni('DEL', name);
    if (code !== 0) throw new Error(stdout);
    await this.run('ip', 'netns', 'del', name);
  }

  #cni(command: string, pod: string) {
    const input = JSON.stringify({
      ...{ cniVersion: '1.0.0', name: 'cilium', type: 'cilium-cni', 'agent-socket': '/run/cilium/cni.sock' },
    });
    const variables = [
      `CNI_COMMAND=${command} CNI_CONTAINERID=${pod} CNI_NETNS=/run/netns/${pod} CNI_IFNAME=eth0 CNI_PATH=/run/cni/bin`,
      `CNI_ARGS='K8S_POD_NAMESPACE=default;K8S_POD_NAME=${pod};K8S_POD_INFRA_CONTAINER_ID=${pod}'`,
    ];
    return this.try('sh', '-c', `echo '${input}' | ${variables.join(' ')} ${root}/build/cilium-cni`);
  }

  /** `ping` from a pod, or with no name from the node; answers how many of `count` were answered. */
  async ping(pod: string, address: string, count = 3, ...options: string[]): Promise<number> {
    const args = ['-n', '-c', String(count), '-i', '0.05', '-W', '1', ...options, address];
    const { stdout } = pod === '' ? await this.try('ping', ...args) : await this.inPod(pod, 'ping', ...args);
    return Number(/(\d+) received/.exec(stdout)?.[1] ?? 0);
  }

  inPod(pod: string, command: string, ...args: string[]) {
    return this.try('ip', 'netns', 'exec', pod, command, ...args);
  }

  run(command: string, ...args: string[]) {
    return run('nsenter', [...this.holder.flags, command, ...args], { maxBuffer: 1 << 26 });
  }

  async try(command: string, ...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    try {
      return { code: 0, ...(await this.run(command, ...args)) };
    } catch (error) {
      const { code, stdout = '', stderr = '' } = error as { code?: number; stdout?: string; stderr?: string };
      return { code: code ?? 1, stdout, stderr };
    }
  }

  spawn(name: string, command: string, args: string[], env: Record<string, string> = {}): ChildProcess {
    const log = openSync(this.#logPath(name), 'a');
    const child = spawn('nsenter', [...this.holder.flags, command, ...args], {
      stdio: ['ignore', log, log],
      env: { ...process.env, ...env },
    });
    this.#children.set(name, child);
    return child;
  }

  stop(): void {
    for (const child of this.#children.values()) child.kill('SIGKILL');
    this.holder.stop();
  }

  #logPath(name: string): string {
    return join(this.#folder, `${this.name}-${name}.log`);
  }
}
