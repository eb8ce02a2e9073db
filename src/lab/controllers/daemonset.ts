/** DaemonSets: carries out what `planDaemonSet` decides. */
import type { Affinity, DaemonSet, Pod } from '../../kube/types.ts';
import { DAEMONSETS, NODES, PODS } from '../../kube/types.ts';
import type { Cluster } from './cluster.ts';
import { type Controller, controller, eachObject, keyOf, ownerOf, splitKey } from './controller.ts';
import { createPod } from './createpod.ts';
import { type DaemonPlan, daemonTolerations, planDaemonSet, REVISION_HASH } from './daemonplan.ts';
import { claim, generatedName } from './objects.ts';
import { nextAvailable, podFromTemplate } from './pods.ts';
import { CONTROLLERREVISIONS, type ControllerRevision } from './resources.ts';
import { expiredRevisions, settleRevision } from './revisions.ts';
import { selects } from './selectors.ts';
import { writeStatus } from './status.ts';

const TEMPLATE_GENERATION = 'pod-template-generation';
/** How often the pods of one node are made again when they fail at once (milliseconds). */
const REPLACE_FAILED = { first: 1_000, longest: 60_000 };

export function daemonSetController(cluster: Cluster): Controller {
  const [sets, pods, nodes] = [cluster.cache(DAEMONSETS), cluster.cache(PODS), cluster.cache(NODES)];
  const revisions = cluster.cache(CONTROLLERREVISIONS);
  const failed = new Map<string, { times: number; at: number }>();

  return controller({
    name: 'daemonset',
    cluster,
    watch(enqueue) {
      const all = () => {
        for (const set of sets.items()) enqueue(keyOf(set));
      };
      sets.subscribe(eachObject(enqueue));
      pods.subscribe(ownerOf('DaemonSet', enqueue));
      pods.subscribe(({ object }) => {
        if (object.metadata.ownerReferences?.length) return;
        for (const set of sets.items(object.metadata.namespace))
          if (selects(set.spec.selector, object.metadata.labels)) enqueue(keyOf(set));
      });
      nodes.subscribe(({ type, object, old }) => {
        if (type !== 'modified' || !old || placement(object) !== placement(old)) all();
      });
      return [sets, pods, nodes, revisions];
    },
    async reconcile(key) {
      const { name, namespace } = splitKey(key);
      const set = sets.get(name, namespace);
      if (set === undefined) return undefined;
      const now = cluster.clock.now();
      const claims = claim(set, set.spec.selector, pods.items(namespace));
      await cluster.settleClaims(DAEMONSETS, set, PODS, claims);
      const owned = [...claims.owned, ...claims.adopt];
      const { current, owned: history } = await settleRevision(cluster, set, REVISION_HASH);
      const hash = current.metadata.labels?.[REVISION_HASH] ?? '';
      const plan = planDaemonSet(set, nodes.items(), owned, hash, now);
      const { remove, after } = heldBack(set, plan.remove, now);
      await carryOut(cluster, set, { ...plan, remove }, hash);
      await writeStatus(cluster, DAEMONSETS, set, plan.status);
      for (const old of expired(set, history, current, owned)) await cluster.delete(CONTROLLERREVISIONS, old);
      return soonest(after, nextAvailable(owned, set.spec.minReadySeconds ?? 0, now));
    },
  });

  /** Pods that ended are replaced after a growing pause, so that a broken one does not make pods without end. */
  function heldBack(set: DaemonSet, remove: Pod[], now: number): { remove: Pod[]; after?: number } {
    let after: number | undefined;
    const kept = remove.filter(pod => {
      if (pod.status?.phase !== 'Failed') return true;
      const key = `${set.metadata.uid}/${pod.spec.nodeName}`;
      const { times, at } = failed.get(key) ?? { times: 0, at: 0 };
      const pause = Math.min(REPLACE_FAILED.first * 2 ** times, REPLACE_FAILED.longest);
      const forgotten = now - at > 2 * REPLACE_FAILED.longest;
      if (times === 0 || forgotten || now >= at + pause) {
        failed.set(key, { times: forgotten ? 1 : times + 1, at: now });
        return true;
      }
      after = soonest(after, at + pause - now);
      return false;
    });
    return { remove: kept, ...(after !== undefined && { after }) };
  }
}

async function carryOut(cluster: Cluster, set: DaemonSet, plan: DaemonPlan, hash: string): Promise<void> {
  await Promise.all([
    ...plan.remove.map(async pod => {
      await cluster.delete(PODS, pod);
      cluster.event(set, 'Normal', 'SuccessfulDelete', 'Delete', `Deleted pod: ${pod.metadata.name}`);
    }),
    ...plan.create.map(async node => {
      await createPod(cluster, set, podFor(set, node, hash, cluster.random));
    }),
  ]);
}

/** The pod of one node: the scheduler binds it there, since nothing else matches. */
export function podFor(set: DaemonSet, node: string, hash: string, random: () => number): Pod {
  const prefix = `${set.metadata.name}-`;
  const pod = podFromTemplate(set, set.spec.template, { name: generatedName(prefix, random), prefix });
  const generation = set.metadata.annotations?.['deprecated.daemonset.template.generation'];
  pod.metadata.labels = {
    ...pod.metadata.labels,
    [REVISION_HASH]: hash,
    ...(generation !== undefined && { [TEMPLATE_GENERATION]: generation }),
  };
  pod.spec.affinity = onNode(pod.spec.affinity, node);
  pod.spec.tolerations = [...(pod.spec.tolerations ?? []), ...daemonTolerations(set)];
  return pod;
}

function onNode(affinity: Affinity | undefined, node: string): Affinity {
  const matchFields = [{ key: 'metadata.name', operator: 'In' as const, values: [node] }];
  const requiredDuringSchedulingIgnoredDuringExecution = { nodeSelectorTerms: [{ matchFields }] };
  return {
    ...affinity,
    nodeAffinity: { ...affinity?.nodeAffinity, requiredDuringSchedulingIgnoredDuringExecution },
  };
}

function expired(
  set: DaemonSet,
  history: ControllerRevision[],
  current: ControllerRevision,
  owned: readonly Pod[],
): ControllerRevision[] {
  const used = new Set(owned.map(pod => pod.metadata.labels?.[REVISION_HASH]));
  const inUse = (each: ControllerRevision) =>
    each.metadata.name === current.metadata.name || used.has(each.metadata.labels?.[REVISION_HASH]);
  return expiredRevisions(history, inUse, set.spec.revisionHistoryLimit ?? 10);
}

/** What of a node decides on which DaemonSets run there. */
function placement(node: {
  metadata: { labels?: object };
  spec: { taints?: object[]; unschedulable?: boolean };
  status?: { conditions?: { type: string; status: string }[] };
}): string {
  const conditions = node.status?.conditions?.map(each => `${each.type}=${each.status}`);
  return JSON.stringify([node.metadata.labels, node.spec.taints, node.spec.unschedulable, conditions]);
}

function soonest(...times: (number | undefined)[]): number | undefined {
  const known = times.filter(time => time !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}
