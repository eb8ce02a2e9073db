/** What the node gives to each of its pods' workers. */
import type { Pod, PodStatus, Service } from '../../kube/core.ts';
import type { Image } from '../images/catalog.ts';
import type { OciMount } from './bundle.ts';
import type { WatchedObjects } from './objects.ts';
import type { DnsSettings } from './podnet.ts';
import type { Runtime } from './runtime.ts';
import type { Sandboxes } from './sandbox.ts';
import type { Tokens } from './tokens.ts';

export interface NodeContext {
  nodeName: string;
  /** Addresses of the node, IPv4 first. */
  nodeIps: string[];
  cpus: number;
  memoryBytes: number;
  /** /var/lib/kubelet */
  root: string;
  podLogs: string;
  nodeHosts: string;
  dns: DnsSettings;
  homes: Map<number, string>;
  machineCapabilities: string[];
  /** What every container sees of the machine beside its root: the project. */
  systemMounts: OciMount[];
  runtime: Runtime;
  sandboxes: Sandboxes;
  tokens: Tokens;
  objects: WatchedObjects;
  statuses: StatusSink;
  /** Services whose addresses a pod of that namespace learns by its environment. */
  services(namespace: string): Service[];
  /** Hex digits that stand for an image's content. */
  imageDigest(image: Image): string;
  event(
    pod: Pod,
    type: 'Normal' | 'Warning',
    reason: string,
    message: string,
    fieldPath: string | undefined,
  ): void;
  /** Runs work when not too much is under way: a node starts a few pods at a time. */
  limit<T>(work: () => Promise<T>): Promise<T>;
  /** Removes the object, whose containers have all ended. False if it has to be tried again. */
  deletePod(pod: Pod): Promise<boolean>;
  removeLogs(pod: Pod): Promise<void>;
  onEnded(uid: string): void;
  log(message: string): void;
}

export interface StatusSink {
  /** Queued; the last one wins. */
  set(pod: Pod, status: PodStatus): void;
  /** Resolves when the last status of that pod is written or given up. */
  flush(uid: string): Promise<void>;
  forget(uid: string): void;
}
