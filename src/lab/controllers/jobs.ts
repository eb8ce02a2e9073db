/** Jobs: pods that run to their end, so many times, with so many failures allowed. */
import type { Condition, Pod } from '../../kube/types.ts';
import { PODS } from '../../kube/types.ts';
import type { Cluster } from './cluster.ts';
import { type Controller, controller, eachObject, ownerOf, splitKey } from './controller.ts';
import { createPod } from './createpod.ts';
import {
  condition,
  generatedName,
  isControlledBy,
  isDeleting,
  timeOf,
  timestamp,
  withCondition,
} from './objects.ts';
import { isActive, isReady, podFromTemplate } from './pods.ts';
import { JOBS, type Job } from './resources.ts';
import { writeStatus } from './status.ts';

export interface JobPlan {
  create: number;
  remove: Pod[];
  status: NonNullable<Job['status']>;
  /** The job is over and its time to be kept too. */
  expired: boolean;
  /** Milliseconds until the plan changes by time alone. */
  after?: number;
}

/** The pause after so many failures in a row, as a real cluster makes it (milliseconds). */
const BACKOFF = { first: 10_000, longest: 600_000 };

export function planJob(job: Job, owned: readonly Pod[], now: number): JobPlan {
  const spec = job.spec;
  const active = owned.filter(isActive);
  const succeeded = owned.filter(pod => pod.status?.phase === 'Succeeded').length;
  const failures = owned.filter(pod => pod.status?.phase === 'Failed');
  const startTime = job.status?.startTime ?? timestamp(now);
  const counts = {
    active: active.length,
    ready: active.filter(isReady).length,
    succeeded,
    failed: failures.length,
    startTime,
  };
  const before = job.status?.conditions ?? [];
  const plan = (part: Partial<JobPlan>): JobPlan => ({
    create: 0,
    remove: [],
    status: { ...counts, conditions: before },
    expired: false,
    ...part,
  });
  if (isDeleting(job)) return plan({});
  const ended = ending(before);
  if (ended !== undefined)
    return plan({ status: { ...job.status, active: 0, ready: 0 }, ...afterlife(job, ended, now) });

  const deadline = spec.activeDeadlineSeconds && timeOf(startTime) + spec.activeDeadlineSeconds * 1000;
  const end = (type: string, reason: string, message: string): JobPlan => {
    const next: Condition = { type, status: 'True', reason, message };
    const conditions = withCondition(before, next, now);
    const completionTime = type === 'Complete' ? { completionTime: timestamp(now) } : {};
    return plan({
      remove: active,
      status: { ...counts, active: 0, ready: 0, ...completionTime, conditions },
    });
  };
  if (failures.length > (spec.backoffLimit ?? 6))
    return end('Failed', 'BackoffLimitExceeded', 'Job has reached the specified backoff limit');
  if (deadline && now >= deadline)
    return end('Failed', 'DeadlineExceeded', 'Job was active longer than specified deadline');
  const parallelism = spec.parallelism ?? 1;
  // Without completions the first success ends the job, once the other pods are through.
  const enough =
    spec.completions === undefined ? succeeded > 0 && active.length === 0 : succeeded >= spec.completions;
  if (enough) return end('Complete', 'CompletionsReached', 'Reached expected number of succeeded pods');
  if (spec.suspend) return plan({ remove: active });

  const missing =
    spec.completions === undefined ? (succeeded > 0 ? 0 : parallelism) : spec.completions - succeeded;
  const wanted = Math.min(parallelism, missing);
  const pause = pauseLeft(failures, now);
  const waits = [deadline && deadline - now, pause > 0 ? pause : undefined].filter(
    wait => wait !== undefined && wait > 0,
  );
  return plan({
    create: pause > 0 ? 0 : Math.max(0, wanted - active.length),
    remove: active.slice(wanted),
    ...(waits.length > 0 && { after: Math.min(...(waits as number[])) + 50 }),
  });
}

export function jobController(cluster: Cluster): Controller {
  const [jobs, pods] = [cluster.cache(JOBS), cluster.cache(PODS)];
  return controller({
    name: 'job',
    cluster,
    watch(enqueue) {
      jobs.subscribe(eachObject(enqueue));
      pods.subscribe(ownerOf('Job', enqueue));
      return [jobs, pods];
    },
    async reconcile(key) {
      const { name, namespace } = splitKey(key);
      const job = jobs.get(name, namespace);
      if (job === undefined) return undefined;
      const owned = pods.items(namespace).filter(pod => isControlledBy(pod, job));
      const plan = planJob(job, owned, cluster.clock.now());
      if (plan.expired) {
        await cluster.delete(JOBS, job, { propagationPolicy: 'Foreground' });
        return undefined;
      }
      for (const pod of plan.remove) await cluster.delete(PODS, pod);
      for (let index = 0; index < plan.create; index++)
        await createPod(cluster, job, podFor(job, cluster.random));
      await writeStatus(cluster, JOBS, job, plan.status);
      return plan.after;
    },
  });
}

function podFor(job: Job, random: () => number): Pod {
  const prefix = `${job.metadata.name}-`;
  const pod = podFromTemplate(job, job.spec.template, { name: generatedName(prefix, random), prefix });
  const { name, uid = '' } = job.metadata;
  const labels = {
    'job-name': name,
    'batch.kubernetes.io/job-name': name,
    'controller-uid': uid,
    'batch.kubernetes.io/controller-uid': uid,
  };
  pod.metadata.labels = { ...pod.metadata.labels, ...labels };
  return pod;
}

function ending(conditions: Condition[]): Condition | undefined {
  return [condition(conditions, 'Complete'), condition(conditions, 'Failed')].find(
    each => each?.status === 'True',
  );
}

function afterlife(job: Job, ended: Condition, now: number): { expired?: boolean; after?: number } {
  const seconds = job.spec.ttlSecondsAfterFinished;
  if (seconds === undefined) return {};
  const left = timeOf(ended.lastTransitionTime) + seconds * 1000 - now;
  return left <= 0 ? { expired: true } : { after: left + 50 };
}

function pauseLeft(failures: readonly Pod[], now: number): number {
  if (failures.length === 0) return 0;
  const last = Math.max(...failures.map(endOf));
  return last + Math.min(BACKOFF.first * 2 ** (failures.length - 1), BACKOFF.longest) - now;
}

function endOf(pod: Pod): number {
  const ends = (pod.status?.containerStatuses ?? []).map(each => timeOf(each.state?.terminated?.finishedAt));
  return Math.max(timeOf(pod.metadata.creationTimestamp), ...ends);
}
