/** What every namespace has: the ServiceAccount `default` and the ConfigMap with the cluster's CA. */
import { ApiError } from '../../kube/client.ts';
import type { ConfigMap, ServiceAccount } from '../../kube/types.ts';
import { CONFIGMAPS, NAMESPACES, SERVICEACCOUNTS } from '../../kube/types.ts';
import type { Cluster } from './cluster.ts';
import { type Controller, controller } from './controller.ts';
import { isDeleting } from './objects.ts';

const ACCOUNT = 'default';
const ROOT_CA = 'kube-root-ca.crt';

/** `ca` is the PEM that pods trust the API server by. */
export function namespaceDefaultsController(cluster: Cluster, ca: string): Controller {
  const namespaces = cluster.cache(NAMESPACES);
  const [accounts, maps] = [cluster.cache(SERVICEACCOUNTS), cluster.cache(CONFIGMAPS)];

  return controller({
    name: 'namespace-defaults',
    cluster,
    watch(enqueue) {
      namespaces.subscribe(({ object }) => enqueue(object.metadata.name));
      accounts.subscribe(({ type, object }) => {
        if (type === 'deleted' && object.metadata.name === ACCOUNT) enqueue(object.metadata.namespace ?? '');
      });
      maps.subscribe(({ type, object }) => {
        if (type !== 'added' && object.metadata.name === ROOT_CA) enqueue(object.metadata.namespace ?? '');
      });
      return [namespaces, accounts, maps];
    },
    async reconcile(namespace) {
      const found = namespaces.get(namespace);
      if (found === undefined || isDeleting(found)) return undefined;
      if (accounts.get(ACCOUNT, namespace) === undefined)
        await unlessThere(cluster.create(SERVICEACCOUNTS, account(namespace)));
      const map = maps.get(ROOT_CA, namespace);
      if (map === undefined) await unlessThere(cluster.create(CONFIGMAPS, rootCa(namespace, ca)));
      else if (map.data?.['ca.crt'] !== ca)
        await cluster.replace(CONFIGMAPS, { ...map, data: { 'ca.crt': ca } });
      return undefined;
    },
  });
}

function account(namespace: string): ServiceAccount {
  return { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: ACCOUNT, namespace } };
}

function rootCa(namespace: string, ca: string): ConfigMap {
  const description =
    'Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.';
  const annotations = { 'kubernetes.io/description': description };
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: ROOT_CA, namespace, annotations },
    data: { 'ca.crt': ca },
  };
}

/** Somebody else was quicker, or the namespace is on its way out: both are fine. */
async function unlessThere(creation: Promise<unknown>): Promise<void> {
  try {
    await creation;
  } catch (error) {
    const fine =
      error instanceof ApiError && ['AlreadyExists', 'Forbidden', 'NotFound'].includes(error.reason);
    if (!fine) throw error;
  }
}
