/** ControllerRevisions: the templates that a DaemonSet or StatefulSet has had, numbered. */
import { isDeepStrictEqual } from 'node:util';
import { ApiError } from '../../kube/client.ts';
import type { KubeObject, PodTemplate, ResourceType } from '../../kube/types.ts';
import type { Cluster } from './cluster.ts';
import { controllerReference, isControlledBy, isDeleting, shortHash } from './objects.ts';
import { CONTROLLERREVISIONS, type ControllerRevision } from './resources.ts';

export interface TemplateOwner extends KubeObject {
  spec: { template: PodTemplate; revisionHistoryLimit?: number };
}

export interface RevisionPlan {
  /** The revision of the template as it is now, in `owned` or to be made. */
  current: ControllerRevision;
  isNew: boolean;
  /** An old template came back: its revision becomes the newest. */
  renumber: boolean;
}

export function planRevision(
  owner: TemplateOwner,
  owned: readonly ControllerRevision[],
  hashLabel: string,
): RevisionPlan {
  const data: ControllerRevision['data'] = {
    spec: { template: { ...owner.spec.template, $patch: 'replace' } },
  };
  const newest = Math.max(0, ...owned.map(each => each.revision));
  const known = owned
    .toSorted((a, b) => b.revision - a.revision)
    .find(each => isDeepStrictEqual(each.data.spec.template, data.spec.template));
  if (known !== undefined) {
    const renumber = known.revision < newest;
    return { current: renumber ? { ...known, revision: newest + 1 } : known, isNew: false, renumber };
  }
  const hash = shortHash([owner.metadata.uid, data]);
  const { name, namespace, annotations } = owner.metadata;
  const current: ControllerRevision = {
    apiVersion: CONTROLLERREVISIONS.apiVersion,
    kind: CONTROLLERREVISIONS.kind,
    metadata: {
      name: `${name}-${hash}`,
      namespace: namespace ?? 'default',
      labels: { ...owner.spec.template.metadata?.labels, [hashLabel]: hash },
      ...(annotations && { annotations: withoutLastApplied(annotations) }),
      ownerReferences: [controllerReference(owner)],
    },
    data,
    revision: newest + 1,
  };
  return { current, isNew: true, renumber: false };
}

/** Revisions that nobody uses, beyond revisionHistoryLimit, oldest first. */
export function expiredRevisions(
  owned: readonly ControllerRevision[],
  inUse: (revision: ControllerRevision) => boolean,
  limit: number,
): ControllerRevision[] {
  const idle = owned.filter(each => !inUse(each)).sort((a, b) => a.revision - b.revision);
  return idle.slice(0, Math.max(0, idle.length - limit));
}

/** Makes the plan so, and answers the revision of the template as it is now. */
export async function settleRevision(
  cluster: Cluster,
  owner: TemplateOwner,
  hashLabel: string,
): Promise<{ current: ControllerRevision; owned: ControllerRevision[] }> {
  const cache = cluster.cache(CONTROLLERREVISIONS);
  const owned = cache.items(owner.metadata.namespace).filter(each => isControlledBy(each, owner));
  const plan = planRevision(owner, owned, hashLabel);
  if (isDeleting(owner)) return { current: plan.current, owned };
  if (plan.renumber) {
    const patched = await cluster.patch(CONTROLLERREVISIONS, plan.current, {
      revision: plan.current.revision,
    });
    return { current: patched, owned };
  }
  if (!plan.isNew) return { current: plan.current, owned };
  return { current: await make(cluster, plan.current, owner), owned };
}

async function make(
  cluster: Cluster,
  revision: ControllerRevision,
  owner: KubeObject,
): Promise<ControllerRevision> {
  const type: ResourceType<ControllerRevision> = CONTROLLERREVISIONS;
  try {
    return await cluster.create(type, revision);
  } catch (error) {
    if (!(error instanceof ApiError) || error.reason !== 'AlreadyExists') throw error;
    const taken = await cluster.client.get(type, revision.metadata.name, revision.metadata.namespace);
    if (!isControlledBy(taken, owner)) throw error;
    cluster.cache(type).wrote(taken);
    return taken;
  }
}

function withoutLastApplied(annotations: Record<string, string>): Record<string, string> {
  const { 'kubectl.kubernetes.io/last-applied-configuration': _, ...rest } = annotations;
  return rest;
}
