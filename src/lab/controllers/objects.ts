/** What every controller does with objects: owners, conditions, names, hashes. */
import type { Condition, KubeObject, LabelSelector, OwnerReference } from '../../kube/types.ts';
import { selects } from './selectors.ts';

export type Owner = Pick<KubeObject, 'apiVersion' | 'kind' | 'metadata'>;

export function controllerOf(object: KubeObject): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find(reference => reference.controller === true);
}

export function isControlledBy(object: KubeObject, owner: Owner): boolean {
  return controllerOf(object)?.uid === owner.metadata.uid;
}

export function controllerReference(owner: Owner): OwnerReference {
  return {
    apiVersion: owner.apiVersion,
    kind: owner.kind,
    name: owner.metadata.name,
    uid: owner.metadata.uid ?? '',
    controller: true,
    blockOwnerDeletion: true,
  };
}

/** Which objects are the owner's: its own that still match, orphans to adopt, own ones to let go. */
export function claim<T extends KubeObject>(
  owner: Owner,
  selector: LabelSelector,
  objects: readonly T[],
): { owned: T[]; adopt: T[]; release: T[] } {
  const claimed = { owned: [] as T[], adopt: [] as T[], release: [] as T[] };
  for (const object of objects) {
    if (object.metadata.namespace !== owner.metadata.namespace) continue;
    const controller = controllerOf(object);
    const matches = selects(selector, object.metadata.labels);
    if (controller?.uid === owner.metadata.uid && controller !== undefined) {
      if (matches) claimed.owned.push(object);
      else if (!isDeleting(owner) && !isDeleting(object)) claimed.release.push(object);
    } else if (controller === undefined && matches && !isDeleting(owner) && !isDeleting(object)) {
      claimed.adopt.push(object);
    }
  }
  return claimed;
}

export function isDeleting(object: { metadata: { deletionTimestamp?: string } }): boolean {
  return object.metadata.deletionTimestamp !== undefined;
}

/** Milliseconds since 1970; 0 when there is no time. */
export function timeOf(text: string | undefined): number {
  return text === undefined ? 0 : Date.parse(text) || 0;
}

/** RFC 3339 to the second, as Kubernetes writes its times. */
export function timestamp(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(/\.\d+Z$/, 'Z');
}

export function byAge(a: KubeObject, b: KubeObject): number {
  return (
    timeOf(a.metadata.creationTimestamp) - timeOf(b.metadata.creationTimestamp) ||
    (a.metadata.name < b.metadata.name ? -1 : 1)
  );
}

export function condition(conditions: Condition[] | undefined, type: string): Condition | undefined {
  return conditions?.find(known => known.type === type);
}

/** The conditions with one set; its lastTransitionTime moves only when its status does. */
export function withCondition(
  conditions: readonly Condition[] | undefined,
  next: Condition,
  now: number,
): Condition[] {
  const known = conditions?.find(each => each.type === next.type);
  const lastTransitionTime = known?.status === next.status ? known.lastTransitionTime : undefined;
  const set = { ...next, lastTransitionTime: lastTransitionTime ?? timestamp(now) };
  if (known === undefined) return [...(conditions ?? []), set];
  return (conditions ?? []).map(each => (each === known ? set : each));
}

export function withoutCondition(conditions: readonly Condition[] | undefined, type: string): Condition[] {
  return (conditions ?? []).filter(each => each.type !== type);
}

/** `25%` of a total, or a plain number. */
export function scaled(value: number | string | undefined, total: number, round: 'up' | 'down'): number {
  if (value === undefined) return 0;
  const percent = typeof value === 'string' ? /^(\d+)%$/.exec(value) : null;
  if (percent === null) return Math.max(0, Math.trunc(Number(value)) || 0);
  const share = (Number(percent[1]) * total) / 100;
  return round === 'up' ? Math.ceil(share) : Math.floor(share);
}

const SAFE_CHARACTERS = 'bcdfghjklmnpqrstvwxz2456789';

/** A short name for a value: FNV-1a over its JSON with sorted keys, in letters that spell nothing. */
export function shortHash(value: unknown): string {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(canonical(value))) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return [...String(hash)]
    .map(digit => SAFE_CHARACTERS[digit.charCodeAt(0) % SAFE_CHARACTERS.length])
    .join('');
}

/** Five letters, as the API server appends to a generateName. */
export function nameSuffix(random: () => number): string {
  return Array.from({ length: 5 }, () => SAFE_CHARACTERS[Math.floor(random() * SAFE_CHARACTERS.length)]).join(
    '',
  );
}

/** A name for a generated object: the base cut so that name and suffix stay within 63 characters. */
export function generatedName(base: string, random: () => number): string {
  return `${base.slice(0, 58)}${nameSuffix(random)}`;
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
