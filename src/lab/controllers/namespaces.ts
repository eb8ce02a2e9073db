/** Namespaces on their way out: everything in them is deleted, then the finalizer `kubernetes` is taken off. */
import { ApiError, isNotFound } from '../../kube/client.ts';
import { apiError } from '../../kube/errors.ts';
import type { Condition, Namespace } from '../../kube/types.ts';
import { NAMESPACES, type ResourceType, resourcePath } from '../../kube/types.ts';
import type { Cluster } from './cluster.ts';
import { type Controller, controller, messageOf } from './controller.ts';
import { type DiscoveredType, discover } from './discovery.ts';
import { isDeleting, withCondition } from './objects.ts';
import { writeStatus } from './status.ts';

const FINALIZER = 'kubernetes';
/** Between two looks at what is still there (milliseconds). */
const RETRY = 1_000;
/** Objects that are deleted by one request. */
const BATCH = 100;

export function namespaceController(cluster: Cluster): Controller {
  const namespaces = cluster.cache(NAMESPACES);

  return controller({
    name: 'namespace',
    cluster,
    watch(enqueue) {
      namespaces.subscribe(({ type, object }) => {
        if (type !== 'deleted' && isDeleting(object)) enqueue(object.metadata.name);
      });
      return [namespaces];
    },
    async reconcile(name) {
      const namespace = namespaces.get(name);
      if (namespace === undefined || !isDeleting(namespace)) return undefined;
      if (!namespace.spec?.finalizers?.includes(FINALIZER)) return undefined;
      const left = await empty(cluster, name);
      if (left.length > 0) {
        await tellRemaining(namespace, left);
        return RETRY;
      }
      await finalize(namespace);
      return undefined;
    },
  });

  async function tellRemaining(namespace: Namespace, left: readonly Remaining[]): Promise<void> {
    const held = left.filter(({ finalizers }) => finalizers.length > 0);
    const finalizers = [...new Set(held.flatMap(each => each.finalizers))];
    const failed = left.filter(each => each.error !== undefined);
    const conditions: Condition[] = [
      {
        type: 'NamespaceContentRemaining',
        status: left.length > 0 ? 'True' : 'False',
        reason: 'SomeResourcesRemain',
        message: `Some resources are remaining: ${left.map(each => `${each.resource} has ${each.count} resource instances`).join(', ')}`,
      },
      {
        type: 'NamespaceFinalizersRemaining',
        status: finalizers.length > 0 ? 'True' : 'False',
        reason: finalizers.length > 0 ? 'SomeFinalizersRemain' : 'ContentHasNoFinalizers',
        message:
          finalizers.length > 0
            ? `Some content in the namespace has finalizers remaining: ${finalizers.join(', ')}`
            : 'All content-preserving finalizers finished',
      },
      {
        type: 'NamespaceDeletionContentFailure',
        status: failed.length > 0 ? 'True' : 'False',
        reason: failed.length > 0 ? 'ContentDeletionFailed' : 'ContentDeleted',
        message:
          failed.map(each => `${each.resource}: ${each.error}`).join('; ') ||
          'All content successfully deleted, may be waiting on finalization',
      },
    ];
    const now = cluster.clock.now();
    const all = conditions.reduce(
      (set: Condition[], next) => withCondition(set, next, now),
      namespace.status?.conditions ?? [],
    );
    await writeStatus(cluster, NAMESPACES, namespace, { phase: 'Terminating', conditions: all });
  }

  async function finalize(namespace: Namespace): Promise<void> {
    const live = await cluster.live(NAMESPACES, namespace);
    if (live === undefined) return;
    const finalizers = (live.spec?.finalizers ?? []).filter(each => each !== FINALIZER);
    const path = `/api/v1/namespaces/${encodeURIComponent(live.metadata.name)}/finalize`;
    const answer = await cluster.client.raw('PUT', path, { ...live, spec: { ...live.spec, finalizers } });
    if (answer.status >= 400 && answer.status !== 404)
      throw new Error(`PUT ${path} was answered ${answer.status}: ${answer.body.toString().slice(0, 300)}`);
  }
}

interface Remaining {
  resource: string;
  count: number;
  finalizers: string[];
  error?: string;
}

/** Asks for everything in the namespace to go and answers what is still there. */
async function empty(cluster: Cluster, namespace: string): Promise<Remaining[]> {
  const types = (await discover(cluster.client)).filter(each => each.type.namespaced && isRemovable(each));
  const left = await Promise.all(types.map(each => emptyOf(cluster, each, namespace)));
  return left.filter(each => each !== undefined);
}

function isRemovable({ verbs }: DiscoveredType): boolean {
  return verbs.includes('list') && verbs.includes('deletecollection');
}

async function emptyOf(
  cluster: Cluster,
  { type }: DiscoveredType,
  namespace: string,
): Promise<Remaining | undefined> {
  const resource = type.apiVersion.includes('/')
    ? `${type.plural}.${type.apiVersion.split('/')[0]}`
    : type.plural;
  try {
    await emptyInBatches(cluster, type, namespace);
    const left = await cluster.client.list(type, { namespace });
    if (left.items.length === 0) return undefined;
    const finalizers = left.items.flatMap(object => object.metadata.finalizers ?? []);
    return { resource, count: left.items.length, finalizers };
  } catch (error) {
    if (isNotFound(error)) return undefined;
    if (!(error instanceof ApiError)) throw error;
    return { resource, count: 0, finalizers: [], error: messageOf(error) };
  }
}

/** Thousands of Events go in a few dozen requests, each of them short. */
async function emptyInBatches(cluster: Cluster, type: ResourceType, namespace: string): Promise<void> {
  let token: string | undefined;
  do {
    const batch = { limit: String(BATCH), ...(token && { continue: token }) };
    const page = await cluster.client.list(type, {
      namespace,
      limit: BATCH,
      ...(token && { continue: token }),
    });
    if (page.items.some(object => !isDeleting(object))) {
      const path = `${resourcePath(type, { namespace })}?${new URLSearchParams(batch)}`;
      const answer = await cluster.client.raw('DELETE', path, { propagationPolicy: 'Background' });
      if (answer.status >= 400) throw apiError(answer.status, answer.body.toString(), `DELETE ${path}`);
    }
    token = page.continue;
  } while (token !== undefined);
}
