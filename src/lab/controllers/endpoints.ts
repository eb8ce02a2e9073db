/** Keeps the EndpointSlices and the older Endpoints of each Service. */
import { isDeepStrictEqual } from 'node:util';
import { isConflict } from '../../kube/client.ts';
import type { Endpoints, Pod, Service } from '../../kube/types.ts';
import { ENDPOINTS, ENDPOINTSLICES, PODS, SERVICES } from '../../kube/types.ts';
import type { Cluster } from './cluster.ts';
import { type Controller, controller, eachObject, keyOf, splitKey } from './controller.ts';
import { generatedName } from './objects.ts';
import { includesLabels } from './selectors.ts';
import {
  hasEndpoints,
  LEGACY_MANAGED_BY,
  LEGACY_MANAGER,
  legacyEndpoints,
  MANAGED_BY,
  MANAGER,
  planSlices,
  SERVICE_NAME,
} from './serviceendpoints.ts';

export function endpointsController(cluster: Cluster): Controller {
  const [services, pods] = [cluster.cache(SERVICES), cluster.cache(PODS)];
  const [slices, legacy] = [cluster.cache(ENDPOINTSLICES), cluster.cache(ENDPOINTS)];

  return controller({
    name: 'endpoints',
    cluster,
    watch(enqueue) {
      const selecting = (pod: Pod) => {
        for (const service of services.items(pod.metadata.namespace)) {
          const { selector } = service.spec;
          if (selector && includesLabels(pod.metadata.labels, selector)) enqueue(keyOf(service));
        }
      };
      services.subscribe(eachObject(enqueue));
      pods.subscribe(({ object, old }) => {
        selecting(object);
        if (old && !isDeepStrictEqual(old.metadata.labels, object.metadata.labels)) selecting(old);
      });
      slices.subscribe(({ object }) => {
        const service = object.metadata.labels?.[SERVICE_NAME];
        if (service && object.metadata.labels?.[MANAGED_BY] === MANAGER)
          enqueue(`${object.metadata.namespace}/${service}`);
      });
      legacy.subscribe(({ object }) => {
        if (object.metadata.labels?.[LEGACY_MANAGED_BY] === LEGACY_MANAGER) enqueue(keyOf(object));
      });
      return [services, pods, slices, legacy];
    },
    async reconcile(key) {
      const { name, namespace } = splitKey(key);
      const service = services.get(name, namespace);
      if (service === undefined) {
        await removeAll(name, namespace);
        return undefined;
      }
      if (!hasEndpoints(service)) return undefined;
      const behind = pods.items(namespace);
      await settleSlices(service, behind);
      await settleLegacy(legacyEndpoints(service, behind));
      return undefined;
    },
  });

  function slicesOf(name: string, namespace: string) {
    return slices
      .items(namespace)
      .filter(
        ({ metadata: { labels } }) => labels?.[SERVICE_NAME] === name && labels[MANAGED_BY] === MANAGER,
      );
  }

  async function settleSlices(service: Service, behind: readonly Pod[]): Promise<void> {
    const { name, namespace } = service.metadata;
    const owned = slicesOf(name, namespace ?? '');
    const plan = planSlices(service, behind, owned, () => generatedName(`${name}-`, cluster.random));
    for (const slice of plan.create) await cluster.create(ENDPOINTSLICES, slice);
    for (const slice of plan.update) await cluster.replace(ENDPOINTSLICES, slice);
    for (const slice of plan.remove) await cluster.delete(ENDPOINTSLICES, slice);
  }

  async function settleLegacy(wanted: Endpoints): Promise<void> {
    const known = legacy.get(wanted.metadata.name, wanted.metadata.namespace);
    if (known === undefined) {
      await cluster.create(ENDPOINTS, wanted);
      return;
    }
    const same =
      isDeepStrictEqual(JSON.parse(JSON.stringify(known.subsets ?? [])), wanted.subsets) &&
      isDeepStrictEqual(known.metadata.labels ?? {}, wanted.metadata.labels);
    if (same) return;
    const metadata = { ...known.metadata, labels: wanted.metadata.labels ?? {} };
    await cluster.replace(ENDPOINTS, { ...known, metadata, subsets: wanted.subsets ?? [] });
  }

  /** Endpoints have no owner reference: ours go with the service by name. */
  async function removeAll(name: string, namespace: string): Promise<void> {
    for (const slice of slicesOf(name, namespace)) await cluster.delete(ENDPOINTSLICES, slice);
    const known = legacy.get(name, namespace);
    if (known === undefined || known.metadata.annotations?.['control-plane.alpha.kubernetes.io/leader'])
      return;
    try {
      await cluster.delete(ENDPOINTS, known);
    } catch (error) {
      if (!isConflict(error)) throw error;
    }
  }
}
