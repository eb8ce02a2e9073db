/** A pod's status from what is known of its containers. Pure. */
import type { Container, ContainerState, ContainerStatus, Pod, PodStatus } from '../../kube/core.ts';
import type { Condition } from '../../kube/types.ts';

export interface RunFacts {
  id: string;
  image: string;
  imageId: string;
  startedAt?: string;
  exit?: { code: number; reason: string; message?: string; finishedAt: string };
}

export interface ContainerFacts {
  /** The latest run. */
  current?: RunFacts;
  previous?: RunFacts;
  /** Why it does not run, when it should. */
  waiting?: { reason: string; message?: string };
  ready: boolean;
  started: boolean;
  /** How often it was started again. */
  restarts: number;
}

export interface PodFactsForStatus {
  containers: Map<string, ContainerFacts>;
  hostIps: string[];
  podIps: string[];
  sandboxReady: boolean;
  startTime: string;
  terminating: boolean;
}

export type Phase = 'Pending' | 'Running' | 'Succeeded' | 'Failed';

const nothing: ContainerFacts = { ready: false, started: false, restarts: 0 };

export function podStatus(pod: Pod, facts: PodFactsForStatus, now: string): PodStatus {
  const inits = pod.spec.initContainers ?? [];
  const of = (container: Container) => facts.containers.get(container.name) ?? nothing;
  const initialized = inits.every(container => initDone(container, of(container)));
  const initContainerStatuses = inits.map(container =>
    containerStatus(container, of(container), isSidecar(container)),
  );
  const containerStatuses = pod.spec.containers.map(container =>
    containerStatus(container, of(container), true, initialized ? undefined : 'PodInitializing'),
  );
  const phase = podPhase(pod, facts.containers);
  const finished = phase === 'Succeeded' || phase === 'Failed';
  return {
    phase,
    conditions: mergeConditions(
      pod.status?.conditions ?? [],
      conditions(pod, facts, phase, initialized, [...initContainerStatuses, ...containerStatuses]),
      now,
    ),
    ...(facts.hostIps[0] && { hostIP: facts.hostIps[0], hostIPs: facts.hostIps.map(ip => ({ ip })) }),
    ...(facts.podIps[0] &&
      (!finished || pod.spec.hostNetwork) && {
        podIP: facts.podIps[0],
        podIPs: facts.podIps.map(ip => ({ ip })),
      }),
    startTime: pod.status?.startTime ?? facts.startTime,
    ...(inits.length > 0 && { initContainerStatuses }),
    containerStatuses,
  };
}

export function isSidecar(container: Container): boolean {
  return container.restartPolicy === 'Always';
}

/** An init container is done when it ended well; a sidecar when it has started. */
export function initDone(container: Container, facts: ContainerFacts): boolean {
  if (isSidecar(container)) return facts.started || facts.current?.exit !== undefined;
  return facts.current?.exit?.code === 0;
}

export function podPhase(pod: Pod, containers: Map<string, ContainerFacts>): Phase {
  const policy = pod.spec.restartPolicy ?? 'Always';
  const of = (container: Container) => containers.get(container.name) ?? nothing;
  const plainInits = (pod.spec.initContainers ?? []).filter(container => !isSidecar(container));
  const failedInit = plainInits.some(container => {
    const { exit } = of(container).current ?? {};
    return policy === 'Never' && exit !== undefined && exit.code !== 0;
  });
  if (failedInit) return 'Failed';
  if (!(pod.spec.initContainers ?? []).every(container => initDone(container, of(container))))
    return 'Pending';
  const runs = pod.spec.containers.map(container => of(container).current);
  if (runs.some(run => run === undefined)) return 'Pending';
  if (policy === 'Always' || runs.some(run => !run?.exit)) return 'Running';
  if (runs.every(run => run?.exit?.code === 0)) return 'Succeeded';
  return policy === 'Never' ? 'Failed' : 'Running';
}

function containerStatus(
  container: Container,
  facts: ContainerFacts,
  showStarted: boolean,
  notYet?: string,
): ContainerStatus {
  const { current, previous, waiting } = facts;
  const state: ContainerState =
    current && !current.exit && current.startedAt
      ? { running: { startedAt: second(current.startedAt) } }
      : waiting
        ? { waiting }
        : current?.exit
          ? { terminated: terminated(current) }
          : { waiting: { reason: notYet ?? 'ContainerCreating' } };
  const last = state.terminated ? previous : current?.exit ? current : previous;
  const plainInit = !showStarted;
  return {
    name: container.name,
    image: current?.image ?? container.image ?? '',
    imageID: current?.imageId ?? '',
    ...(current && { containerID: `crun://${current.id}` }),
    ready: plainInit ? current?.exit?.code === 0 : state.running !== undefined && facts.ready,
    started: plainInit ? false : state.running !== undefined && facts.started,
    restartCount: facts.restarts,
    state,
    lastState: last?.exit ? { terminated: terminated(last) } : {},
  };
}

function terminated(run: RunFacts): NonNullable<ContainerState['terminated']> {
  const { code, reason, message, finishedAt } = run.exit!;
  return {
    exitCode: code,
    reason,
    ...(message && { message }),
    startedAt: second(run.startedAt ?? finishedAt),
    finishedAt: second(finishedAt),
    containerID: `crun://${run.id}`,
  };
}

function conditions(
  pod: Pod,
  facts: PodFactsForStatus,
  phase: Phase,
  initialized: boolean,
  statuses: ContainerStatus[],
): Condition[] {
  const sidecars = new Set((pod.spec.initContainers ?? []).filter(isSidecar).map(each => each.name));
  const counted = statuses.filter(
    status => sidecars.has(status.name) || pod.spec.containers.some(each => each.name === status.name),
  );
  const unready = counted.filter(status => !status.ready).map(status => status.name);
  const finished = phase === 'Succeeded' || phase === 'Failed';
  const ready: Pick<Condition, 'status' | 'reason' | 'message'> =
    phase === 'Succeeded'
      ? { status: 'False', reason: 'PodCompleted' }
      : phase === 'Failed'
        ? { status: 'False', reason: 'PodFailed' }
        : unready.length > 0 || !initialized
          ? {
              status: 'False',
              reason: 'ContainersNotReady',
              message: `containers with unready status: [${unready.join(' ')}]`,
            }
          : { status: 'True' };
  const incomplete = (pod.spec.initContainers ?? [])
    .filter(container => !initDone(container, facts.containers.get(container.name) ?? nothing))
    .map(container => container.name);
  return [
    { type: 'PodReadyToStartContainers', status: facts.sandboxReady && !finished ? 'True' : 'False' },
    initialized
      ? { type: 'Initialized', status: 'True', ...(phase === 'Succeeded' && { reason: 'PodCompleted' }) }
      : {
          type: 'Initialized',
          status: 'False',
          reason: 'ContainersNotInitialized',
          message: `containers with incomplete status: [${incomplete.join(' ')}]`,
        },
    { type: 'Ready', ...ready },
    { type: 'ContainersReady', ...ready },
    { type: 'PodScheduled', status: 'True' },
  ];
}

/** Ours over what is there; other writers' conditions stay; times change with the status alone. */
export function mergeConditions(there: Condition[], ours: Condition[], now: string): Condition[] {
  const kept = there.filter(condition => !ours.some(each => each.type === condition.type));
  const merged = ours.map(condition => {
    const before = there.find(each => each.type === condition.type);
    const same = before?.status === condition.status;
    return {
      ...condition,
      lastTransitionTime: (same ? before.lastTransitionTime : undefined) ?? second(now),
    };
  });
  return [...merged, ...kept];
}

/** RFC 3339 without fractions, as the API's Time is. */
export function second(time: string): string {
  return time.replace(/\.\d+Z$/, 'Z');
}
