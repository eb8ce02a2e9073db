/** A controller's way to make a pod: whoever describes the owner later sees what came of it. */
import { ApiError, isConflict } from '../../kube/client.ts';
import { type KubeObject, PODS, type Pod } from '../../kube/types.ts';
import type { Cluster } from './cluster.ts';
import { messageOf } from './controller.ts';

/** Throws what the API server refused it with, after an event about it. */
export async function createPod(cluster: Cluster, owner: KubeObject, pod: Pod): Promise<void> {
  try {
    const created = await cluster.create(PODS, pod);
    cluster.event(owner, 'Normal', 'SuccessfulCreate', 'Create', `Created pod: ${created.metadata.name}`);
  } catch (error) {
    if (isWorthAnEvent(error)) {
      const note = `Error creating: ${refusalOf(error, pod.metadata.generateName)}`;
      cluster.event(owner, 'Warning', 'FailedCreate', 'Create', note);
    }
    throw error;
  }
}

/** The message without the chance part of the pod's name, so that every attempt says the same. */
export function refusalOf(error: unknown, prefix: string | undefined): string {
  const message = messageOf(error);
  if (!prefix) return message;
  const quoted = message.split('"');
  return quoted
    .map((part, index) => (index % 2 === 1 && isGeneratedFrom(prefix, part) ? prefix : part))
    .join('"');
}

function isGeneratedFrom(prefix: string, name: string): boolean {
  return (
    name.startsWith(prefix.slice(0, 58)) && /^[a-z0-9]{5}$/.test(name.slice(Math.min(prefix.length, 58)))
  );
}

/** Not when the pod is there already, nor in a namespace that takes no events either. */
function isWorthAnEvent(error: unknown): boolean {
  if (!(error instanceof ApiError) || isConflict(error)) return false;
  const { causes } = (error.details ?? {}) as { causes?: { reason?: string }[] };
  return !causes?.some(cause => cause.reason === 'NamespaceTerminating');
}
