/**
 * A local copy of the objects of one type, kept by list and watch.
 *
 * The watch is resumed where it broke; when the server no longer knows that place (410), the objects are listed again
 * and what differs is reported as changes. It never gives up: failures are retried with growing, jittered pauses.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { KubeClient, WatchEvent } from './client.ts';
import { ApiError, apiError } from './errors.ts';
import { type KubeObject, objectKey, type ResourceType } from './types.ts';

export interface Change<T> {
  type: 'added' | 'modified' | 'deleted';
  object: T;
  /** The object as it was before a modification. */
  old?: T;
}

export interface ReflectorClock {
  /** Milliseconds, monotonic. */
  now(): number;
  sleep(milliseconds: number, signal: AbortSignal): Promise<void>;
  /** In [0, 1): spreads the pauses. */
  random(): number;
}

export interface ReflectorOptions<T> {
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
  /** Called in order, one at a time. What it throws ends the process: it is a bug. */
  onChange?: (change: Change<T>) => void;
  /** After the first complete list, whose objects were all reported as added before. */
  onSync?: () => void;
  clock?: ReflectorClock;
  log?: (message: string) => void;
}

export const FIRST_PAUSE = 100;
export const LONGEST_PAUSE = 10_000;
/** A watch that lived this long was sound: the next failure starts from the shortest pause. */
const SOUND = 5_000;

export class Reflector<T extends KubeObject> {
  readonly synced: Promise<void>;
  readonly #client: KubeClient;
  readonly #type: ResourceType<T>;
  readonly #options: ReflectorOptions<T>;
  readonly #clock: ReflectorClock;
  readonly #store = new Map<string, T>();
  #markSynced: () => void = () => {};
  #abort: AbortController | undefined;

  constructor(client: KubeClient, type: ResourceType<T>, options: ReflectorOptions<T> = {}) {
    this.#client = client;
    this.#type = type;
    this.#options = options;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.synced = promise;
    this.#markSynced = resolve;
  }

  start(): void {
    if (this.#abort) return;
    this.#abort = new AbortController();
    void this.#run(this.#abort.signal).catch(raise);
  }

  /** No change is reported after this. What was copied stays readable. */
  stop(): void {
    this.#abort?.abort();
  }

  get(name: string, namespace?: string): T | undefined {
    return this.#store.get(objectKey({ metadata: { name, ...(namespace && { namespace }) } }));
  }

  items(): T[] {
    return [...this.#store.values()];
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { namespace, labelSelector, fieldSelector } = this.#options;
    const selection = {
      ...(namespace && { namespace }),
      ...(labelSelector && { labelSelector }),
      ...(fieldSelector && { fieldSelector }),
    };
    let resourceVersion: string | undefined;
    let failures = 0;
    while (!signal.aborted) {
      const started = this.#clock.now();
      try {
        if (resourceVersion === undefined) {
          const list = await this.#client.list(this.#type, selection);
          if (signal.aborted) return;
          this.#replace(list.items);
          resourceVersion = list.resourceVersion;
          this.#reportSync();
        }
        const timeoutSeconds = 300 + Math.floor(300 * this.#clock.random());
        const options = { ...selection, resourceVersion, signal, timeoutSeconds };
        for await (const event of this.#client.watch(this.#type, options)) {
          if (signal.aborted) return;
          resourceVersion = this.#handle(event);
        }
        failures = this.#clock.now() - started < SOUND ? failures + 1 : 0;
      } catch (error) {
        if (error instanceof ChangeFailed) throw error.cause;
        // Refused (410 above all): only a broken connection is resumed where it was.
        if (error instanceof ApiError || error instanceof BadEvent) resourceVersion = undefined;
        failures = this.#clock.now() - started < SOUND ? failures + 1 : 1;
        if (!signal.aborted) this.#options.log?.(`watch of ${this.#type.plural}: ${messageOf(error)}`);
      }
      if (failures > 0) await this.#pause(failures, signal);
    }
  }

  #handle(event: WatchEvent<T>): string {
    if (event.type === 'ERROR')
      throw apiError(500, JSON.stringify({ ...event.object, kind: 'Status' }), 'watch');
    const { resourceVersion, name } = event.object.metadata ?? {};
    if (!resourceVersion) throw new BadEvent(`a ${event.type} without a resourceVersion`);
    if (event.type === 'BOOKMARK') return resourceVersion;
    if (!name) throw new BadEvent(`a ${event.type} without a name`);
    if (event.type === 'DELETED') this.#forget(event.object);
    else if (event.type === 'ADDED' || event.type === 'MODIFIED') this.#keep(event.object);
    else throw new BadEvent(`an unknown event ${String(event.type)}`);
    return resourceVersion;
  }

  #replace(objects: T[]): void {
    const gone = new Map(this.#store);
    for (const object of objects) {
      gone.delete(objectKey(object));
      this.#keep(object);
    }
    for (const object of gone.values()) this.#forget(object);
  }

  #keep(object: T): void {
    const key = objectKey(object);
    const old = this.#store.get(key);
    if (old && old.metadata.uid !== object.metadata.uid) this.#forget(old);
    const same = this.#store.get(key);
    if (same?.metadata.resourceVersion === object.metadata.resourceVersion && same) return;
    this.#store.set(key, object);
    this.#report(same ? { type: 'modified', object, old: same } : { type: 'added', object });
  }

  #forget(object: T): void {
    if (this.#store.delete(objectKey(object))) this.#report({ type: 'deleted', object });
  }

  #report(change: Change<T>): void {
    try {
      this.#options.onChange?.(change);
    } catch (error) {
      throw new ChangeFailed('onChange', { cause: error });
    }
  }

  #reportSync(): void {
    const first = this.#markSynced !== NOTHING;
    if (!first) return;
    this.#markSynced();
    this.#markSynced = NOTHING;
    try {
      this.#options.onSync?.();
    } catch (error) {
      throw new ChangeFailed('onSync', { cause: error });
    }
  }

  async #pause(failures: number, signal: AbortSignal): Promise<void> {
    const longest = Math.min(FIRST_PAUSE * 2 ** (failures - 1), LONGEST_PAUSE);
    await this.#clock.sleep(longest * (0.5 + this.#clock.random() / 2), signal);
  }
}

const NOTHING = () => {};

const SYSTEM_CLOCK: ReflectorClock = {
  now: () => performance.now(),
  sleep: (milliseconds, signal) => sleep(milliseconds, undefined, { signal }).catch(() => {}),
  random: Math.random,
};

/** The server sent what is no event: nothing it said since the last list can be trusted. */
class BadEvent extends Error {}

class ChangeFailed extends Error {}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function raise(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
