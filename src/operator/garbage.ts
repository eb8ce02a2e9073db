/** Which CiliumNodes and CiliumEndpoints belong to nothing any more, and which pods have no network of ours. */
import type { CiliumEndpoint, CiliumNode, Node, Pod } from '../kube/types.ts';

/** Milliseconds that a CiliumNode without a Node is left alone: its Node may be about to register. */
export const NODE_GRACE = 60_000;
/** The same when the Node was seen to go. */
export const DELETED_NODE_GRACE = 2_000;

/** Remembers since when objects have been without an owner. Pure apart from that memory. */
export class Orphans {
  readonly #since = new Map<string, number>();

  /** Names that were in every call for at least their grace; `now` in milliseconds, monotonic. */
  due(names: Iterable<string>, now: number, grace: (name: string) => number): string[] {
    const current = new Set(names);
    for (const name of this.#since.keys()) if (!current.has(name)) this.#since.delete(name);
    for (const name of current) if (!this.#since.has(name)) this.#since.set(name, now);
    return [...this.#since].filter(([name, since]) => now - since >= grace(name)).map(([name]) => name);
  }
}

/** CiliumNodes whose Node is not there. None when there is no Node at all: that is a fault, not a cluster. */
export function ownerlessNodes(ciliumNodes: CiliumNode[], nodes: Node[]): string[] {
  if (nodes.length === 0) return [];
  const known = new Set(nodes.map(node => node.metadata.name));
  return ciliumNodes.map(node => node.metadata.name).filter(name => !known.has(name));
}

/** `namespace/name` of CiliumEndpoints whose Pod is not there, or is another one of that name. */
export function ownerlessEndpoints(endpoints: CiliumEndpoint[], pods: Pod[]): string[] {
  const uids = new Map(pods.map(({ metadata }) => [`${metadata.namespace}/${metadata.name}`, metadata.uid]));
  return endpoints
    .filter(({ metadata }) => {
      const key = `${metadata.namespace}/${metadata.name}`;
      const owner = metadata.ownerReferences?.find(({ kind }) => kind === 'Pod');
      return !uids.has(key) || (owner !== undefined && owner.uid !== uids.get(key));
    })
    .map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);
}

/** Milliseconds that a DNS pod may run without an endpoint: its agent may be about to tell of it. */
export const UNMANAGED_GRACE = 15_000;

/**
 * `namespace/name` of DNS pods that run without a network of ours, such as those from before the installation. Nothing
 * in the cluster works without them, and whoever made them makes them again.
 */
export function unmanagedDnsPods(dnsPods: Pod[], endpoints: CiliumEndpoint[]): string[] {
  const managed = new Set(endpoints.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`));
  return dnsPods
    .filter(({ metadata, spec, status }) => {
      const owned = metadata.ownerReferences?.some(({ controller }) => controller === true) ?? false;
      return owned && !spec.hostNetwork && !metadata.deletionTimestamp && status?.phase === 'Running';
    })
    .map(({ metadata }) => `${metadata.namespace}/${metadata.name}`)
    .filter(key => !managed.has(key));
}
