/**
 * This node's own CiliumNode: what the others know of it. Written by server-side apply, only when it differs, and only over
 * the very object that was seen: what it says of epochs is an answer to what stood there.
 */
import { isConflict, isNotFound, type KubeClient } from '../kube/client.ts';
import { CILIUMNODES, type CiliumNode, type Node } from '../kube/types.ts';
import type { AgentConfig } from '../model/config.ts';
import { type Advertisement, EPOCHS_ANNOTATION, formatAdvertisement } from '../model/epochs/advertisement.ts';
import type { Epoch } from '../model/epochs/epoch.ts';
import { firstUsable } from '../model/net.ts';
import { CLEANED_UP_ANNOTATION, NODE_ENCRYPTION_KEY, PUBLIC_KEY_ANNOTATION } from '../model/node.ts';
import type { SelfNode } from '../model/snapshot.ts';

export const FIELD_MANAGER = 'cilium-agent';
/** Value: the epoch of whose key some SA of this node has sealed so much that another key should come. */
export const KEY_DUE_ANNOTATION = 'pellicle.io/key-due';

export interface OwnNode {
  node: Node;
  self: SelfNode;
  config: AgentConfig;
  /** Which epochs are told of, and for which run of this node. */
  said: Said;
  /** base64; absent: others must not seal for this node by WireGuard (yet, or any more). */
  publicKey?: string;
  /** The id of the IPsec key that this node seals with. */
  keyId?: number;
  keyDue?: Epoch;
  /** Everything of ours was taken off the node in this run of the kernel (its boot ID). */
  cleanedUp?: string;
}

/** The advertisement of epochs as it is written: the run in `spec.bootid`, the rest in an annotation. */
export interface Said {
  readonly incarnation: string;
  readonly text?: string;
}

export function saying(advertisement: Advertisement): Said {
  return { incarnation: advertisement.incarnation, text: formatAdvertisement(advertisement) };
}

/** What stands there is said again; `incarnation` when nothing does. */
export function sayingAgain(there: CiliumNode | undefined, incarnation: string): Said {
  const text = there?.metadata.annotations?.[EPOCHS_ANNOTATION];
  return text === undefined ? { incarnation } : { incarnation: there?.spec?.bootid ?? incarnation, text };
}

/** The object as this agent wants it: the fields it owns, and no others. */
export function ownNode(own: OwnNode): CiliumNode {
  const { node, self, config, said, publicKey, keyId, keyDue, cleanedUp } = own;
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
        ...(said.text === undefined ? {} : { [EPOCHS_ANNOTATION]: said.text }),
        ...(keyDue === undefined ? {} : { [KEY_DUE_ANNOTATION]: keyDue }),
        ...(cleanedUp === undefined ? {} : { [CLEANED_UP_ANNOTATION]: cleanedUp }),
      },
      ownerReferences: [
        { apiVersion: 'v1', kind: 'Node', name: node.metadata.name, uid: node.metadata.uid ?? '' },
      ],
    },
    spec: {
      bootid: said.incarnation,
      addresses: [
        ...self.addresses.map(ip => ({ type: 'InternalIP', ip })),
        ...internal.map(ip => ({ type: 'CiliumInternalIP', ip })),
      ],
      encryption: { key: sealsNode ? NODE_ENCRYPTION_KEY : (keyId ?? 0) },
      nodeidentity: 1,
      ...(config.ipam === 'kubernetes' ? { ipam: { podCIDRs: self.podCIDRs } } : {}),
    },
  };
}

/** `overtaken`: somebody else has written since `there` was seen; nothing was written. */
export type Published = 'written' | 'unchanged' | 'overtaken';

/** Writes the object unless `there` says it already. */
export async function publishOwnNode(
  client: KubeClient,
  there: CiliumNode | undefined,
  wanted: CiliumNode,
): Promise<Published> {
  if (there && sameWhereOurs(there, wanted)) return 'unchanged';
  const resourceVersion = there?.metadata.resourceVersion;
  const metadata = { ...wanted.metadata, ...(resourceVersion === undefined ? {} : { resourceVersion }) };
  try {
    await client.apply(CILIUMNODES, { ...wanted, metadata }, { fieldManager: FIELD_MANAGER, force: true });
    return 'written';
  } catch (error) {
    if (isConflict(error) || isNotFound(error)) return 'overtaken';
    throw error;
  }
}

const OUR_ANNOTATIONS = [PUBLIC_KEY_ANNOTATION, EPOCHS_ANNOTATION, KEY_DUE_ANNOTATION, CLEANED_UP_ANNOTATION];

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
