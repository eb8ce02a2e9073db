/** Which pod a name means, while another that had it is being taken down. */
import type { Pod } from '../../kube/core.ts';

/** `pods` are in the order in which the node heard of them. */
export function newestPod<T extends { pod: Pod }>(
  pods: Iterable<T>,
  namespace: string,
  name: string,
): T | undefined {
  return [...pods].findLast(
    ({ pod: { metadata } }) => metadata.name === name && metadata.namespace === namespace,
  );
}
