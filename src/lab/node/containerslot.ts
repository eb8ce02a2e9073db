/** What a pod's worker knows of one of its containers. */
import type { Container, Pod } from '../../kube/core.ts';
import { Backoff } from './backoff.ts';
import { ImagePull } from './imagepull.ts';
import type { Instance, InstanceRecord } from './instance.ts';
import type { ContainerFacts } from './podstatus.ts';

export interface ContainerSlot {
  container: Container;
  current?: Instance;
  previous?: InstanceRecord;
  /** Why it does not run, when it should. */
  waiting?: { reason: string; message?: string };
  /** Number of the next run: it goes on from the API's status when the node was made anew. */
  nextAttempt: number;
  restarts: Backoff;
  pull: ImagePull;
}

export function newSlot(container: Container, nextAttempt: number): ContainerSlot {
  return { container, nextAttempt, restarts: new Backoff(), pull: new ImagePull() };
}

/** What the API's status tells of a container from before this kubelet. */
export function knownBefore(pod: Pod, name: string) {
  const status = [
    ...(pod.status?.initContainerStatuses ?? []),
    ...(pod.status?.containerStatuses ?? []),
  ].find(each => each.name === name);
  const restarts = status?.restartCount ?? 0;
  return {
    nextAttempt: status?.containerID ? restarts + 1 : restarts,
    probes: { started: status?.started ?? false, ready: status?.ready ?? false },
  };
}

export function slotFacts({ current, previous, waiting, nextAttempt }: ContainerSlot): ContainerFacts {
  return {
    restarts: current?.record.attempt ?? nextAttempt,
    ...(current && { current: current.record }),
    ...(previous && { previous }),
    ...(waiting && { waiting }),
    ready: current?.probes.ready ?? false,
    started: current?.probes.started ?? false,
  };
}
