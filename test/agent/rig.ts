/**
 * A cluster of agents without kubelets: nodes are network and mount namespaces on a bridge, the API server of the lab
 * runs on the first, pods are namespaces that the test attaches by calling the CNI plugin itself.
 *
 *        node 0: 172.18.0.2 (API server)    node 1: 172.18.0.3    node 2: 172.18.0.4
 *            └────────────────────┬──────────────────┴─────────────────┘
 *                            br0 (switch; captures happen here)
 */
import { type ChildProcess, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { KubeObject } from '../../src/kube/types.ts';
import { labNodes, labPaths } from '../../src/lab/cluster/layout.ts';
import { ensurePki } from '../../src/lab/cluster/pki.ts';
import { Holder, until } from './holder.ts';
import { RigNode } from './rig-node.ts';

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

  /** Engine and agent of every node; resolves when pods can come. */
  async startAll(): Promise<void> {
    for (const node of this.nodes) {
      node.startEngine();
      node.startAgent();
    }
    await Promise.all(this.nodes.map(node => node.whenReady()));
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
