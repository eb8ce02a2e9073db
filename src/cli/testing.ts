/** For tests: command lines against an API server in memory, with nodes and, where asked for, agents that do as told. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FakeApiServer } from '../kube/fake-apiserver.ts';
import type {
  CiliumNode,
  ConfigMap,
  CustomResourceDefinition,
  DaemonSet,
  Deployment,
  KubeObject,
  Node,
  Pod,
  Secret,
  Service,
} from '../kube/types.ts';
import { UNINSTALL_KEY } from '../model/config.ts';
import { EPOCHS_ANNOTATION, formatAdvertisement } from '../model/epochs/advertisement.ts';
import type { Epoch } from '../model/epochs/epoch.ts';
import { CLEANED_UP_ANNOTATION, PUBLIC_KEY_ANNOTATION } from '../model/node.ts';
import { type KeySecret, readKeySecret } from '../operator/keysecret.ts';
import { main } from './program.ts';

export const PATHS = {
  nodes: '/api/v1/nodes',
  pods: '/api/v1/pods',
  configMaps: '/api/v1/configmaps',
  secrets: '/api/v1/secrets',
  daemonSets: '/apis/apps/v1/daemonsets',
  deployments: '/apis/apps/v1/deployments',
  definitions: '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
  ciliumNodes: '/apis/cilium.io/v2/ciliumnodes',
};

export interface Outcome {
  code: number;
  out: string;
  err: string;
}

export const NODE_NAMES = ['kind-control-plane', 'kind-worker', 'kind-worker2'];
const BOOT = 'b00t0000-0000-0000-0000-000000000000';
/** A Secret as people write it. */
export const KEY_LINE = '3+ rfc4106(gcm(aes)) 000102030405060708090a0b0c0d0e0f10111213 128';

export class FakeCluster {
  readonly server = new FakeApiServer();
  /** Agents start when their DaemonSet is there, publish a key, and clean their node when asked to. */
  agents = true;
  #folder = '';

  async start(): Promise<void> {
    this.server.answers.set('GET /version', () => ({ status: 200, body: { gitVersion: 'v1.32.4' } }));
    const review = 'POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
    this.server.answers.set(review, () => ({ status: 201, body: { status: { allowed: true } } }));
    this.server.onWrite = (type, object) => queueMicrotask(() => this.#control(type, object));
    NODE_NAMES.forEach((name, index) => {
      this.server.put<Node>(PATHS.nodes, fakeNode(name, index));
    });
    this.server.put<ConfigMap>(PATHS.configMaps, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'kubeadm-config', namespace: 'kube-system' },
      data: { ClusterConfiguration: 'networking:\n  podSubnet: 10.244.0.0/16\n' },
    });
    this.server.put<Service>('/api/v1/services', {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'kubernetes', namespace: 'default' },
      spec: { clusterIP: '10.96.0.1', clusterIPs: ['10.96.0.1'] },
    });
    this.#folder = mkdtempSync(join(tmpdir(), 'cli-'));
    this.writeKubeconfig(await this.server.listen());
  }

  async stop(): Promise<void> {
    await this.server.close();
    rmSync(this.#folder, { recursive: true });
  }

  writeKubeconfig(server: string): void {
    const config = {
      'current-context': 'kind-kind',
      clusters: [{ name: 'kind-kind', cluster: { server } }],
      users: [{ name: 'me', user: {} }],
      contexts: [{ name: 'kind-kind', context: { cluster: 'kind-kind', user: 'me' } }],
    };
    writeFileSync(join(this.#folder, 'config'), JSON.stringify(config));
  }

  /** Runs `cilium ARGS`. */
  async run(...args: string[]): Promise<Outcome> {
    const outcome: Outcome = { code: 0, out: '', err: '' };
    const abort = new AbortController();
    const terminal = {
      out: (text: string) => {
        outcome.out += text;
      },
      err: (text: string) => {
        outcome.err += text;
      },
      colour: (_: string, text: string) => text,
      signal: abort.signal,
    };
    const kubeconfig = args[0] === '__complete' ? [] : ['--kubeconfig', join(this.#folder, 'config')];
    outcome.code = await main({ name: 'cilium' }, [...args, ...kubeconfig], terminal);
    return outcome;
  }

  /** Puts the Secret with the key there, as kubectl would. */
  writeKeys(keys: string, name = 'cilium-ipsec-keys'): void {
    this.server.put<Secret>(PATHS.secrets, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name, namespace: 'kube-system', creationTimestamp: new Date().toISOString() },
      data: { keys: Buffer.from(keys).toString('base64') },
    });
  }

  keys(): KeySecret | undefined {
    const secret = this.server.read<Secret>(PATHS.secrets, 'cilium-ipsec-keys', 'kube-system');
    return secret && readKeySecret(secret);
  }

  /** Lets nodes (else: all) tell what they open and seal with. */
  advertise(opens: Epoch[], seals: Epoch[], nodes = NODE_NAMES): void {
    const text = formatAdvertisement({ incarnation: BOOT, serial: 1, opens, seals, refuses: [] });
    for (const name of nodes)
      this.server.put<CiliumNode>(PATHS.ciliumNodes, fakeCiliumNode(name, { [EPOCHS_ANNOTATION]: text }));
  }

  config(): Record<string, string> | undefined {
    return this.server.read<ConfigMap>(PATHS.configMaps, 'cilium-config', 'kube-system')?.data;
  }

  #control(type: string, object: KubeObject): void {
    const { name, namespace } = object.metadata;
    if (type === 'DELETED') {
      if (object.kind !== 'DaemonSet' && object.kind !== 'Deployment') return;
      for (const pod of this.server.all(PATHS.pods))
        if (pod.metadata.name.startsWith(`${name}-x`))
          this.server.remove(PATHS.pods, pod.metadata.name, namespace);
      return;
    }
    if (object.kind === 'CustomResourceDefinition' && !object['status'])
      this.server.put<CustomResourceDefinition>(PATHS.definitions, {
        ...(object as CustomResourceDefinition),
        status: { conditions: [{ type: 'Established', status: 'True' }] },
      });
    if (!this.agents) return;
    if (object.kind === 'DaemonSet' && !object['status']) this.#runDaemonSet(object as DaemonSet);
    if (object.kind === 'Deployment' && !object['status']) this.#runDeployment(object as Deployment);
    if (name === 'cilium-config' && (object as ConfigMap).data?.[UNINSTALL_KEY] === 'true')
      for (const node of NODE_NAMES)
        this.server.put<CiliumNode>(
          PATHS.ciliumNodes,
          fakeCiliumNode(node, { [CLEANED_UP_ANNOTATION]: BOOT }),
        );
  }

  #runDaemonSet(set: DaemonSet): void {
    const number = NODE_NAMES.length;
    this.server.put<DaemonSet>(PATHS.daemonSets, {
      ...set,
      status: {
        desiredNumberScheduled: number,
        updatedNumberScheduled: number,
        numberReady: number,
        numberAvailable: number,
        ...(set.metadata.generation !== undefined && { observedGeneration: set.metadata.generation }),
      },
    });
    NODE_NAMES.forEach((nodeName, index) => {
      this.server.put<Pod>(PATHS.pods, fakePod(set, `${set.metadata.name}-x${index}`, nodeName));
      if (set.metadata.name === 'cilium')
        this.server.put<CiliumNode>(
          PATHS.ciliumNodes,
          fakeCiliumNode(nodeName, { [PUBLIC_KEY_ANNOTATION]: 'key' }),
        );
    });
  }

  #runDeployment(deployment: Deployment): void {
    this.server.put<Deployment>(PATHS.deployments, {
      ...deployment,
      status: { replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1 },
    });
    this.server.put<Pod>(PATHS.pods, fakePod(deployment, `${deployment.metadata.name}-x0`, NODE_NAMES[0]));
  }
}

function fakeNode(name: string, index: number): Node {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name },
    spec: { podCIDR: `10.244.${index}.0/24`, podCIDRs: [`10.244.${index}.0/24`] },
    status: {
      addresses: [{ type: 'InternalIP', address: `172.18.0.${index + 2}` }],
      nodeInfo: {
        machineID: '',
        systemUUID: '',
        bootID: BOOT,
        kernelVersion: '6.1.0',
        osImage: 'Linux',
        containerRuntimeVersion: 'containerd://2.0.0',
        kubeletVersion: 'v1.32.4',
        operatingSystem: 'linux',
        architecture: 'amd64',
      },
    },
  };
}

function fakeCiliumNode(name: string, annotations: Record<string, string>): CiliumNode {
  return {
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumNode',
    metadata: { name, annotations },
    spec: { bootid: BOOT },
  };
}

function fakePod(owner: DaemonSet | Deployment, name: string, nodeName: string | undefined): Pod {
  const { labels } = owner.spec.template.metadata ?? {};
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: owner.metadata.namespace ?? '', ...(labels && { labels }) },
    spec: { ...owner.spec.template.spec, ...(nodeName && { nodeName }) },
    status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
  };
}
