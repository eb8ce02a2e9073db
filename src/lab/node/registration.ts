/** The node in the API: registered, its status kept true, its lease renewed. */
import { createHash } from 'node:crypto';
import { readFileSync, watch } from 'node:fs';
import { arch, cpus, release, totalmem } from 'node:os';
import { isDeepStrictEqual } from 'node:util';
import { ApiError, isNotFound, type KubeClient } from '../../kube/client.ts';
import type { Node } from '../../kube/core.ts';
import { type Condition, LEASES, NODES } from '../../kube/types.ts';
import { cluster } from '../cluster/layout.ts';
import { images } from '../images/catalog.ts';
import { readNetworkConfig } from './cni.ts';
import { mergeConditions } from './podstatus.ts';
import { cniNotReady } from './sandbox.ts';

export interface NodeIdentity {
  name: string;
  /** IPv4 first. */
  ips: string[];
  controlPlane: boolean;
  /** The only node there is: pods may run on it, whatever its role. */
  alone?: boolean;
  cniConfig: string;
  kubeletPort: number;
  runtimeVersion: string;
}

/** A node of the lab has its own, mounted over the machine's; its containers have to see that one, too. */
export const bootIdFile = '/proc/sys/kernel/random/boot_id';

const leaseSeconds = 40;
const leasePeriodMs = 10_000;
const statusPeriodMs = 10_000;
const longestSilenceMs = 300_000;

export class Registration {
  readonly #client: KubeClient;
  readonly #identity: NodeIdentity;
  readonly #log: (message: string) => void;
  readonly #onNetwork: () => void;
  #written: Node['status'] | undefined;
  #writtenAt = 0;
  #networkReady = false;
  #reporting: Promise<void> = Promise.resolve();

  /** `onNetwork`: a CNI configuration has appeared. */
  constructor(
    client: KubeClient,
    identity: NodeIdentity,
    log: (message: string) => void,
    onNetwork: () => void,
  ) {
    this.#client = client;
    this.#identity = identity;
    this.#log = log;
    this.#onNetwork = onNetwork;
  }

  /** Registers, then keeps at it for good. Resolves when the node is registered. */
  async start(): Promise<void> {
    await this.#again('registration', () => this.#register());
    void this.#report();
    void this.#renew();
    setInterval(() => void this.#report(), statusPeriodMs);
    setInterval(() => void this.#renew(), leasePeriodMs);
    watch(this.#identity.cniConfig, () => void this.#report());
  }

  async #register(): Promise<void> {
    const { name } = this.#identity;
    const wanted = nodeObject(this.#identity);
    try {
      await this.#client.create(NODES, wanted);
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== 409) throw error;
      const { labels } = wanted.metadata;
      await this.#client.patch(NODES, name, undefined, { metadata: { labels } }, 'merge');
    }
  }

  #report(): Promise<void> {
    this.#reporting = this.#reporting.then(() =>
      this.#writeStatus().catch(error => this.#log(`node status: ${(error as Error).message}`)),
    );
    return this.#reporting;
  }

  async #writeStatus(): Promise<void> {
    const networkReady = readNetworkConfig(this.#identity.cniConfig) !== undefined;
    if (networkReady && !this.#networkReady) this.#onNetwork();
    this.#networkReady = networkReady;
    const now = new Date().toISOString();
    const status = nodeStatus(this.#identity, networkReady, this.#written?.conditions ?? [], now);
    const silent = Date.now() - this.#writtenAt;
    if (silent < longestSilenceMs && isDeepStrictEqual(withoutTimes(status), withoutTimes(this.#written)))
      return;
    if (this.#written === undefined) {
      const there = await this.#client.get(NODES, this.#identity.name);
      status.conditions = mergeConditions(there.status?.conditions ?? [], status.conditions ?? [], now);
    }
    try {
      await this.#client.patch(NODES, this.#identity.name, undefined, { status }, 'merge', {
        subresource: 'status',
      });
    } catch (error) {
      if (isNotFound(error)) await this.#register();
      throw error;
    }
    this.#written = status;
    this.#writtenAt = Date.now();
  }

  async #renew(): Promise<void> {
    const { name } = this.#identity;
    const spec = {
      holderIdentity: name,
      leaseDurationSeconds: leaseSeconds,
      renewTime: new Date().toISOString().replace('Z', '000Z'),
    };
    try {
      await this.#client.patch(LEASES, name, 'kube-node-lease', { spec }, 'merge').catch(async error => {
        if (!isNotFound(error)) throw error;
        const node = await this.#client.get(NODES, name);
        await this.#client.create(LEASES, {
          apiVersion: LEASES.apiVersion,
          kind: LEASES.kind,
          metadata: {
            name,
            namespace: 'kube-node-lease',
            ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name, uid: node.metadata.uid ?? '' }],
          },
          spec,
        });
      });
    } catch (error) {
      this.#log(`lease: ${(error as Error).message}`);
    }
  }

  async #again(what: string, work: () => Promise<void>): Promise<void> {
    for (let pause = 100; ; pause = Math.min(pause * 2, 2_000)) {
      try {
        return await work();
      } catch (error) {
        this.#log(`${what}: ${(error as Error).message}`);
        await new Promise(resolve => setTimeout(resolve, pause));
      }
    }
  }
}

export function nodeObject({
  name,
  controlPlane,
  alone,
}: Pick<NodeIdentity, 'name' | 'controlPlane' | 'alone'>): Node {
  const architecture = goArch();
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      labels: {
        'beta.kubernetes.io/arch': architecture,
        'beta.kubernetes.io/os': 'linux',
        'kubernetes.io/arch': architecture,
        'kubernetes.io/hostname': name,
        'kubernetes.io/os': 'linux',
        ...(controlPlane && { 'node-role.kubernetes.io/control-plane': '' }),
      },
      annotations: {
        'node.alpha.kubernetes.io/ttl': '0',
        'volumes.kubernetes.io/controller-managed-attach-detach': 'true',
      },
    },
    spec: {
      providerID: `pellicle://lab/${name}`,
      taints: [
        ...(controlPlane && !alone
          ? [{ key: 'node-role.kubernetes.io/control-plane', effect: 'NoSchedule' as const }]
          : []),
        { key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' as const },
      ],
    },
  };
}

function nodeStatus(
  identity: NodeIdentity,
  networkReady: boolean,
  before: Condition[],
  now: string,
): NonNullable<Node['status']> {
  const resources = {
    cpu: String(cpus().length),
    memory: `${Math.floor(totalmem() / 1024)}Ki`,
    'ephemeral-storage': `${Math.floor(totalmem() / 2048)}Ki`,
    pods: '110',
  };
  const fine = (type: string, reason: string, message: string): Condition => ({
    type,
    status: 'False',
    reason,
    message,
  });
  const ready: Condition = networkReady
    ? { type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'kubelet is posting ready status' }
    : { type: 'Ready', status: 'False', reason: 'KubeletNotReady', message: cniNotReady };
  const conditions = mergeConditions(
    before,
    [
      fine('MemoryPressure', 'KubeletHasSufficientMemory', 'kubelet has sufficient memory available'),
      fine('DiskPressure', 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'),
      fine('PIDPressure', 'KubeletHasSufficientPID', 'kubelet has sufficient PID available'),
      ready,
    ],
    now,
  );
  return {
    capacity: resources,
    allocatable: resources,
    conditions: conditions.map(condition => ({
      ...condition,
      lastHeartbeatTime: now.replace(/\.\d+Z$/, 'Z'),
    })),
    addresses: [
      ...identity.ips.map(address => ({ type: 'InternalIP', address })),
      { type: 'Hostname', address: identity.name },
    ],
    daemonEndpoints: { kubeletEndpoint: { Port: identity.kubeletPort } },
    nodeInfo: {
      machineID: stableId(identity.name),
      systemUUID: uuidOf(stableId(identity.name)),
      bootID: readText(bootIdFile),
      kernelVersion: release(),
      osImage: osImage(),
      containerRuntimeVersion: identity.runtimeVersion,
      kubeletVersion: cluster.version,
      kubeProxyVersion: cluster.version,
      operatingSystem: 'linux',
      architecture: goArch(),
    },
    images: images.map(image => ({ names: [`${image.repository}:latest`], sizeBytes: 4096 })),
  };
}

/** Heartbeats aside: whether there is news. */
function withoutTimes(status: Node['status']): unknown {
  return (
    status && { ...status, conditions: status.conditions?.map(each => ({ ...each, lastHeartbeatTime: '' })) }
  );
}

function goArch(): string {
  return arch() === 'x64' ? 'amd64' : arch();
}

function osImage(): string {
  const name = /^PRETTY_NAME="?(.*?)"?$/m.exec(readText('/etc/os-release'))?.[1];
  return name ?? 'Linux';
}

function stableId(name: string): string {
  return createHash('sha256').update(`pellicle lab node ${name}`).digest('hex').slice(0, 32);
}

function uuidOf(hex: string): string {
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}
