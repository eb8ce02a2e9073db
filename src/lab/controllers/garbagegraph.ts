/** Who owns whom, and what follows from it for one object: the rules of the garbage collector, without I/O. */
import type { KubeObject, OwnerReference, ResourceType } from '../../kube/types.ts';
import { isDeleting } from './objects.ts';

export const FOREGROUND = 'foregroundDeletion';
export const ORPHAN = 'orphan';

export interface Item {
  type: ResourceType;
  object: KubeObject;
}

/** What an owner reference leads to. `waiting`: an owner that is being deleted and waits for this dependent. */
export type OwnerState = 'solid' | 'waiting' | 'gone';

export type Verdict =
  | { action: 'none' }
  | { action: 'unlink'; owners: OwnerReference[] }
  | { action: 'delete'; policy: 'Background' | 'Foreground' | 'Orphan' }
  | { action: 'orphanDependents'; dependents: Item[] }
  | { action: 'awaitDependents'; dependents: Item[] }
  | { action: 'finish'; finalizer: typeof FOREGROUND | typeof ORPHAN };

export class Graph {
  readonly #items = new Map<string, Item>();
  readonly #dependents = new Map<string, Set<string>>();

  get(uid: string): Item | undefined {
    return this.#items.get(uid);
  }

  set(item: Item): void {
    const uid = uidOf(item);
    this.remove(uid);
    this.#items.set(uid, item);
    for (const owner of ownersOf(item)) {
      const dependents = this.#dependents.get(owner.uid) ?? new Set();
      this.#dependents.set(owner.uid, dependents.add(uid));
    }
  }

  remove(uid: string): void {
    const item = this.#items.get(uid);
    if (item === undefined) return;
    this.#items.delete(uid);
    for (const owner of ownersOf(item)) {
      const dependents = this.#dependents.get(owner.uid);
      dependents?.delete(uid);
      if (dependents?.size === 0) this.#dependents.delete(owner.uid);
    }
  }

  dependents(uid: string): Item[] {
    return [...(this.#dependents.get(uid) ?? [])].map(each => this.#items.get(each)!);
  }

  /** The items of one type, for when the type itself goes. */
  ofType(type: ResourceType): Item[] {
    return [...this.#items.values()].filter(
      item => item.type.apiVersion === type.apiVersion && item.type.plural === type.plural,
    );
  }

  /** Whether an owner reference leads to an object that is known here. */
  knows(dependent: Item, owner: OwnerReference): boolean {
    return this.#owner(dependent, owner) !== undefined;
  }

  /** Of a known owner; undefined when only the API server can tell. */
  ownerState(dependent: Item, owner: OwnerReference): OwnerState | undefined {
    const found = this.#owner(dependent, owner);
    if (found === undefined) return undefined;
    return owner.blockOwnerDeletion && isDeletingDependents(found.object) ? 'waiting' : 'solid';
  }

  #owner(dependent: Item, owner: OwnerReference): Item | undefined {
    const found = this.#items.get(owner.uid);
    if (found === undefined) return undefined;
    // A namespaced owner owns only within its namespace.
    const { namespace } = found.object.metadata;
    return found.type.namespaced && namespace !== dependent.object.metadata.namespace ? undefined : found;
  }
}

/** `states` are those of the item's owner references, in order. */
export function judge(graph: Graph, item: Item, states: readonly OwnerState[]): Verdict {
  const { object } = item;
  const dependents = graph.dependents(uidOf(item));
  const finalizers = object.metadata.finalizers ?? [];
  if (isDeleting(object)) {
    if (finalizers.includes(ORPHAN))
      return dependents.length > 0
        ? { action: 'orphanDependents', dependents }
        : { action: 'finish', finalizer: ORPHAN };
    if (!finalizers.includes(FOREGROUND)) return { action: 'none' };
    const blocking = dependents.filter(dependent => blocks(dependent, uidOf(item)));
    return blocking.length > 0
      ? { action: 'awaitDependents', dependents }
      : { action: 'finish', finalizer: FOREGROUND };
  }
  const owners = ownersOf(item);
  if (owners.length === 0) return { action: 'none' };
  if (states.includes('solid')) {
    const loose = owners.filter((_, index) => states[index] !== 'solid');
    return loose.length > 0 ? { action: 'unlink', owners: loose } : { action: 'none' };
  }
  if (states.includes('waiting') && dependents.length > 0) return { action: 'delete', policy: 'Foreground' };
  if (finalizers.includes(ORPHAN)) return { action: 'delete', policy: 'Orphan' };
  if (finalizers.includes(FOREGROUND)) return { action: 'delete', policy: 'Foreground' };
  return { action: 'delete', policy: 'Background' };
}

export function ownersOf(item: Item): OwnerReference[] {
  return item.object.metadata.ownerReferences ?? [];
}

export function uidOf(item: Item): string {
  return item.object.metadata.uid ?? '';
}

export function isDeletingDependents(object: KubeObject): boolean {
  return isDeleting(object) && (object.metadata.finalizers ?? []).includes(FOREGROUND);
}

function blocks(dependent: Item, owner: string): boolean {
  return ownersOf(dependent).some(each => each.uid === owner && each.blockOwnerDeletion === true);
}
