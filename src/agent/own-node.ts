/**
 * This node's own CiliumNode: what the others know of it. Written by server-side apply, only when it differs.
 *
 * The public key is the advertisement of the law: once it is there, others seal for it. So it is written when this node
 * can open, and an old one (of a key that was lost) is taken away at once.
 */
import type { KubeClient } from '../kube/client.ts';
import { CILIUMNODES, type CiliumNode, type Node } from '../kube/types.ts';
import type { AgentConfig } from '../model/config.ts';
import { firstUsable } from '../model/net.ts';
import { CLEANED_UP_ANNOTATION, NODE_ENCRYPTION_KEY, PUBLIC_KEY_ANNOTATION } from '../model/node.ts';
import type { SelfNode } from '../model/snapshot.ts';

export const FIELD_MANAGER = 'cilium-agent';

export interface Advertisement {
  node: Node;
  self: SelfNode;
  config: AgentConfig;
  bootId: string;
  /** base64; absent: others must not seal for this node (yet, or any more). */
  publicKey?: string;
  /** Everything of ours was taken off the node. */
  cleanedUp?: boolean;
}

/** The object as this agent wants it: the fields it owns, and no others. */
export function ownNode({ node, self, config, bootId, publicKey, cleanedUp }: Advertisement): CiliumNode {
  const sealsNode =
    config.encryption === 'wireguard' && config.encryptNode && !self.optedOut && publicKey !== undefined;
  const internal = self.podCIDRs.map(firstUsable);
  return {
    apiVersion: CILIUMNODES.apiVersion,
    kind: CILIUMNODES.kind,
    metadata: {
      name: self.name,
      annotations: {
        ...(publicKey === undefined ? {} : { [PUBLIC_KEY_ANNOTATION]: publicKey }),
        ...(cleanedUp ? { [CLEANED_UP_ANNOTATION]: bootId } : {}),
      },
      ownerReferences: [
        { apiVersion: 'v1', kind: 'Node', name: node.metadata.name, uid: node.metadata.uid ?? '' },
      ],
    },
    spec: {
      bootid: bootId,
      addresses: [
        ...self.addresses.map(ip => ({ type: 'InternalIP', ip })),
        ...internal.map(ip => ({ type: 'CiliumInternalIP', ip })),
      ],
      encryption: { key: sealsNode ? NODE_ENCRYPTION_KEY : 0 },
      nodeidentity: 1,
      ...(config.ipam === 'kubernetes' ? { ipam: { podCIDRs: self.podCIDRs } } : {}),
    },
  };
}

/** Writes the object unless `there` says it already. Answers whether it was written. */
export async function publishOwnNode(
  client: KubeClient,
  there: CiliumNode | undefined,
  wanted: CiliumNode,
): Promise<boolean> {
  if (there && sameWhereOurs(there, wanted)) return false;
  await client.apply(CILIUMNODES, wanted, { fieldManager: FIELD_MANAGER, force: true });
  return true;
}

const OUR_ANNOTATIONS = [PUBLIC_KEY_ANNOTATION, CLEANED_UP_ANNOTATION];

function sameWhereOurs(there: CiliumNode, wanted: CiliumNode): boolean {
  const annotations = (object: CiliumNode) => OUR_ANNOTATIONS.map(key => object.metadata.annotations?.[key]);
  const owner = (object: CiliumNode) =>
    object.metadata.ownerReferences?.find(({ kind }) => kind === 'Node')?.uid;
  const spec = Object.entries(wanted.spec).every(([key, value]) =>
    same(there.spec?.[key as keyof CiliumNode['spec']], value),
  );
  return spec && same(annotations(there), annotations(wanted)) && owner(there) === owner(wanted);
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}
