/** The operator's work while it leads: takes away what belongs to nothing, and hands out pod CIDRs when asked to. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isConflict, isNotFound, type KubeClient } from '../kube/client.ts';
import type { Recorder } from '../kube/events.ts';
import { Reflector } from '../kube/reflector.ts';
import { CILIUMENDPOINTS, CILIUMNODES, type CiliumNode, NODES, PODS, type Pod } from '../kube/types.ts';
import { familyOf } from '../model/net.ts';
import {
  DELETED_NODE_GRACE,
  NODE_GRACE,
  Orphans,
  ownerlessEndpoints,
  ownerlessNodes,
  UNMANAGED_GRACE,
  unmanagedDnsPods,
} from './garbage.ts';
import { KeyTender } from './keytender.ts';
import type { Metrics } from './metrics.ts';
import { nextPodCIDR, type Pool } from './pool.ts';

export interface OperatorOptions {
  client: KubeClient;
  recorder: Recorder;
  metrics: Metrics;
  /** Empty unless ipam is cluster-pool. */
  pools: Pool[];
  /** The key to look after; absent unless the cluster encrypts with IPsec. */
  key?: { namespace: string; secretName: string; interval: number };
  log: (message: string) => void;
  now?: () => number;
  /** Milliseconds between rounds over nodes, and over endpoints. */
  nodeRound?: number;
  endpointRound?: number;
  dnsRound?: number;
  keyRound?: number;
  /** Unix milliseconds. */
  wallClock?: () => number;
}

const PAGE = 500;

/** Works until `signal` is aborted. */
export async function operate(options: OperatorOptions, signal: AbortSignal): Promise<void> {
  const operator = new Operator(options);
  operator.start();
  const { nodeRound = 1_000, endpointRound = 30_000, dnsRound = 5_000, keyRound = 1_000 } = options;
  await Promise.all([
    rounds(nodeRound, signal, options, () => operator.tendNodes()),
    rounds(endpointRound, signal, options, () => operator.tendEndpoints()),
    rounds(dnsRound, signal, options, () => operator.tendDns()),
    ...(options.key ? [rounds(keyRound, signal, options, () => operator.tendKey())] : []),
  ]);
  operator.stop();
}

class Operator {
  readonly #options: OperatorOptions;
  readonly #nodes;
  readonly #ciliumNodes;
  readonly #key: KeyTender | undefined;
  readonly #deletedNodes = new Set<string>();
  readonly #orphanNodes = new Orphans();
  readonly #orphanEndpoints = new Orphans();
  readonly #unmanaged = new Orphans();
  /** Family and node for which nothing was left. */
  readonly #exhausted = new Set<string>();

  constructor(options: OperatorOptions) {
    const { client, log } = options;
    this.#options = options;
    this.#nodes = new Reflector(client, NODES, {
      log,
      onChange: ({ type, object }) => {
        const { name } = object.metadata;
        if (type === 'deleted') this.#deletedNodes.add(name);
        else this.#deletedNodes.delete(name);
      },
    });
    this.#ciliumNodes = new Reflector(client, CILIUMNODES, { log });
    this.#key = options.key && new KeyTender({ ...options, ...options.key });
  }

  start(): void {
    this.#nodes.start();
    this.#ciliumNodes.start();
    this.#key?.start();
  }

  stop(): void {
    this.#nodes.stop();
    this.#ciliumNodes.stop();
    this.#key?.stop();
  }

  async tendNodes(): Promise<void> {
    await Promise.all([this.#nodes.synced, this.#ciliumNodes.synced]);
    const ownerless = ownerlessNodes(this.#ciliumNodes.items(), this.#nodes.items());
    const grace = (name: string) => (this.#deletedNodes.has(name) ? DELETED_NODE_GRACE : NODE_GRACE);
    for (const name of this.#orphanNodes.due(ownerless, this.#now(), grace)) {
      await this.#delete(CILIUMNODES, name);
      this.#deletedNodes.delete(name);
    }
    if (this.#options.pools.length > 0) await this.#introduce();
    for (const pool of this.#options.pools) await this.#allocate(pool);
  }

  async tendKey(): Promise<void> {
    await Promise.all([this.#nodes.synced, this.#ciliumNodes.synced]);
    await this.#key?.tend(this.#nodes.items(), this.#ciliumNodes.items());
  }

  async tendEndpoints(): Promise<void> {
    const { client } = this.#options;
    const endpoints = (await client.list(CILIUMENDPOINTS)).items;
    if (endpoints.length === 0) return;
    const ownerless = ownerlessEndpoints(endpoints, await allPods(client));
    // Gone in two rounds: the agent, who deletes it at once, had its time.
    const grace = () => this.#options.endpointRound ?? 0;
    for (const key of this.#orphanEndpoints.due(ownerless, this.#now(), grace)) {
      const [namespace, name = ''] = key.split('/');
      await this.#delete(CILIUMENDPOINTS, name, namespace);
    }
  }

  async tendDns(): Promise<void> {
    const { client, metrics, log } = this.#options;
    const namespace = 'kube-system';
    const dnsPods = await client.list(PODS, { namespace, labelSelector: 'k8s-app=kube-dns' });
    const endpoints = await client.list(CILIUMENDPOINTS, { namespace });
    const unmanaged = unmanagedDnsPods(dnsPods.items, endpoints.items);
    for (const key of this.#unmanaged.due(unmanaged, this.#now(), () => UNMANAGED_GRACE)) {
      const name = key.slice(namespace.length + 1);
      await client.delete(PODS, name, namespace).catch(ignoreMissing);
      metrics.restartedPods++;
      log(`restarted pod ${key}: it had no network of ours`);
    }
  }

  /** An agent without a pod CIDR has nothing to tell: its CiliumNode begins here. */
  async #introduce(): Promise<void> {
    for (const { metadata } of this.#nodes.items()) {
      const { name, uid = '' } = metadata;
      if (this.#ciliumNodes.get(name)) continue;
      const ownerReferences = [{ apiVersion: 'v1', kind: 'Node', name, uid }];
      try {
        await this.#options.client.create(CILIUMNODES, {
          apiVersion: CILIUMNODES.apiVersion,
          kind: CILIUMNODES.kind,
          metadata: { name, ownerReferences },
          spec: {},
        });
      } catch (error) {
        if (!isConflict(error)) throw error;
      }
    }
  }

  /** One family of every node that has none of it yet. */
  async #allocate(pool: Pool): Promise<void> {
    const { client, recorder, metrics, log } = this.#options;
    const used = new Set(this.#ciliumNodes.items().flatMap(podCIDRsOf));
    for (const node of this.#ciliumNodes.items()) {
      const own = podCIDRsOf(node);
      const { name, resourceVersion } = node.metadata;
      if (own.some(cidr => familyOf(cidr) === pool.family) || !this.#nodes.get(name)) continue;
      const key = `${pool.family} ${name}`;
      const podCIDR = nextPodCIDR(pool, used);
      if (!podCIDR) {
        if (!this.#exhausted.has(key)) metrics.podCIDRsExhausted++;
        this.#exhausted.add(key);
        const note = `No pod CIDR is left for ${name} in ${pool.networks.join(', ')}: add a network to ipam.operator.clusterPoolIPv${pool.family}PodCIDRList.`;
        recorder.event(node, 'Warning', 'PodCIDRPoolExhausted', 'AllocatePodCIDR', note);
        continue;
      }
      this.#exhausted.delete(key);
      const podCIDRs = [...own, podCIDR].sort((a, b) => familyOf(a) - familyOf(b));
      const body = { metadata: { resourceVersion }, spec: { ipam: { podCIDRs } } };
      try {
        await client.patch(CILIUMNODES, name, undefined, body, 'merge');
        metrics.podCIDRsAllocated++;
        log(`node ${name} has the pod CIDR ${podCIDR} now`);
      } catch (error) {
        if (!isConflict(error) && !isNotFound(error)) throw error;
      }
      used.add(podCIDR);
    }
  }

  async #delete(
    type: typeof CILIUMNODES | typeof CILIUMENDPOINTS,
    name: string,
    namespace?: string,
  ): Promise<void> {
    const { client, metrics, log } = this.#options;
    try {
      await client.delete(type, name, namespace);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      return;
    }
    metrics.deleted[type === CILIUMNODES ? 'CiliumNode' : 'CiliumEndpoint']++;
    log(`deleted ${type.kind} ${namespace ? `${namespace}/` : ''}${name}: what it stood for is gone`);
  }

  #now(): number {
    return this.#options.now?.() ?? performance.now();
  }
}

function ignoreMissing(error: unknown): void {
  if (!isNotFound(error)) throw error;
}

async function rounds(
  period: number,
  signal: AbortSignal,
  { metrics, log }: OperatorOptions,
  round: () => Promise<void>,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await Promise.race([round(), aborted(signal)]);
    } catch (error) {
      metrics.errors++;
      log(error instanceof Error ? error.message : String(error));
    }
    await sleep(period, undefined, { signal }).catch(() => {});
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise(resolve => signal.addEventListener('abort', () => resolve(), { once: true }));
}

function podCIDRsOf(node: CiliumNode): string[] {
  return node.spec.ipam?.podCIDRs ?? [];
}

async function allPods(client: KubeClient): Promise<Pod[]> {
  const pods: Pod[] = [];
  let next: string | undefined;
  do {
    const page = await client.list(PODS, { limit: PAGE, ...(next && { continue: next }) });
    pods.push(...page.items);
    next = page.continue;
  } while (next);
  return pods;
}
