/** One reconcile loop: which changes name which keys, and what is done with a key. */
import { ApiError, isConflict, KubeUnreachable } from '../../kube/client.ts';
import type { Change } from '../../kube/reflector.ts';
import type { KubeObject } from '../../kube/types.ts';
import type { Cluster } from './cluster.ts';
import { controllerOf } from './objects.ts';
import { WorkQueue } from './workqueue.ts';

export interface Controller {
  readonly name: string;
  start(): void;
  stop(): Promise<void>;
}

export type Enqueue = (key: string) => void;

export interface ControllerOptions {
  name: string;
  cluster: Cluster;
  /** Subscribes to caches; called before they start. Answers the caches that have to be complete before any work. */
  watch(enqueue: Enqueue): { synced: Promise<void> }[];
  /** See WorkQueueOptions.reconcile. */
  reconcile(key: string): Promise<number | undefined>;
  workers?: number;
}

/** Key of a controller that has but one thing to look at. */
export const EVERYTHING = 'everything';

export function controller(options: ControllerOptions): Controller {
  const { name, cluster } = options;
  const queue = new WorkQueue({
    clock: cluster.clock,
    random: cluster.random,
    workers: options.workers ?? 4,
    reconcile: options.reconcile,
    onError: (key, error, failures) => {
      if (worthTelling(error, failures)) cluster.log(`${name} ${key}: ${messageOf(error)}`);
    },
  });
  const early = new Set<string>();
  let complete = false;
  let stopped = false;
  const needed = options.watch(key => {
    if (complete) queue.add(key);
    else early.add(key);
  });
  return {
    name,
    start() {
      void Promise.all(needed.map(cache => cache.synced)).then(() => {
        if (stopped) return;
        complete = true;
        for (const key of early) queue.add(key);
        early.clear();
      });
    },
    async stop() {
      stopped = true;
      await queue.stop();
    },
  };
}

/** Enqueues the object itself with every change. */
export function eachObject<T extends KubeObject>(enqueue: Enqueue): (change: Change<T>) => void {
  return change => enqueue(keyOf(change.object));
}

/** Enqueues the controller of a kind that owns, or owned, the changed object. */
export function ownerOf<T extends KubeObject>(kind: string, enqueue: Enqueue): (change: Change<T>) => void {
  return change => {
    for (const object of [change.object, change.old]) {
      const owner = object && controllerOf(object);
      if (owner?.kind === kind) enqueue(`${object?.metadata.namespace ?? ''}/${owner.name}`);
    }
  };
}

export function keyOf(object: KubeObject): string {
  const { name, namespace } = object.metadata;
  return namespace ? `${namespace}/${name}` : name;
}

export function splitKey(key: string): { name: string; namespace: string } {
  const slash = key.indexOf('/');
  return { namespace: key.slice(0, Math.max(slash, 0)), name: key.slice(slash + 1) };
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Conflicts, objects that have just gone and an absent API server are everyday life: the next look settles them. */
function worthTelling(error: unknown, failures: number): boolean {
  if (error instanceof KubeUnreachable) return false;
  if (isConflict(error)) return failures > 5;
  if (error instanceof ApiError && error.code === 404) return failures > 3;
  if (error instanceof ApiError && error.message.includes('because it is being terminated')) return false;
  return true;
}
