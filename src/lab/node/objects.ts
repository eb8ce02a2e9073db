/** Secrets and ConfigMaps that the node's pods use: each is watched on its own, as long as a pod needs it. */
import type { KubeClient } from '../../kube/client.ts';
import type { ConfigMap, Secret } from '../../kube/core.ts';
import { Reflector } from '../../kube/reflector.ts';
import { CONFIGMAPS, type KubeObject, type ResourceType, SECRETS } from '../../kube/types.ts';

export interface ObjectRef {
  kind: 'Secret' | 'ConfigMap';
  namespace: string;
  name: string;
}

interface Watched {
  reflector: Reflector<Secret> | Reflector<ConfigMap>;
  users: Set<string>;
}

const patienceMs = 5_000;

export class WatchedObjects {
  readonly #client: KubeClient;
  readonly #onChange: (users: Iterable<string>) => void;
  readonly #watched = new Map<string, Watched>();

  /** `onChange` is told the users (pod UIDs) of an object that changed. */
  constructor(client: KubeClient, onChange: (users: Iterable<string>) => void) {
    this.#client = client;
    this.#onChange = onChange;
  }

  /** Makes these the objects that a user needs; resolves when each is known, or after a while without an answer. */
  async use(user: string, refs: ObjectRef[]): Promise<void> {
    const wanted = new Map(refs.map(ref => [keyOf(ref), ref]));
    for (const [key, watched] of this.#watched) {
      if (wanted.has(key) || !watched.users.delete(user) || watched.users.size > 0) continue;
      watched.reflector.stop();
      this.#watched.delete(key);
    }
    for (const [key, ref] of wanted) {
      const watched = this.#watched.get(key) ?? this.#watch(key, ref);
      watched.users.add(user);
    }
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([
      Promise.all([...wanted.keys()].map(key => this.#watched.get(key)?.reflector.synced)),
      new Promise(resolve => {
        timer = setTimeout(resolve, patienceMs);
      }),
    ]);
    clearTimeout(timer);
  }

  secret(namespace: string, name: string): Secret | undefined {
    return this.#find('Secret', namespace, name) as Secret | undefined;
  }

  configMap(namespace: string, name: string): ConfigMap | undefined {
    return this.#find('ConfigMap', namespace, name) as ConfigMap | undefined;
  }

  #find(kind: ObjectRef['kind'], namespace: string, name: string): KubeObject | undefined {
    return this.#watched.get(keyOf({ kind, namespace, name }))?.reflector.get(name, namespace);
  }

  #watch(key: string, { kind, namespace, name }: ObjectRef): Watched {
    const users = new Set<string>();
    const reflect = <T extends KubeObject>(type: ResourceType<T>) =>
      new Reflector<T>(this.#client, type, {
        namespace,
        fieldSelector: `metadata.name=${name}`,
        onChange: () => this.#onChange(users),
      });
    const reflector = kind === 'Secret' ? reflect(SECRETS) : reflect(CONFIGMAPS);
    const watched = { reflector, users };
    this.#watched.set(key, watched);
    reflector.start();
    return watched;
  }
}

function keyOf({ kind, namespace, name }: ObjectRef): string {
  return `${kind}/${namespace}/${name}`;
}
