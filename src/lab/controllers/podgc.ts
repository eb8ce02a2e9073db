/** Pods that nobody will end any more: on a node that is gone, or deleted before they had one. */
import { isNotFound } from '../../kube/client.ts';
import type { Pod } from '../../kube/types.ts';
import { NODES, PODS } from '../../kube/types.ts';
import type { Cluster } from './cluster.ts';
import { type Controller, controller, keyOf, splitKey } from './controller.ts';
import { isDeleting } from './objects.ts';

/** A node that has gone may only be about to come back (milliseconds). */
const QUARANTINE = 40_000;

export function podGcController(cluster: Cluster): Controller {
  const [pods, nodes] = [cluster.cache(PODS), cluster.cache(NODES)];
  const missing = new Map<string, number>();

  return controller({
    name: 'pod-gc',
    cluster,
    watch(enqueue) {
      pods.subscribe(({ type, object }) => {
        if (type !== 'deleted' && isSuspect(object)) enqueue(keyOf(object));
      });
      nodes.subscribe(({ type, object }) => {
        if (type === 'added') missing.delete(object.metadata.name);
        if (type !== 'deleted') return;
        for (const pod of pods.items()) if (pod.spec.nodeName === object.metadata.name) enqueue(keyOf(pod));
      });
      return [pods, nodes];
    },
    async reconcile(key) {
      const { name, namespace } = splitKey(key);
      const pod = pods.get(name, namespace);
      if (pod === undefined || !isSuspect(pod)) return undefined;
      const node = pod.spec.nodeName;
      if (node) {
        const now = cluster.clock.now();
        const since = missing.get(node) ?? now;
        missing.set(node, since);
        if (now < since + QUARANTINE) return since + QUARANTINE - now;
        const back = await exists(node);
        if (back) return undefined;
      }
      await cluster.delete(PODS, pod, { gracePeriodSeconds: 0 });
      return undefined;
    },
  });

  async function exists(node: string): Promise<boolean> {
    try {
      await cluster.client.get(NODES, node);
      return true;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  function isSuspect(pod: Pod): boolean {
    return pod.spec.nodeName ? nodes.get(pod.spec.nodeName) === undefined : isDeleting(pod);
  }
}
