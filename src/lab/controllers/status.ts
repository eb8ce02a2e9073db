/** Status writes that happen only when something differs. */
import { isDeepStrictEqual } from 'node:util';
import type { KubeObject, ResourceType } from '../../kube/types.ts';
import type { Cluster } from './cluster.ts';

/** Writes the status unless the object has it already; what is absent and what is empty or zero count as equal. */
export async function writeStatus<T extends KubeObject>(
  cluster: Cluster,
  type: ResourceType<T>,
  object: T,
  status: object,
): Promise<void> {
  if (isDeepStrictEqual(significant(object['status']), significant(status))) return;
  await cluster.patch(type, object, { status }, 'status');
}

function significant(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(significant);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(
        ([, inner]) => inner !== undefined && inner !== 0 && !(Array.isArray(inner) && inner.length === 0),
      )
      .map(([key, inner]) => [key, significant(inner)]),
  );
}
