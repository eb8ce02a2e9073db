/** The API server as the controllers use it: shared caches to read, and writes that the caches know of at once. */
import { type DeleteOptions, isNotFound, type KubeClient } from '../../kube/client.ts';
import { apiError } from '../../kube/errors.ts';
import { type KubeObject, type ResourceType, resourcePath } from '../../kube/types.ts';
import { Cache } from './cache.ts';
import { controllerReference, type Owner } from './objects.ts';
import { type Clock, systemClock } from './workqueue.ts';

export type EventType = 'Normal' | 'Warning';

export interface ClusterOptions {
  clock?: Clock;
  random?: () => number;
  log?: (message: string) => void;
  /** Where Events go; none by default. */
  event?: (regarding: KubeObject, type: EventType, reason: string, action: string, note: string) => void;
}

export class Cluster {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: (message: string) => void;
  readonly event: Required<ClusterOptions>['event'];
  readonly #caches = new Map<string, Cache<KubeObject>>();
  #started = false;

  constructor(client: KubeClient, options: ClusterOptions = {}) {
    this.client = client;
    this.clock = options.clock ?? systemClock;
    this.random = options.random ?? Math.random;
    this.log = options.log ?? (() => {});
    this.event = options.event ?? (() => {});
  }

  /** The one cache of a type, which watches from its first use on. */
  cache<T extends KubeObject>(type: ResourceType<T>): Cache<T> {
    const key = `${type.apiVersion}/${type.plural}`;
    let cache = this.#caches.get(key) as unknown as Cache<T> | undefined;
    if (cache === undefined) {
      cache = new Cache(this.client, type, { clock: this.clock, log: this.log });
      this.#caches.set(key, cache as unknown as Cache<KubeObject>);
      if (this.#started) cache.start();
    }
    return cache;
  }

  start(): void {
    this.#started = true;
    for (const cache of this.#caches.values()) cache.start();
  }

  stop(): void {
    this.#started = false;
    for (const cache of this.#caches.values()) cache.stop();
  }

  /** Ends the watch of a type that no longer exists. */
  forget(type: ResourceType): void {
    const key = `${type.apiVersion}/${type.plural}`;
    this.#caches.get(key)?.stop();
    this.#caches.delete(key);
  }

  async create<T extends KubeObject>(type: ResourceType<T>, object: T): Promise<T> {
    const created = await this.client.create(type, object);
    this.cache(type).wrote(created);
    return created;
  }

  async replace<T extends KubeObject>(type: ResourceType<T>, object: T, subresource?: 'status'): Promise<T> {
    const replaced = await this.client.replace(type, object, subresource ? { subresource } : {});
    this.cache(type).wrote(replaced);
    return replaced;
  }

  /** A JSON merge patch. Only of the object that is known (its uid is sent along). */
  async patch<T extends KubeObject>(
    type: ResourceType<T>,
    object: T,
    body: Record<string, unknown>,
    subresource?: string,
  ): Promise<T> {
    const { name, namespace, uid } = object.metadata;
    const metadata = { ...(body['metadata'] as object | undefined), ...(uid && { uid }) };
    const patch = { ...body, metadata };
    const options = subresource ? { subresource } : {};
    const patched = await this.client.patch(type, name, namespace, patch, 'merge', options);
    this.cache(type).wrote(patched);
    return patched;
  }

  /** Deletes this very object; that it is gone already is fine. */
  async delete<T extends KubeObject>(
    type: ResourceType<T>,
    object: T,
    options: DeleteOptions = {},
  ): Promise<void> {
    const { name, namespace, uid } = object.metadata;
    const preconditions = { ...(uid && { uid }), ...options.preconditions };
    try {
      await this.client.delete(type, name, namespace, { ...options, preconditions });
      this.cache(type).deleted(object);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  /** The object as it is now, or undefined when it is gone or another took its name. */
  async live<T extends KubeObject>(type: ResourceType<T>, object: T): Promise<T | undefined> {
    const { name, namespace, uid } = object.metadata;
    try {
      const found = await this.client.get(type, name, namespace);
      return found.metadata.uid === uid ? found : undefined;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** POST to a subresource, as bindings and evictions are. */
  async post(type: ResourceType, object: KubeObject, subresource: string, body: unknown): Promise<void> {
    const { name, namespace } = object.metadata;
    const path = resourcePath(type, { name, namespace, subresource });
    const answer = await this.client.raw('POST', path, body);
    if (answer.status >= 400) throw apiError(answer.status, answer.body.toString(), `POST ${path}`);
  }

  /** Makes the orphans the owner's, and lets those go that no longer match. The owner is read afresh before. */
  async settleClaims<T extends KubeObject, O extends KubeObject>(
    ownerType: ResourceType<O>,
    owner: O,
    type: ResourceType<T>,
    claims: { adopt: T[]; release: T[] },
  ): Promise<void> {
    if (claims.adopt.length > 0) {
      const live = await this.live(ownerType, owner);
      if (live === undefined || live.metadata.deletionTimestamp !== undefined) return;
    }
    for (const object of claims.adopt) await this.#setOwners(type, object, owner, true);
    for (const object of claims.release) await this.#setOwners(type, object, owner, false);
  }

  async #setOwners<T extends KubeObject>(
    type: ResourceType<T>,
    object: T,
    owner: Owner,
    own: boolean,
  ): Promise<void> {
    const others = (object.metadata.ownerReferences ?? []).filter(each => each.uid !== owner.metadata.uid);
    const ownerReferences = own ? [...others, controllerReference(owner)] : others;
    const { resourceVersion } = object.metadata;
    try {
      await this.patch(type, object, { metadata: { ownerReferences, resourceVersion } });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }
}
