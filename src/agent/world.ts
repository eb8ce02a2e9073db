/** What the agent sees: objects of the API by reflectors, and its own node by the kernel. */
import { readFile } from 'node:fs/promises';
import type { KubeClient } from '../kube/client.ts';
import { Reflector } from '../kube/reflector.ts';
import { CILIUMNODES, type CiliumNode, CONFIGMAPS, type ConfigMap, NODES, type Node } from '../kube/types.ts';
import type { Rtnetlink } from '../linux/rtnetlink.ts';
import { type AgentConfig, type ConfigData, families, optsOut, parseConfig } from '../model/config.ts';
import { isOwnDevice } from '../model/names.ts';
import { addressOf, type Family, familyOf, prefixOf } from '../model/net.ts';
import { selects } from '../model/selector.ts';
import type { SelfNode } from '../model/snapshot.ts';
import type { Log } from './log.ts';

export interface WorldOptions {
  client: KubeClient;
  nodeName: string;
  configMap: { namespace: string; name: string };
  overrides: ConfigData;
  log: Log;
  onChange: (what: string) => void;
}

/** A watch that broke is tried again within this. */
const PROBLEM_FADES_MS = 30_000;

export class World {
  readonly ciliumNodes: Reflector<CiliumNode>;
  readonly #nodes: Reflector<Node>;
  readonly #configMaps: Reflector<ConfigMap>;
  readonly #options: WorldOptions;
  #problem: { message: string; at: number } | undefined;
  #synced = false;

  constructor(options: WorldOptions) {
    const { client, nodeName, configMap, onChange } = options;
    const log = (message: string) => {
      this.#problem = { message, at: Date.now() };
      options.log.warning(message);
    };
    this.#options = options;
    this.ciliumNodes = new Reflector(client, CILIUMNODES, {
      log,
      onChange: ({ type, object, old }) => {
        if (type !== 'modified' || concerns(object) !== concerns(old))
          onChange(`CiliumNode ${object.metadata.name}`);
      },
    });
    this.#nodes = new Reflector(client, NODES, {
      fieldSelector: `metadata.name=${nodeName}`,
      log,
      onChange: ({ type, object, old }) => {
        if (type !== 'modified' || nodeConcerns(object) !== nodeConcerns(old)) onChange('Node');
      },
    });
    this.#configMaps = new Reflector(client, CONFIGMAPS, {
      namespace: configMap.namespace,
      fieldSelector: `metadata.name=${configMap.name}`,
      log,
      onChange: () => onChange('cilium-config'),
    });
  }

  /** Resolves when every object was listed once. */
  async start(): Promise<void> {
    const all = [this.ciliumNodes, this.#nodes, this.#configMaps];
    for (const reflector of all) reflector.start();
    await Promise.all(all.map(reflector => reflector.synced));
    this.#synced = true;
  }

  /** What the watches last complained of, while it matters. */
  problem(): string | undefined {
    if (!this.#problem)
      return this.#synced ? undefined : 'the first lists from the API server are not there yet';
    const recent = Date.now() - this.#problem.at < PROBLEM_FADES_MS;
    return recent || !this.#synced ? this.#problem.message : undefined;
  }

  stop(): void {
    for (const reflector of [this.ciliumNodes, this.#nodes, this.#configMaps]) reflector.stop();
  }

  /** Throws WorldError with every problem of the ConfigMap. */
  config(): AgentConfig {
    const { namespace, name } = this.#options.configMap;
    const object = this.#configMaps.get(name, namespace);
    if (!object) throw new WorldError(`the ConfigMap ${namespace}/${name} is missing: run "cilium install"`);
    const parsed = parseConfig({ ...object.data, ...this.#options.overrides });
    if ('problems' in parsed) throw new WorldError(`cilium-config: ${parsed.problems.join('; ')}`);
    return parsed.config;
  }

  /** Throws WorldError while the Node object is not there. */
  node(): Node {
    const { nodeName } = this.#options;
    const node = this.#nodes.get(nodeName);
    if (!node)
      throw new WorldError(
        `there is no Node ${nodeName}: check K8S_NODE_NAME, or wait for the kubelet to register`,
      );
    return node;
  }

  ownCiliumNode(): CiliumNode | undefined {
    return this.ciliumNodes.get(this.#options.nodeName);
  }

  /** Throws WorldError while the node lacks an address. It may have no pod CIDR yet. */
  async self(config: AgentConfig, rtnetlink: Rtnetlink, publicKey: string | undefined): Promise<SelfNode> {
    const node = this.node();
    const addresses = nodeAddresses(node);
    if (addresses.length === 0)
      throw new WorldError(`Node ${node.metadata.name} has no InternalIP in status.addresses yet`);
    const podCIDRs = this.#podCIDRs(config, node);
    const optedOut = optsOut(config, selector => selects(selector, node.metadata.labels ?? {}));
    return {
      name: node.metadata.name,
      podCIDRs,
      addresses,
      optedOut,
      underlay: await underlayOf(rtnetlink, addresses),
      ...(publicKey === undefined ? {} : { publicKey }),
    };
  }

  /** What to say and do while there is no pod CIDR. */
  missingPodCIDR({ ipam }: AgentConfig): WorldError {
    const { nodeName } = this.#options;
    return new WorldError(
      ipam === 'kubernetes'
        ? `Node ${nodeName} has no spec.podCIDRs of a family that is enabled: start kube-controller-manager with --allocate-node-cidrs, or install with ipam.mode=cluster-pool`
        : `CiliumNode ${nodeName} has no spec.ipam.podCIDRs yet: the operator allocates them`,
    );
  }

  #podCIDRs(config: AgentConfig, node: Node): string[] {
    const { spec } = node;
    const listed =
      config.ipam === 'kubernetes'
        ? (spec?.podCIDRs ?? (spec?.podCIDR ? [spec.podCIDR] : []))
        : (this.ownCiliumNode()?.spec.ipam?.podCIDRs ?? []);
    return podCIDRsOf(listed, families(config), node.metadata.name);
  }
}

/** Not possible yet, for a reason that lies in the cluster's objects. */
export class WorldError extends Error {
  override readonly name = 'WorldError';
}

/** Those of the families that are switched on: a node of a dual-stack cluster has a pod CIDR of either. */
export function podCIDRsOf(listed: string[], on: Family[], nodeName: string): string[] {
  const prefixes = listed.map(text => {
    const prefix = prefixOf(text);
    if (prefix === undefined) throw new WorldError(`the pod CIDR "${text}" of ${nodeName} is no CIDR`);
    return prefix;
  });
  return prefixes.filter(prefix => on.includes(familyOf(prefix)));
}

/** InternalIPs, v4 first. */
export function nodeAddresses(node: Node): string[] {
  const addresses = (node.status?.addresses ?? [])
    .filter(({ type }) => type === 'InternalIP')
    .map(({ address }) => addressOf(address))
    .filter(address => address !== undefined);
  return [...new Set(addresses)].sort((a, b) => familyOf(a) - familyOf(b));
}

/** This run of the kernel. */
export async function readBootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
}

/** All devices by which other machines' packets can come in. Ports of a bridge are no such devices: the bridge is. */
async function underlayOf(rtnetlink: Rtnetlink, addresses: string[]): Promise<SelfNode['underlay']> {
  const [links, held] = await Promise.all([rtnetlink.links(), rtnetlink.addresses()]);
  const devices = links.filter(
    link => !link.loopback && !isOwnDevice(link.name) && link.master === undefined,
  );
  const holder = held.find(({ address }) => addresses.includes(address.split('/')[0]!));
  const device = devices.find(({ index }) => index === holder?.deviceIndex);
  if (!device) {
    throw new WorldError(
      `no device of this node has its address ${addresses[0]}: check status.addresses of its Node`,
    );
  }
  return { devices: devices.map(({ name }) => name).sort(), mtu: device.mtu };
}

/** What of a CiliumNode makes a difference here. */
function concerns(node: CiliumNode | undefined): string {
  const { name, uid, creationTimestamp, annotations } = node?.metadata ?? {};
  const accepted = node?.status?.conditions?.find(({ type }) => type === 'Accepted');
  return JSON.stringify([name, uid, creationTimestamp, annotations, node?.spec, accepted]);
}

function nodeConcerns(node: Node | undefined): string {
  return JSON.stringify([node?.metadata.uid, node?.metadata.labels, node?.spec, node?.status?.addresses]);
}
