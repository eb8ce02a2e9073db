/** Brings an installation's objects into the cluster, and takes them out again. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isNotFound, type KubeClient } from '../../kube/client.ts';
import {
  CONFIGMAPS,
  type ConfigMap,
  CRDS,
  type CustomResourceDefinition,
  DAEMONSETS,
  objectKey,
  PODS,
} from '../../kube/types.ts';
import { Failure } from '../failure.ts';
import { readOr } from './facts.ts';
import { ENGINE } from './labels.ts';
import { allOf, type Manifest, type Stages } from './objects.ts';

export const FIELD_MANAGER = 'pellicle';

/** Lets the API server judge everything without keeping anything. */
export async function tryApply(client: KubeClient, stages: Stages): Promise<void> {
  await Promise.all(allOf(stages).map(manifest => applyOne(client, manifest, true)));
}

/**
 * Applies stage by stage. What was made and had not been there before is taken away again when something fails.
 * `obsolete` are keys of cilium-config that are to go.
 */
export async function applyAll(
  client: KubeClient,
  stages: Stages,
  signal: AbortSignal,
  obsolete: string[] = [],
): Promise<void> {
  const made: Manifest[] = [];
  const existing = new Set<Manifest>();
  try {
    const { definitions, access, engines, config, workloads } = stages;
    for (const stage of [definitions, access, engines, config, workloads]) {
      await Promise.all(
        stage.map(async manifest => {
          const { name, namespace } = manifest.object.metadata;
          if (await readOr(client, manifest.type, name, namespace)) existing.add(manifest);
        }),
      );
      signal.throwIfAborted();
      if (stage === config) await exchangeKeys(client, config, obsolete);
      await Promise.all(
        stage.map(async manifest => {
          await applyOne(client, manifest);
          if (!existing.has(manifest)) made.push(manifest);
        }),
      );
      if (stage === definitions) await established(client, stage, signal);
    }
  } catch (error) {
    await removeAll(client, made).catch(() => {});
    throw error;
  }
}

/**
 * Takes out of cilium-config the keys that the last installation wrote and this one does not, and brings in the new ones in
 * the same write: agents act on what they see, and must never see neither type of encryption asked for, or both.
 */
async function exchangeKeys(client: KubeClient, wanted: Manifest[], obsolete: string[]): Promise<void> {
  for (const { object } of wanted) {
    const { name, namespace } = object.metadata;
    const there = await readOr(client, CONFIGMAPS, name, namespace);
    const left = obsolete.filter(key => Object.hasOwn(there?.data ?? {}, key));
    if (left.length === 0) continue;
    const data = { ...(object as ConfigMap).data, ...Object.fromEntries(left.map(key => [key, null])) };
    await client.patch<ConfigMap>(CONFIGMAPS, name, namespace, { data }, 'merge');
  }
}

/** Deletes what is there of these objects, the last made first. */
export async function removeAll(client: KubeClient, manifests: Manifest[]): Promise<void> {
  for (const { type, object } of [...manifests].reverse()) {
    try {
      await client.delete(type, object.metadata.name, object.metadata.namespace, {
        propagationPolicy: 'Background',
      });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }
}

/** Deletes the engines and waits until their processes are gone: they would make their device again. */
export async function removeEngines(
  client: KubeClient,
  namespace: string,
  signal: AbortSignal,
  patience = 30_000,
): Promise<void> {
  if (!(await readOr(client, DAEMONSETS, ENGINE, namespace))) return;
  await client.delete(DAEMONSETS, ENGINE, namespace, { propagationPolicy: 'Background' });
  await podsGone(client, namespace, `k8s-app=${ENGINE}`, signal, patience);
}

/** True once no pod of the selection is left; false when that takes longer than `patience` milliseconds. */
export async function podsGone(
  client: KubeClient,
  namespace: string,
  labelSelector: string,
  signal: AbortSignal,
  patience = 30_000,
): Promise<boolean> {
  const deadline = performance.now() + patience;
  for (;;) {
    const { items } = await client.list(PODS, { namespace, labelSelector });
    if (items.length === 0) return true;
    if (performance.now() > deadline) return false;
    await sleep(200, undefined, { signal });
  }
}

async function applyOne(client: KubeClient, { type, object }: Manifest, dryRun = false): Promise<void> {
  await client.apply(type, object, { fieldManager: FIELD_MANAGER, force: true, dryRun });
}

async function established(client: KubeClient, definitions: Manifest[], signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + 30_000;
  const isEstablished = (definition: CustomResourceDefinition) =>
    definition.status?.conditions?.some(({ type, status }) => type === 'Established' && status === 'True');
  for (const { object } of definitions) {
    while (!isEstablished(await client.get(CRDS, object.metadata.name))) {
      if (performance.now() > deadline)
        throw new Failure(
          `the API server does not establish the CustomResourceDefinition ${objectKey(object)}: see kubectl describe crd ${object.metadata.name}`,
        );
      await sleep(100, undefined, { signal });
    }
  }
}
