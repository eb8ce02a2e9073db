/** What every part of the server shares: store, registry, clock, and the place of one request in them. */
import type { Rbac } from './auth/rbac.ts';
import type { Tokens } from './auth/tokens.ts';
import type { User } from './auth/user.ts';
import type { Kubelets } from './kubelets.ts';
import type { KubeObject } from './object.ts';
import type { ResourceRequest } from './path.ts';
import type { Registry } from './registry/registry.ts';
import type { Resource, WriteContext } from './registry/resource.ts';
import type { Store, Stored } from './store.ts';

export interface Api extends WriteContext {
  readonly store: Store;
  readonly registry: Registry;
  readonly uuid: () => string;
  readonly rbac: Rbac;
  readonly tokens: Tokens;
  readonly kubelets: Kubelets;
}

/** One request for a resource, authorized. */
export interface Call {
  readonly api: Api;
  readonly resource: Resource;
  readonly request: ResourceRequest;
  readonly user: User;
  readonly options: Options;
  /** Adds a Warning header to the answer. */
  readonly warn: (text: string) => void;
}

export interface Options {
  readonly dryRun: boolean;
  readonly fieldManager: string;
  readonly fieldValidation: 'Ignore' | 'Warn' | 'Strict';
  readonly force: boolean;
}

const views = new WeakMap<Resource, WeakMap<Stored, { object: KubeObject; json: string }>>();

/** The stored object as this resource's version shows it, with its JSON text. */
export function view(
  resource: Resource,
  stored: Stored,
): { readonly object: KubeObject; readonly json: string } {
  if (!resource.fromStorage) return stored;
  let cache = views.get(resource);
  if (!cache) {
    cache = new WeakMap();
    views.set(resource, cache);
  }
  let seen = cache.get(stored);
  if (!seen) {
    const object = resource.fromStorage(stored.object);
    seen = { object, json: JSON.stringify(object) };
    cache.set(stored, seen);
  }
  return seen;
}
