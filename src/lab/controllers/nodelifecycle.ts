/** Nodes that fall silent: Ready becomes Unknown, taints follow the conditions, pods leave when their time is over. */
import type { Condition, Node, Pod } from '../../kube/types.ts';
import { LEASES, NODES, PODS } from '../../kube/types.ts';
import type { Cluster } from './cluster.ts';
import { type Controller, controller, eachObject } from './controller.ts';
import { Heartbeats } from './heartbeats.ts';
import { condition, isDeleting, timestamp, withCondition } from './objects.ts';
import { isReady, isTerminated } from './pods.ts';
import { evictionTime, reconciledTaints } from './taints.ts';

const LEASE_NAMESPACE = 'kube-node-lease';
const LOST = ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure'];

export function nodeLifecycleController(cluster: Cluster): Controller {
  const [nodes, pods, leases] = [cluster.cache(NODES), cluster.cache(PODS), cluster.cache(LEASES)];
  const heartbeats = new Heartbeats();

  return controller({
    name: 'node-lifecycle',
    cluster,
    watch(enqueue) {
      nodes.subscribe(({ type, object }) => {
        if (type === 'deleted') heartbeats.forget(object.metadata.name);
      });
      nodes.subscribe(eachObject(enqueue));
      leases.subscribe(({ object }) => {
        if (object.metadata.namespace === LEASE_NAMESPACE) enqueue(object.metadata.name);
      });
      pods.subscribe(({ type, object }) => {
        const node = object.spec.nodeName && nodes.get(object.spec.nodeName);
        if (type !== 'deleted' && node && node.spec.taints?.some(taint => taint.effect === 'NoExecute'))
          enqueue(node.metadata.name);
      });
      return [nodes, pods, leases];
    },
    async reconcile(name) {
      const node = nodes.get(name);
      if (node === undefined) return undefined;
      const now = cluster.clock.now();
      heartbeats.seen(name, sign(node), now);
      const lost = heartbeats.isLost(name, now);
      const current = lost ? await markUnknown(node) : node;
      await settleTaints(current);
      const here = pods.items().filter(pod => pod.spec.nodeName === name && !isTerminated(pod));
      if (condition(current.status?.conditions, 'Ready')?.status === 'Unknown') await markNotReady(here);
      const eviction = await evict(nodes.get(name) ?? current, here, now);
      const waits = [eviction, lost ? undefined : heartbeats.lostIn(name, now)];
      return Math.max(50, Math.min(...waits.filter(wait => wait !== undefined), 60_000));
    },
  });

  function sign(node: Node): string {
    const lease = leases.get(node.metadata.name, LEASE_NAMESPACE);
    const ready = condition(node.status?.conditions, 'Ready');
    return `${lease?.spec?.renewTime ?? ''} ${ready?.status === 'Unknown' ? '' : (ready?.lastHeartbeatTime ?? '')}`;
  }

  async function markUnknown(node: Node): Promise<Node> {
    const now = cluster.clock.now();
    const known = node.status?.conditions ?? [];
    const silent = LOST.filter(type => {
      const status = condition(known, type)?.status;
      return status !== 'Unknown' && (type === 'Ready' || status !== undefined);
    });
    if (silent.length === 0) return node;
    const conditions = silent.reduce((all, type) => {
      const before = condition(known, type);
      const next: Condition = {
        type,
        status: 'Unknown',
        reason: 'NodeStatusUnknown',
        message: 'Kubelet stopped posting node status.',
        lastHeartbeatTime: before?.lastHeartbeatTime ?? timestamp(now),
      };
      return withCondition(all, next, now);
    }, known);
    const { resourceVersion } = node.metadata;
    const patched = await cluster.patch(
      NODES,
      node,
      { metadata: { resourceVersion }, status: { conditions } },
      'status',
    );
    const { name } = node.metadata;
    cluster.event(node, 'Normal', 'NodeNotReady', 'NodeNotReady', `Node ${name} status is now: NodeNotReady`);
    return patched;
  }

  async function settleTaints(node: Node): Promise<void> {
    const taints = reconciledTaints(node, timestamp(cluster.clock.now()));
    if (taints === undefined) return;
    const { resourceVersion } = node.metadata;
    await cluster.patch(NODES, node, { metadata: { resourceVersion }, spec: { taints } });
  }

  /** So that no Service sends to pods that nobody hears of. */
  async function markNotReady(here: readonly Pod[]): Promise<void> {
    const now = cluster.clock.now();
    for (const pod of here.filter(isReady)) {
      const ready = condition(pod.status?.conditions, 'Ready');
      const next: Condition = { ...ready, type: 'Ready', status: 'False' };
      const conditions = withCondition(pod.status?.conditions, next, now);
      const { resourceVersion } = pod.metadata;
      await cluster.patch(PODS, pod, { metadata: { resourceVersion }, status: { conditions } }, 'status');
    }
  }

  async function evict(node: Node, here: readonly Pod[], now: number): Promise<number | undefined> {
    let next: number | undefined;
    for (const pod of here.filter(each => !isDeleting(each))) {
      const time = evictionTime(pod, node, now);
      if (time === undefined) continue;
      if (time > now) {
        next = Math.min(next ?? Number.POSITIVE_INFINITY, time - now + 50);
        continue;
      }
      const { name, namespace } = pod.metadata;
      const note = `Marking for deletion Pod ${namespace}/${name}`;
      cluster.event(pod, 'Normal', 'TaintManagerEviction', 'TaintManagerEviction', note);
      await cluster.delete(PODS, pod);
    }
    return next;
  }
}
