/** A node that only says so: renews its Lease, calls its pods running and ready, and lets them end when they are deleted. */
import { isNotFound, type KubeClient } from '../../src/kube/client.ts';
import { microTime } from '../../src/kube/eventforms.ts';
import { Reflector } from '../../src/kube/reflector.ts';
import { LEASES, type Lease, NODES, type Node, PODS, type Pod } from '../../src/kube/types.ts';

export interface FakeNodeOptions {
  name: string;
  address: string;
  /** Prefix of the pods' addresses: `10.244.1`. */
  pods: string;
  ready?: boolean;
  labels?: Record<string, string>;
  taints?: Node['spec']['taints'];
  /** Milliseconds between two renewals of the Lease. */
  renew?: number;
  /** Images whose pods end at once, and how. */
  ends?: Record<string, 'Succeeded' | 'Failed'>;
  log?: (message: string) => void;
}

export class FakeNode {
  readonly #client: KubeClient;
  readonly #options: FakeNodeOptions;
  readonly #pods: Reflector<Pod>;
  readonly #addresses = new Map<string, string>();
  #next = 2;
  #timer: NodeJS.Timeout | undefined;
  /** Images whose pods never become ready. */
  readonly broken = new Set<string>();

  constructor(client: KubeClient, options: FakeNodeOptions) {
    this.#client = client;
    this.#options = options;
    this.#pods = new Reflector(client, PODS, {
      fieldSelector: `spec.nodeName=${options.name}`,
      onChange: ({ type, object }) => {
        if (type !== 'deleted') void this.#run(object).catch(error => options.log?.(String(error)));
      },
    });
  }

  async start(): Promise<void> {
    await this.#register();
    await this.#renew();
    this.#timer = setInterval(() => void this.#renew().catch(() => {}), this.#options.renew ?? 10_000);
    this.#pods.start();
    await this.#pods.synced;
  }

  /** Falls silent, as when its power is cut. */
  stop(): void {
    clearInterval(this.#timer);
    this.#pods.stop();
  }

  async setReady(ready: boolean): Promise<void> {
    const status = { conditions: [condition(ready)] };
    await this.#client.patch(NODES, this.#options.name, undefined, { status }, 'merge', {
      subresource: 'status',
    });
  }

  async #register(): Promise<void> {
    const { name, address, labels, taints, ready = true } = this.#options;
    const node: Node = {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name, labels: { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux', ...labels } },
      spec: { ...(taints && { taints }) },
    };
    await this.#client.create(NODES, node).catch(ignore(409));
    const status: Node['status'] = {
      addresses: [
        { type: 'InternalIP', address },
        { type: 'Hostname', address: name },
      ],
      capacity: { cpu: '4', memory: '8Gi', pods: '110' },
      allocatable: { cpu: '4', memory: '8Gi', pods: '110' },
      conditions: [condition(ready)],
    };
    await this.#client.patch(NODES, name, undefined, { status }, 'merge', { subresource: 'status' });
  }

  async #renew(): Promise<void> {
    const { name } = this.#options;
    const namespace = 'kube-node-lease';
    const spec = { holderIdentity: name, leaseDurationSeconds: 40, renewTime: microTime(new Date()) };
    try {
      await this.#client.patch(LEASES, name, namespace, { spec }, 'merge');
    } catch (error) {
      if (!isNotFound(error)) throw error;
      const lease: Lease = {
        apiVersion: LEASES.apiVersion,
        kind: LEASES.kind,
        metadata: { name, namespace },
        spec,
      };
      await this.#client.create(LEASES, lease);
    }
  }

  async #run(pod: Pod): Promise<void> {
    const { name, namespace } = pod.metadata;
    if (pod.metadata.deletionTimestamp) {
      await this.#client.delete(PODS, name, namespace, { gracePeriodSeconds: 0 }).catch(ignore(404));
      return;
    }
    const image = pod.spec.containers[0]?.image ?? '';
    const end = this.#options.ends?.[image];
    const phase = end ?? 'Running';
    if (pod.status?.phase === phase) return;
    const ready = phase === 'Running' && !this.broken.has(image);
    const ip = pod.spec.hostNetwork ? this.#options.address : this.#address(pod.metadata.uid ?? '');
    const lastTransitionTime = new Date().toISOString();
    const status = {
      phase,
      hostIP: this.#options.address,
      podIP: ip,
      podIPs: [{ ip }],
      startTime: lastTransitionTime,
      conditions: ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready'].map(type => ({
        type,
        status: ready || type === 'PodScheduled' || type === 'Initialized' ? 'True' : 'False',
        lastTransitionTime,
      })),
    };
    await this.#client
      .patch(PODS, name, namespace, { status }, 'merge', { subresource: 'status' })
      .catch(ignore(404));
  }

  #address(uid: string): string {
    const address = this.#addresses.get(uid) ?? `${this.#options.pods}.${this.#next++}`;
    this.#addresses.set(uid, address);
    return address;
  }
}

function condition(ready: boolean) {
  const now = new Date().toISOString();
  return ready
    ? {
        type: 'Ready',
        status: 'True' as const,
        reason: 'KubeletReady',
        lastHeartbeatTime: now,
        lastTransitionTime: now,
      }
    : {
        type: 'Ready',
        status: 'False' as const,
        reason: 'KubeletNotReady',
        lastHeartbeatTime: now,
        lastTransitionTime: now,
      };
}

function ignore(code: number): (error: unknown) => void {
  return error => {
    if (!(typeof error === 'object' && error !== null && 'code' in error && error.code === code)) throw error;
  };
}
