/** A CiliumEndpoint object for each pod of this node; it follows what the CNI server has, never the other way round. */
import { createHash } from 'node:crypto';
import type { Endpoint } from '../cni/endpoint.ts';
import { isNotFound, type KubeClient } from '../kube/client.ts';
import { CILIUMENDPOINTS, type CiliumEndpoint, PODS } from '../kube/types.ts';
import { type Epoch, keyIdOf } from '../model/epochs/epoch.ts';
import { familyOf } from '../model/net.ts';
import { NODE_ENCRYPTION_KEY } from '../model/node.ts';
import type { Controllers } from './controllers.ts';
import { type Log, messageOf } from './log.ts';
import { Loop } from './loop.ts';
import { FIELD_MANAGER } from './own-node.ts';

export interface EndpointsOptions {
  client: KubeClient;
  log: Log;
  controllers: Controllers;
  /** Those that the CNI server has now. */
  endpoints: () => Endpoint[];
  /** The node's first address, once known. */
  nodeAddress: () => string | undefined;
  /** Of the key that seals what pods send: of IPsec, 255 for WireGuard, 0 for none. */
  keyId: () => number;
}

export class EndpointObjects {
  readonly #options: EndpointsOptions;
  readonly #loop: Loop;
  /** `namespace/pod` to the text of what was written. */
  readonly #written = new Map<string, string>();
  #swept = false;

  constructor(options: EndpointsOptions) {
    this.#options = options;
    this.#loop = new Loop({
      debounceMs: 100,
      everyMs: 300_000,
      firstPauseMs: 500,
      run: () => options.controllers.run('sync-endpoints', () => this.#sync()),
      onError: error => options.log.warning(`CiliumEndpoints are not up to date: ${messageOf(error)}`),
    });
  }

  /** What the CNI server has may have changed. */
  changed(): void {
    this.#loop.trigger('endpoints');
  }

  stop(): Promise<void> {
    return this.#loop.stop();
  }

  async #sync(): Promise<void> {
    const address = this.#options.nodeAddress();
    if (address === undefined) return;
    const wanted = new Map(
      this.#options
        .endpoints()
        .filter(({ pod, namespace }) => pod !== '' && namespace !== '')
        .map(endpoint => [`${endpoint.namespace}/${endpoint.pod}`, endpoint]),
    );
    if (!this.#swept) await this.#sweep(wanted, address);
    this.#swept = true;
    for (const [key, endpoint] of wanted) {
      const object = endpointObject(endpoint, address, this.#options.keyId());
      const text = JSON.stringify(object);
      if (this.#written.get(key) === text) continue;
      if (await this.#write(object)) this.#written.set(key, text);
    }
    for (const key of [...this.#written.keys()].filter(key => !wanted.has(key))) {
      const [namespace, name] = key.split('/');
      await this.#remove(namespace!, name!, address);
      this.#written.delete(key);
    }
  }

  /** Once: objects of this node that an earlier agent left behind. */
  async #sweep(wanted: Map<string, Endpoint>, address: string): Promise<void> {
    let next: string | undefined;
    do {
      const page = await this.#options.client.list(CILIUMENDPOINTS, {
        limit: 500,
        ...(next === undefined ? {} : { continue: next }),
      });
      for (const { metadata, status } of page.items) {
        const key = `${metadata.namespace}/${metadata.name}`;
        if (status?.networking?.node === address && !wanted.has(key)) this.#written.set(key, '');
      }
      next = page.continue;
    } while (next);
  }

  /** False: the pod is gone already, there is nothing to tell of. */
  async #write(object: CiliumEndpoint): Promise<boolean> {
    const { client } = this.#options;
    const { name, namespace } = object.metadata;
    try {
      const pod = await client.get(PODS, name, namespace);
      const owner = { apiVersion: 'v1', kind: 'Pod', name, uid: pod.metadata.uid ?? '' };
      const owned = { ...object, metadata: { ...object.metadata, ownerReferences: [owner] } };
      await client.apply(CILIUMENDPOINTS, owned, { fieldManager: FIELD_MANAGER, force: true });
      return true;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  /** Unless a pod of the same name lives on another node by now. */
  async #remove(namespace: string, name: string, address: string): Promise<void> {
    const { client } = this.#options;
    try {
      const { metadata, status } = await client.get(CILIUMENDPOINTS, name, namespace);
      if (status?.networking?.node !== address) return;
      const { uid, resourceVersion } = metadata;
      const preconditions = { ...(uid && { uid }), ...(resourceVersion && { resourceVersion }) };
      await client.delete(CILIUMENDPOINTS, name, namespace, { preconditions });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }
}

/** 1 to 65535, the same over restarts. */
export function endpointId(endpoint: Endpoint): number {
  const digest = createHash('sha256').update(`${endpoint.containerId}/${endpoint.ifname}`).digest();
  return (digest.readUInt16BE(0) % 65_535) + 1;
}

/** What Cilium has for it in `status.encryption.key`. */
export function endpointKeyId(goal: Epoch | undefined): number {
  if (goal === undefined) return 0;
  return keyIdOf(goal) ?? (goal === 'wireguard' ? NODE_ENCRYPTION_KEY : 0);
}

function endpointObject(endpoint: Endpoint, node: string, keyId: number): CiliumEndpoint {
  const ip = (family: 4 | 6) => endpoint.ips.find(address => familyOf(address) === family);
  const [ipv4, ipv6] = [ip(4), ip(6)];
  return {
    apiVersion: CILIUMENDPOINTS.apiVersion,
    kind: CILIUMENDPOINTS.kind,
    metadata: { name: endpoint.pod, namespace: endpoint.namespace },
    status: {
      id: endpointId(endpoint),
      networking: { addressing: [{ ...(ipv4 && { ipv4 }), ...(ipv6 && { ipv6 }) }], node },
      encryption: { key: keyId },
      state: 'ready',
      'external-identifiers': {
        'container-id': endpoint.containerId,
        'k8s-namespace': endpoint.namespace,
        'k8s-pod-name': endpoint.pod,
        'pod-name': `${endpoint.namespace}/${endpoint.pod}`,
      },
    },
  };
}
