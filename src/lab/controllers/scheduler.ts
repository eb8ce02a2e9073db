/** The scheduler: binds waiting pods to nodes, and says on the pod why one waits. */
import type { Pod } from '../../kube/types.ts';
import { NODES, PODS } from '../../kube/types.ts';
import type { Cluster } from './cluster.ts';
import { type Controller, controller, keyOf, splitKey } from './controller.ts';
import { condition, isDeleting, withCondition } from './objects.ts';
import { isTerminated } from './pods.ts';
import { type NodeLoad, place } from './scheduling.ts';

const SCHEDULER = 'default-scheduler';
/** Waiting pods are looked at again after so long even when nothing seems to have changed (milliseconds). */
const RETRY = 60_000;

export function schedulerController(cluster: Cluster): Controller {
  const [pods, nodes] = [cluster.cache(PODS), cluster.cache(NODES)];

  return controller({
    name: 'scheduler',
    cluster,
    // One at a time: each choice counts the ones before.
    workers: 1,
    watch(enqueue) {
      const waiting = () => {
        for (const pod of pods.items()) if (isWaiting(pod)) enqueue(keyOf(pod));
      };
      pods.subscribe(({ type, object, old }) => {
        if (isWaiting(object) && type === 'added') enqueue(keyOf(object));
        // Room came free, or a neighbour that others wait for arrived.
        else if (type === 'deleted' || isTerminated(object) || (old && isWaiting(old) && !isWaiting(object)))
          waiting();
      });
      nodes.subscribe(({ type, object, old }) => {
        if (type === 'added' || (old && JSON.stringify(relevant(old)) !== JSON.stringify(relevant(object))))
          waiting();
      });
      return [pods, nodes];
    },
    async reconcile(key) {
      const { name, namespace } = splitKey(key);
      const pod = pods.get(name, namespace);
      if (pod === undefined || !isWaiting(pod)) return undefined;
      const placement = place(pod, loads());
      if ('node' in placement) {
        await bind(pod, placement.node);
        return undefined;
      }
      await tellWaiting(pod, placement.message);
      return RETRY;
    },
  });

  function loads(): NodeLoad[] {
    const byNode = new Map<string, Pod[]>(nodes.items().map(node => [node.metadata.name, []]));
    for (const pod of pods.items())
      if (pod.spec.nodeName && !isTerminated(pod)) byNode.get(pod.spec.nodeName)?.push(pod);
    return nodes.items().map(node => ({ node, pods: byNode.get(node.metadata.name) ?? [] }));
  }

  async function bind(pod: Pod, node: string): Promise<void> {
    const { name, namespace, uid } = pod.metadata;
    await cluster.post(PODS, pod, 'binding', {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { name, namespace, uid },
      target: { apiVersion: 'v1', kind: 'Node', name: node },
    });
    pods.assumed({ ...pod, spec: { ...pod.spec, nodeName: node } });
    const note = `Successfully assigned ${namespace}/${name} to ${node}`;
    cluster.event(pod, 'Normal', 'Scheduled', 'Binding', note);
  }

  async function tellWaiting(pod: Pod, message: string): Promise<void> {
    const known = condition(pod.status?.conditions, 'PodScheduled');
    if (known?.status === 'False' && known.message === message) return;
    cluster.event(pod, 'Warning', 'FailedScheduling', 'Scheduling', message);
    const next = { type: 'PodScheduled', status: 'False' as const, reason: 'Unschedulable', message };
    const conditions = withCondition(pod.status?.conditions, next, cluster.clock.now());
    await cluster.patch(PODS, pod, { status: { conditions } }, 'status');
  }
}

function isWaiting(pod: Pod): boolean {
  return (
    !pod.spec.nodeName &&
    !isDeleting(pod) &&
    !isTerminated(pod) &&
    (pod.spec.schedulerName ?? SCHEDULER) === SCHEDULER
  );
}

function relevant(node: { metadata: { labels?: unknown }; spec: unknown; status?: object }): unknown {
  const status = node.status as
    | { allocatable?: unknown; conditions?: { type: string; status: string }[] }
    | undefined;
  const conditions = status?.conditions?.map(({ type, status }) => [type, status]);
  return [node.metadata.labels, node.spec, status?.allocatable, conditions];
}
