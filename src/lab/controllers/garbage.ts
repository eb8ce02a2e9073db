/** The garbage collector: watches every type there is and carries out what `judge` decides. */
import { isNotFound } from '../../kube/client.ts';
import type { Change } from '../../kube/reflector.ts';
import { CRDS, type KubeObject, type OwnerReference, type ResourceType } from '../../kube/types.ts';
import type { Cluster } from './cluster.ts';
import { type Controller, controller } from './controller.ts';
import { discover } from './discovery.ts';
import {
  Graph,
  type Item,
  isDeletingDependents,
  judge,
  ORPHAN,
  type OwnerState,
  ownersOf,
  uidOf,
} from './garbagegraph.ts';
import { isDeleting } from './objects.ts';

/** Events come and go by their age and own nothing. */
const IGNORED = new Set(['events']);
const DISCOVERY = 'discovery';
/** Between two looks at which types there are (milliseconds); a CRD's change asks for one at once. */
const REDISCOVER = 60_000;

export function garbageController(cluster: Cluster): Controller {
  const graph = new Graph();
  const watched = new Map<string, ResourceType>();
  const crds = cluster.cache(CRDS);
  let enqueue: (uid: string) => void = () => {};

  return controller({
    name: 'garbage',
    cluster,
    workers: 4,
    watch(add) {
      enqueue = add;
      crds.subscribe(() => add(DISCOVERY));
      add(DISCOVERY);
      return [crds];
    },
    async reconcile(key) {
      if (key === DISCOVERY) return await rediscover();
      const item = graph.get(key);
      if (item !== undefined) await settle(item);
      return undefined;
    },
  });

  async function rediscover(): Promise<number> {
    const found = (await discover(cluster.client)).filter(
      ({ type, verbs }) => verbs.includes('list') && verbs.includes('watch') && !IGNORED.has(type.plural),
    );
    const keys = new Set(found.map(({ type }) => typeKey(type)));
    for (const { type } of found) {
      if (watched.has(typeKey(type))) continue;
      watched.set(typeKey(type), type);
      const cache = cluster.cache(type);
      for (const object of cache.items()) changed(type, { type: 'added', object });
      cache.subscribe(change => changed(type, change));
    }
    for (const [key, type] of watched) {
      if (keys.has(key)) continue;
      watched.delete(key);
      cluster.forget(type);
      for (const item of graph.ofType(type)) changed(type, { type: 'deleted', object: item.object });
    }
    return REDISCOVER;
  }

  function changed(type: ResourceType, change: Change<KubeObject>): void {
    const item: Item = { type, object: change.object };
    const uid = uidOf(item);
    if (change.type === 'deleted') {
      const dependents = graph.dependents(uid);
      graph.remove(uid);
      for (const dependent of dependents) enqueue(uidOf(dependent));
      awaited(item);
      return;
    }
    const before = graph.get(uid);
    graph.set(item);
    if (before !== undefined && ownersOf(before).length > ownersOf(item).length) awaited(before);
    const suspect = ownersOf(item).some(owner => graph.ownerState(item, owner) !== 'solid');
    if (suspect || isDeleting(item.object)) enqueue(uid);
  }

  /** Its owners may be waiting for just this. */
  function awaited(item: Item): void {
    for (const owner of ownersOf(item)) if (graph.get(owner.uid)) enqueue(owner.uid);
  }

  async function settle(item: Item): Promise<void> {
    const states = isDeleting(item.object)
      ? []
      : await Promise.all(ownersOf(item).map(owner => ownerState(item, owner)));
    const verdict = judge(graph, item, states);
    switch (verdict.action) {
      case 'none':
        return;
      case 'unlink':
        return await unlink(item, verdict.owners);
      case 'delete': {
        const { resourceVersion } = item.object.metadata;
        const preconditions = resourceVersion ? { resourceVersion } : {};
        return await cluster.delete(item.type, item.object, {
          propagationPolicy: verdict.policy,
          preconditions,
        });
      }
      case 'orphanDependents': {
        const owners = [uidOf(item)];
        await Promise.all(
          verdict.dependents.map(dependent =>
            unlink(
              dependent,
              ownersOf(dependent).filter(owner => owners.includes(owner.uid)),
            ),
          ),
        );
        return await finish(item, ORPHAN);
      }
      case 'awaitDependents':
        for (const dependent of verdict.dependents) enqueue(uidOf(dependent));
        return;
      case 'finish':
        return await finish(item, verdict.finalizer);
    }
  }

  async function ownerState(item: Item, owner: OwnerReference): Promise<OwnerState> {
    const known = graph.ownerState(item, owner);
    if (known !== undefined) return known;
    const type = [...watched.values()].find(
      each => each.kind === owner.kind && group(each.apiVersion) === group(owner.apiVersion),
    );
    // A type that cannot be looked at says nothing about its objects.
    if (type === undefined) return 'solid';
    try {
      const found = await cluster.client.get(type, owner.name, item.object.metadata.namespace);
      if (found.metadata.uid !== owner.uid) return 'gone';
      return owner.blockOwnerDeletion && isDeletingDependents(found) ? 'waiting' : 'solid';
    } catch (error) {
      if (isNotFound(error)) return 'gone';
      throw error;
    }
  }

  async function unlink(item: Item, owners: readonly OwnerReference[]): Promise<void> {
    const loose = new Set(owners.map(owner => owner.uid));
    const ownerReferences = ownersOf(item).filter(owner => !loose.has(owner.uid));
    const { resourceVersion } = item.object.metadata;
    await patchMetadata(item, { ownerReferences, resourceVersion });
  }

  async function finish(item: Item, finalizer: string): Promise<void> {
    const live = await cluster.live(item.type, item.object);
    if (!live?.metadata.finalizers?.includes(finalizer)) return;
    const finalizers = live.metadata.finalizers.filter(each => each !== finalizer);
    await patchMetadata(item, { finalizers, resourceVersion: live.metadata.resourceVersion });
  }

  async function patchMetadata(item: Item, metadata: Record<string, unknown>): Promise<void> {
    try {
      await cluster.patch(item.type, item.object, { metadata });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }
}

function typeKey(type: ResourceType): string {
  return `${type.apiVersion}/${type.plural}`;
}

function group(apiVersion: string): string {
  const slash = apiVersion.indexOf('/');
  return slash < 0 ? '' : apiVersion.slice(0, slash);
}
