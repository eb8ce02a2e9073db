/**
 * The objects of one type as this process knows them: what the watch brought, and on top of it what was written
 * here and has not come round yet. So a controller that looks again at once sees its own writes and does not repeat
 * them.
 */
import type { KubeClient } from '../../kube/client.ts';
import { type Change, Reflector } from '../../kube/reflector.ts';
import { type KubeObject, objectKey, type ResourceType } from '../../kube/types.ts';
import { type Clock, systemClock } from './workqueue.ts';

/** Written objects that the watch does not confirm within this time are forgotten (milliseconds). */
const UNCONFIRMED = 10_000;

interface Written<T> {
  object: T;
  version: bigint;
  /** The watch has to bring something newer than `version`, not only as new. */
  newer: boolean;
  at: number;
}

export class Cache<T extends KubeObject> {
  readonly type: ResourceType<T>;
  readonly synced: Promise<void>;
  readonly #reflector: Reflector<T>;
  readonly #clock: Clock;
  readonly #written = new Map<string, Written<T>>();
  readonly #gone = new Map<string, number>();
  readonly #subscribers: ((change: Change<T>) => void)[] = [];
  #sweep: (() => void) | undefined;

  constructor(
    client: KubeClient,
    type: ResourceType<T>,
    options: { clock?: Clock; log?: (message: string) => void } = {},
  ) {
    this.type = type;
    this.#clock = options.clock ?? systemClock;
    this.#reflector = new Reflector(client, type, {
      onChange: change => this.#changed(change),
      ...(options.log && { log: options.log }),
    });
    this.synced = this.#reflector.synced;
  }

  start(): void {
    this.#reflector.start();
  }

  stop(): void {
    this.#reflector.stop();
    this.#sweep?.();
    this.#sweep = undefined;
  }

  /** Changes as the watch brings them. The cache already shows them. */
  subscribe(subscriber: (change: Change<T>) => void): void {
    this.#subscribers.push(subscriber);
  }

  get(name: string, namespace?: string): T | undefined {
    const key = objectKey({ metadata: { name, ...(namespace && { namespace }) } });
    return this.#written.get(key)?.object ?? this.#reflector.get(name, namespace);
  }

  items(namespace?: string): T[] {
    const watched = this.#reflector.items();
    const all =
      this.#written.size === 0
        ? watched
        : [
            ...watched.filter(object => !this.#written.has(objectKey(object))),
            ...[...this.#written.values()].map(written => written.object),
          ];
    return namespace === undefined ? all : all.filter(object => object.metadata.namespace === namespace);
  }

  /** Tells the cache what the API server answered to a write. */
  wrote(object: T): void {
    this.#remember(object, false);
  }

  /** Tells the cache that the API server accepted to delete this object. */
  deleted(object: T): void {
    const deletionTimestamp = object.metadata.deletionTimestamp ?? new Date(this.#clock.now()).toISOString();
    this.assumed({ ...object, metadata: { ...object.metadata, deletionTimestamp } });
  }

  /** Shows this state of an object, whose write answered without it, until the watch brings a newer one. */
  assumed(object: T): void {
    this.#remember(object, true);
  }

  #remember(object: T, newer: boolean): void {
    const { uid, name, namespace } = object.metadata;
    if (uid !== undefined && this.#gone.has(uid)) return;
    const version = versionOf(object);
    const watched = this.#reflector.get(name, namespace);
    if (watched !== undefined && supersedes(watched, object, version, newer)) return;
    this.#written.set(objectKey(object), { object, version, newer, at: this.#clock.now() });
    this.#scheduleSweep();
  }

  #changed(change: Change<T>): void {
    const key = objectKey(change.object);
    const written = this.#written.get(key);
    const { uid } = change.object.metadata;
    if (change.type === 'deleted') {
      if (uid !== undefined) this.#gone.set(uid, this.#clock.now());
      if (written?.object.metadata.uid === uid) this.#written.delete(key);
      this.#scheduleSweep();
    } else if (written && supersedes(change.object, written.object, written.version, written.newer)) {
      this.#written.delete(key);
    }
    for (const subscriber of this.#subscribers) subscriber(change);
  }

  #scheduleSweep(): void {
    this.#sweep ??= this.#clock.after(UNCONFIRMED, () => {
      this.#sweep = undefined;
      const old = this.#clock.now() - UNCONFIRMED;
      for (const [uid, at] of this.#gone) if (at <= old) this.#gone.delete(uid);
      for (const [key, written] of this.#written) {
        if (written.at > old) continue;
        this.#written.delete(key);
        const object = this.#reflector.get(written.object.metadata.name, written.object.metadata.namespace);
        const change: Change<T> =
          object === undefined ? { type: 'deleted', object: written.object } : { type: 'modified', object };
        for (const subscriber of this.#subscribers) subscriber(change);
      }
      if (this.#written.size + this.#gone.size > 0) this.#scheduleSweep();
    });
  }
}

function supersedes(watched: KubeObject, object: KubeObject, version: bigint, newer: boolean): boolean {
  const watchedVersion = versionOf(watched);
  const same = watched.metadata.uid === object.metadata.uid;
  return same && !newer ? watchedVersion >= version : watchedVersion > version;
}

function versionOf(object: KubeObject): bigint {
  const text = object.metadata.resourceVersion ?? '0';
  return /^\d+$/.test(text) ? BigInt(text) : 0n;
}
