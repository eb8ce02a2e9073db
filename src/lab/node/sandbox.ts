/** Pod sandboxes: a network namespace for each pod, joined to the network by the CNI plugins. */
import { randomBytes, randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pod } from '../../kube/core.ts';
import { createNetns, deleteNetns } from '../../linux/netns.ts';
import {
  type Attachment,
  type Cni,
  type CniResult,
  type NetworkConfig,
  readNetworkConfig,
  resultAddresses,
} from './cni.ts';

/** Kept on a tmpfs from before ADD until after DEL, so that nothing is forgotten when the kubelet is killed. */
export interface Sandbox {
  id: string;
  podUid: string;
  podNamespace: string;
  podName: string;
  ips: string[];
  /** ADD has succeeded, or there was nothing to add. */
  ready: boolean;
  createdAt: string;
  /** Absent with hostNetwork. */
  network?: { attachment: Attachment; config: NetworkConfig; result?: CniResult };
}

export class NetworkNotReady extends Error {}

export interface SandboxPlaces {
  /** Of the records. */
  records: string;
  /** Of the namespaces' files; the agent sees them there. */
  namespaces: string;
  cniConfig: string;
}

export class Sandboxes {
  readonly #places: SandboxPlaces;
  readonly #cni: Cni;

  constructor(places: SandboxPlaces, cni: Cni) {
    this.#places = places;
    this.#cni = cni;
  }

  async load(): Promise<Sandbox[]> {
    await mkdir(this.#places.records, { recursive: true, mode: 0o700 });
    const names = readdirSync(this.#places.records).filter(name => name.endsWith('.json'));
    return names.map(name => JSON.parse(readFileSync(join(this.#places.records, name), 'utf8')) as Sandbox);
  }

  /** Its record, before anything else of it is there. Throws NetworkNotReady without a CNI configuration. */
  async begin(pod: Pod, hostIps: string[]): Promise<Sandbox> {
    const sandbox: Sandbox = {
      id: randomBytes(32).toString('hex'),
      podUid: pod.metadata.uid ?? '',
      podNamespace: pod.metadata.namespace ?? 'default',
      podName: pod.metadata.name,
      ips: pod.spec.hostNetwork ? hostIps : [],
      ready: pod.spec.hostNetwork ?? false,
      createdAt: new Date().toISOString(),
    };
    if (!pod.spec.hostNetwork) {
      const config = readNetworkConfig(this.#places.cniConfig);
      if (!config) throw new NetworkNotReady(cniNotReady);
      const netns = join(this.#places.namespaces, `cni-${randomUUID()}`);
      sandbox.network = { attachment: attachmentOf(sandbox, pod, netns), config };
    }
    await this.#save(sandbox);
    return sandbox;
  }

  /** Its namespace, and ADD. Throws CniError when that fails; `remove` then takes away what there is. */
  async join(sandbox: Sandbox): Promise<void> {
    const { network } = sandbox;
    if (!network) return;
    await createNetns(network.attachment.netns);
    network.result = await this.#cni.add(network.config, network.attachment);
    sandbox.ips = resultAddresses(network.result);
    sandbox.ready = true;
    await this.#save(sandbox);
  }

  /** Tells the plugins which sandboxes there are. */
  async collectGarbage(ids: string[]): Promise<void> {
    const config = readNetworkConfig(this.#places.cniConfig);
    if (config) await this.#cni.collectGarbage(config, ids);
  }

  /**
   * DEL, then the namespace goes, and with it all that hangs on it. Throws CniError, to be tried again; unless the
   * network has been uninstalled: then nobody is left to answer. Idempotent.
   */
  async remove(sandbox: Sandbox): Promise<void> {
    const { network } = sandbox;
    if (network) {
      try {
        await this.#cni.remove(network.config, network.attachment, network.result);
      } catch (error) {
        if (readNetworkConfig(this.#places.cniConfig)) throw error;
      }
      await deleteNetns(network.attachment.netns);
    }
    await rm(this.#file(sandbox), { force: true });
  }

  async #save(sandbox: Sandbox): Promise<void> {
    const file = this.#file(sandbox);
    await writeFile(`${file}.tmp`, JSON.stringify(sandbox), { mode: 0o600 });
    await rename(`${file}.tmp`, file);
  }

  #file({ id }: Sandbox): string {
    return join(this.#places.records, `${id}.json`);
  }
}

export const cniNotReady =
  'container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized';

function attachmentOf(sandbox: Sandbox, pod: Pod, netns: string): Attachment {
  const ports = pod.spec.containers.flatMap(container => container.ports ?? []);
  return {
    containerId: sandbox.id,
    netns,
    podNamespace: sandbox.podNamespace,
    podName: sandbox.podName,
    podUid: sandbox.podUid,
    portMappings: ports
      .filter(port => port.hostPort)
      .map(port => ({
        hostPort: port.hostPort!,
        containerPort: port.containerPort,
        protocol: (port.protocol ?? 'TCP').toLowerCase(),
        ...(port.hostIP && { hostIP: port.hostIP }),
      })),
  };
}
