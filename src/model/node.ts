/**
 * A node as its CiliumNode object tells of it, checked field by field. What an object says is somebody else's word: a
 * wrong one costs that node its place among the peers, and nothing else.
 */
import { addressOf, familyOf, isUnicast, prefixOf } from './net.ts';

/** What of a CiliumNode object matters here; anything may be in `spec`. */
export interface NodeObject {
  metadata: {
    name: string;
    uid?: string;
    creationTimestamp?: string;
    annotations?: Readonly<Record<string, string>>;
  };
  spec?: unknown;
}

export interface ClusterNode {
  name: string;
  /** RFC 3339; empty when the server gave none. */
  created: string;
  /** InternalIPs where there are any, else ExternalIPs; v4 first. */
  addresses: string[];
  /** CiliumInternalIPs: what cilium_host holds. */
  internal: string[];
  podCIDRs: string[];
  /** base64 of 32 bytes; absent: not advertised (yet). */
  publicKey?: string;
  /** Its own traffic, not only its pods', is sealed. */
  sealsNode: boolean;
  bootId?: string;
}

export type RefusalReason =
  | 'InvalidPublicKey'
  | 'DuplicatePublicKey'
  | 'InvalidAddress'
  | 'DuplicateAddress'
  | 'InvalidPodCIDR'
  | 'PodCIDROutsideCluster'
  | 'PodCIDROverlap';

/** Why a node is no peer. `message` is a sentence with the remedy. */
export interface Refusal {
  name: string;
  reason: RefusalReason;
  message: string;
}

export const PUBLIC_KEY_ANNOTATION = 'network.cilium.io/wg-pub-key';
/** Value: the boot ID of the node's run in which everything of ours was taken off it. */
export const CLEANED_UP_ANNOTATION = 'pellicle.io/cleaned-up';
/** CiliumNode.spec.encryption.key of a node whose own traffic is sealed by WireGuard. */
export const NODE_ENCRYPTION_KEY = 255;

/** The node that the object describes, or why it cannot be used. */
export function readNode(object: NodeObject): ClusterNode | Refusal {
  const { name } = object.metadata;
  const spec = record(object.spec);
  const refuse = (reason: RefusalReason, message: string): Refusal => ({ name, reason, message });

  const text = object.metadata.annotations?.[PUBLIC_KEY_ANNOTATION];
  const publicKey = text ? canonicalKey(text) : undefined;
  if (text && publicKey === undefined) {
    return refuse(
      'InvalidPublicKey',
      `The annotation ${PUBLIC_KEY_ANNOTATION} of ${name} is not a WireGuard public key (base64 of 32 bytes); ` +
        `remove the annotation and restart the agent on ${name}, which writes its own.`,
    );
  }

  const addresses = list(spec['addresses']).map(record);
  const read: Record<'InternalIP' | 'ExternalIP' | 'CiliumInternalIP', string[]> = {
    InternalIP: [],
    ExternalIP: [],
    CiliumInternalIP: [],
  };
  for (const entry of addresses) {
    const { type, ip } = entry;
    if (type !== 'InternalIP' && type !== 'ExternalIP' && type !== 'CiliumInternalIP') continue;
    const address = typeof ip === 'string' ? addressOf(ip) : undefined;
    if (address === undefined || !isUnicast(address)) {
      return refuse(
        'InvalidAddress',
        `spec.addresses of ${name} has the ${type} ${quote(ip)}, which is no address of a node; correct it there.`,
      );
    }
    read[type].push(address);
  }

  const podCIDRs: string[] = [];
  for (const cidr of list(record(spec['ipam'])['podCIDRs'])) {
    const prefix = typeof cidr === 'string' ? prefixOf(cidr) : undefined;
    if (prefix === undefined) {
      return refuse(
        'InvalidPodCIDR',
        `spec.ipam.podCIDRs of ${name} has ${quote(cidr)}, which is no CIDR such as 10.244.1.0/24; correct it there.`,
      );
    }
    podCIDRs.push(prefix);
  }

  const bootId = spec['bootid'];
  return {
    name,
    created: object.metadata.creationTimestamp ?? '',
    addresses: byFamily(read.InternalIP.length > 0 ? read.InternalIP : read.ExternalIP),
    internal: byFamily(read.CiliumInternalIP),
    podCIDRs: byFamily(podCIDRs),
    ...(publicKey === undefined ? {} : { publicKey }),
    sealsNode: record(spec['encryption'])['key'] === NODE_ENCRYPTION_KEY,
    ...(typeof bootId === 'string' && bootId !== '' ? { bootId } : {}),
  };
}

export function isRefusal(read: ClusterNode | Refusal): read is Refusal {
  return 'reason' in read;
}

/** The one spelling of a public key: base64 of 32 bytes that are not all zero; undefined for what is none. */
export function canonicalKey(text: string): string | undefined {
  if (!/^[A-Za-z0-9+/]{43}=$/.test(text)) return undefined;
  const bytes = Buffer.from(text, 'base64');
  const canonical = bytes.toString('base64');
  return canonical === text && bytes.some(byte => byte !== 0) ? canonical : undefined;
}

/** Older objects first; of the same second, by name. */
export function bySeniority(a: ClusterNode, b: ClusterNode): number {
  return compareText(a.created || '9', b.created || '9') || compareText(a.name, b.name);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** v4 first, otherwise in the order given, nothing twice. */
function byFamily(texts: string[]): string[] {
  return [...new Set(texts)].sort((a, b) => familyOf(a) - familyOf(b));
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

/** At most 60 characters of a foreign value, for a sentence. */
function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length <= 60 ? text : `${text.slice(0, 57)}…`;
}
