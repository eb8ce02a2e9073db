/**
 * A cluster of agents without kubelets: nodes are network and mount namespaces on a bridge, the API server of the lab
 * runs on the first, pods are namespaces that the test attaches by calling the CNI plugin itself.
 *
 *        node 0: 172.18.0.2 (API server)    node 1: 172.18.0.3    node 2: 172.18.0.4
 *            └────────────────────┬──────────────────┴─────────────────┘
 *                            br0 (switch; captures happen here)
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { KubeObject } from '../../src/kube/types.ts';
import { labNodes, labPaths } from '../../src/lab/cluster/layout.ts';
import { ensurePki } from '../../src/lab/cluster/pki.ts';
import { Holder, run, until } from './holder.ts';

const root = join(import.meta.dirname, '../..');
const node24 = process.execPath;

export const CLUSTER_CIDR = '10.244.0.0/16';

export interface RigOptions {
  /** Beside the first. */
  workers: number;
  /** cilium-config. */
  config: Record<string, string>;
  dual?: boolean;
}

export class Rig {
  readonly nodes: RigNode[] = [];
  readonly folder = mkdtempSync(join(tmpdir(), 'pellicle-agents-'));
  readonly #switch: Holder;
  readonly #dual: boolean;
  #api: ChildProcess | undefined;

  static async up(options: RigOptions): Promise<Rig> {
    const rig = new Rig(options.dual ?? false);
    try {
      await rig.#start(options);
      return rig;
    } catch (error) {
      await rig.down();
      throw error;
    }
  }

  private constructor(dual: boolean) {
    this.#dual = dual;
    this.#switch = new Holder([]);
  }

  async down(): Promise<void> {
    for (const node of this.nodes) node.stop();
    this.#api?.kill('SIGKILL');
    this.#switch.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** A request to the API server as its administrator; throws on a refusal. */
  async kube(method: string, path: string, body?: unknown, type = 'application/json'): Promise<KubeObject> {
    const script = join(import.meta.dirname, 'kubecall.ts');
    const argument = JSON.stringify({ method, path, body, type, pki: labPaths('rig', this.folder).pki });
    const { stdout } = await this.nodes[0]!.run(node24, script, argument);
    return JSON.parse(stdout) as KubeObject;
  }

  async setConfig(data: Record<string, string>): Promise<void> {
    const path = '/api/v1/namespaces/kube-system/configmaps/cilium-config';
    await this.kube('PATCH', path, { data }, 'application/merge-patch+json');
  }

  /** Makes or changes the Secret with the IPsec keys. */
  async setKeys(keys: string): Promise<void> {
    const folder = '/api/v1/namespaces/kube-system/secrets';
    const metadata = { name: 'cilium-ipsec-keys', namespace: 'kube-system' };
    const object = { apiVersion: 'v1', kind: 'Secret', metadata, stringData: { keys } };
    const type = 'application/apply-patch+yaml';
    await this.kube('PATCH', `${folder}/cilium-ipsec-keys?fieldManager=test&force=true`, object, type);
  }

  async deleteKeys(): Promise<void> {
    await this.kube('DELETE', '/api/v1/namespaces/kube-system/secrets/cilium-ipsec-keys');
  }

  /** The API server is gone while `during` runs; what it has stored is there again afterwards. */
  async withoutApi(during: () => Promise<void>): Promise<void> {
    const api = this.#api!;
    const ended = new Promise(resolve => api.once('exit', resolve));
    api.kill('SIGKILL');
    await ended;
    try {
      await during();
    } finally {
      await this.#startApi();
    }
  }

  /** A shell script where the bridge is. */
  async onSwitch(script: string): Promise<void> {
    await this.#switch.sh(script);
  }

  /** Everything that crosses the bridge while `during` runs, as raw bytes. */
  async capture(during: () => Promise<void>): Promise<Buffer> {
    const file = join(this.folder, `${randomBytes(4).toString('hex')}.pcap`);
    const tcpdump = this.#switch.spawn(
      'tcpdump',
      ['-i', 'br0', '-w', file, '-U', '--immediate-mode', '-s', '0'],
      'pipe',
    );
    await new Promise<void>((resolve, reject) => {
      tcpdump.stderr!.on('data', data => String(data).includes('listening on') && resolve());
      tcpdump.once('exit', code => reject(new Error(`tcpdump ended with ${code}`)));
    });
    const ended = new Promise(resolve => tcpdump.once('exit', resolve));
    try {
      await during();
      // What was sent before this is in the file when this is.
      const last = randomBytes(16);
      await this.#switch.sh(`ping -n -c 1 -W 1 -p ${last.toString('hex')} 172.18.0.2`);
      await until('the capture is written', async () => readFileSync(file).includes(last));
    } finally {
      tcpdump.kill('SIGINT');
      await ended;
    }
    return readFileSync(file);
  }

  async #start({ workers, config }: RigOptions): Promise<void> {
    const ipFamily = this.#dual ? 'dual' : 'ipv4';
    const labs = labNodes({ name: 'kind', workers, ipFamily });
    const paths = labPaths('rig', this.folder);
    await this.#switch.started();
    await this.#switch.sh(
      'ip link add br0 type bridge && ip link set br0 promisc on up && ip addr add 172.18.0.1/16 dev br0',
    );
    for (const lab of labs) {
      const node = new RigNode(lab.name, lab.addresses, lab.index, this.#dual, this.folder);
      this.nodes.push(node);
      await node.holder.started();
      await node.plugIn(this.#switch.pid);
    }
    await ensurePki(paths, labs, new Date());
    await this.#startApi();
    await this.#objects(config);
  }

  async #startApi(): Promise<void> {
    const [first] = this.nodes;
    const paths = labPaths('rig', this.folder);
    this.#api = first!.spawn('api', node24, [
      join(root, 'src/main/lab-apiserver.ts'),
      ...['--data', paths.database, '--pki', paths.pki, '--listen', '172.18.0.2:6443'],
    ]);
    await until('the API server answers', () =>
      this.kube('GET', '/readyz').then(
        () => true,
        () => false,
      ),
    );
  }

  async #objects(config: Record<string, string>): Promise<void> {
    for (const file of ['ciliumnodes', 'ciliumendpoints']) {
      const found = spawnSync('sh', ['-c', `cat ${root}/deploy/crds/*${file}*.yaml`], {
        encoding: 'utf8',
      }).stdout;
      for (const document of parseAllDocuments(found)) {
        await this.kube('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', document.toJS());
      }
    }
    await until('the CRDs are served', () =>
      this.kube('GET', '/apis/cilium.io/v2/ciliumnodes').then(
        () => true,
        () => false,
      ),
    );
    await this.kube('POST', '/api/v1/namespaces/kube-system/configmaps', {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'cilium-config', namespace: 'kube-system' },
      data: {
        'cluster-name': 'kind-kind',
        'cluster-pod-cidrs': this.#dual ? `${CLUSTER_CIDR},fd00:10:244::/56` : CLUSTER_CIDR,
        ...(this.#dual ? { 'enable-ipv6': 'true' } : {}),
        ...config,
      },
    });
    for (const node of this.nodes) await this.register(node);
  }

  /** What a kubelet and the controllers would do. */
  async register(node: RigNode): Promise<void> {
    const labels = node.index === 0 ? { 'node-role.kubernetes.io/control-plane': '' } : {};
    const object = {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: node.name, labels },
      spec: { podCIDR: node.podCIDRs[0], podCIDRs: node.podCIDRs },
    };
    await this.kube('POST', '/api/v1/nodes', object);
    const addresses = node.addresses.map(address => ({ type: 'InternalIP', address }));
    await this.kube(
      'PATCH',
      `/api/v1/nodes/${node.name}/status`,
      { status: { addresses } },
      'application/merge-patch+json',
    );
  }
}

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
    return existsSync(this.#logPath('agent')) ? readFileSync(this.#logPath('agent'), 'utf8') : '';
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
