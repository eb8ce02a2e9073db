import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Pod } from '../../kube/types.ts';
import { planJob } from './jobs.ts';
import type { Job } from './resources.ts';

const NOW = Date.UTC(2026, 0, 1);

function job(spec: Partial<Job['spec']> = {}, status?: Job['status']): Job {
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: 'j', namespace: 'default', uid: 'j' },
    spec: { template: { spec: { containers: [] } }, ...spec },
    ...(status && { status }),
  };
}

function pod(phase: 'Running' | 'Succeeded' | 'Failed', at = NOW): Pod {
  const creationTimestamp = new Date(at).toISOString();
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', creationTimestamp },
    spec: { containers: [] },
    status: { phase },
  };
}

const ending = (status: Job['status']) => status?.conditions?.find(each => each.status === 'True')?.type;

test('as many at a time as parallelism, as many in all as completions', () => {
  const spec = { parallelism: 2, completions: 3 };
  assert.equal(planJob(job(spec), [], NOW).create, 2);
  assert.equal(planJob(job(spec), [pod('Succeeded'), pod('Succeeded')], NOW).create, 1);
  const done = planJob(job(spec), [pod('Succeeded'), pod('Succeeded'), pod('Succeeded')], NOW);
  assert.equal(done.create, 0);
  assert.equal(ending(done.status), 'Complete');
  assert.ok(done.status.completionTime);
});

test('a failure is tried again after a pause, until backoffLimit', () => {
  const first = planJob(job({ completions: 1 }), [pod('Failed')], NOW + 5_000);
  assert.equal(first.create, 0);
  assert.ok(first.after! > 4_900 && first.after! < 5_200);
  assert.equal(planJob(job({ completions: 1 }), [pod('Failed')], NOW + 10_000).create, 1);
  const over = planJob(job({ completions: 1, backoffLimit: 0 }), [pod('Failed'), pod('Running')], NOW);
  assert.equal(ending(over.status), 'Failed');
  assert.equal(over.remove.length, 1);
});

test('activeDeadlineSeconds ends it, ttlSecondsAfterFinished takes it away', () => {
  const started = { startTime: new Date(NOW).toISOString() };
  const late = planJob(
    job({ completions: 1, activeDeadlineSeconds: 10 }, started),
    [pod('Running')],
    NOW + 10_000,
  );
  assert.equal(late.status.conditions?.[0]?.reason, 'DeadlineExceeded');
  const ended = job({ completions: 1, ttlSecondsAfterFinished: 60 }, late.status);
  assert.equal(planJob(ended, [], NOW + 20_000).expired, false);
  assert.equal(planJob(ended, [], NOW + 71_000).expired, true);
});

test('a job that is over keeps its counts when its pods are cleaned up', () => {
  const done = planJob(job({ completions: 1 }), [pod('Failed', NOW - 60_000), pod('Succeeded')], NOW).status;
  assert.deepEqual([done.succeeded, done.failed], [1, 1]);
  assert.deepEqual(planJob(job({ completions: 1 }, done), [], NOW + 5_000).status, done);
});

test('a suspended job runs nothing', () => {
  const plan = planJob(job({ completions: 1, suspend: true }), [pod('Running')], NOW);
  assert.equal(plan.create, 0);
  assert.equal(plan.remove.length, 1);
});

test('every job ends, with exactly as many successes as asked or more failures than allowed', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 0, max: 3 }),
      fc.infiniteStream(fc.boolean()),
      (completions, parallelism, backoffLimit, luck) => {
        const spec = { completions, parallelism, backoffLimit };
        let status: Job['status'];
        let pods: Pod[] = [];
        let now = NOW;
        for (let round = 0; round < 50 && ending(status) === undefined; round++, now += 3_600_000) {
          const plan = planJob(job(spec, status), pods, now);
          status = plan.status;
          pods = pods.filter(each => !plan.remove.includes(each));
          for (let index = 0; index < plan.create; index++) pods.push(pod('Running', now));
          const running = pods.filter(each => each.status?.phase === 'Running');
          assert.ok(running.length <= parallelism);
          if (running[0]) running[0].status = { phase: luck.next().value ? 'Succeeded' : 'Failed' };
        }
        assert.ok(
          ending(status) === 'Complete' ? status?.succeeded === completions : status!.failed! > backoffLimit,
        );
      },
    ),
  );
});
