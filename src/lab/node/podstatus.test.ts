import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod, PodSpec } from '../../kube/core.ts';
import { type ContainerFacts, mergeConditions, podStatus } from './podstatus.ts';

const time = '2026-01-01T00:00:00.123Z';
const run = (exit?: number, attempt = 0): ContainerFacts => ({
  current: {
    id: 'i',
    image: 'docker.io/library/busybox:latest',
    imageId: 'busybox@sha256:1',
    startedAt: time,
    ...(exit !== undefined && {
      exit: { code: exit, reason: exit === 0 ? 'Completed' : 'Error', finishedAt: time },
    }),
  },
  restarts: attempt,
  ready: exit === undefined,
  started: exit === undefined,
});
const status = (spec: Partial<PodSpec>, facts: Record<string, ContainerFacts>, sandboxReady = true) => {
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p' },
    spec: { containers: [{ name: 'a' }, { name: 'b' }], ...spec },
  };
  return podStatus(
    pod,
    {
      containers: new Map(Object.entries(facts)),
      hostIps: ['172.18.0.3'],
      podIps: ['10.244.1.2'],
      sandboxReady,
      startTime: time,
      terminating: false,
    },
    time,
  );
};
const condition = (of: ReturnType<typeof status>, type: string) =>
  of.conditions?.find(each => each.type === type)?.status;

test('phases', () => {
  const never: Partial<PodSpec> = { restartPolicy: 'Never' };
  const onFailure: Partial<PodSpec> = { restartPolicy: 'OnFailure' };
  assert.equal(status({}, {}).phase, 'Pending');
  assert.equal(status({}, { a: run() }).phase, 'Pending');
  assert.equal(status({}, { a: run(), b: run() }).phase, 'Running');
  assert.equal(status({}, { a: run(0), b: run(1) }).phase, 'Running');
  assert.equal(status(never, { a: run(0), b: run() }).phase, 'Running');
  assert.equal(status(never, { a: run(0), b: run(0) }).phase, 'Succeeded');
  assert.equal(status(never, { a: run(0), b: run(3) }).phase, 'Failed');
  assert.equal(status(onFailure, { a: run(0), b: run(3) }).phase, 'Running');
  assert.equal(status(onFailure, { a: run(0), b: run(0) }).phase, 'Succeeded');
});

test('init containers hold the pod Pending until they are done', () => {
  const spec: Partial<PodSpec> = { initContainers: [{ name: 'i' }, { name: 's', restartPolicy: 'Always' }] };
  const waiting = status(spec, { i: run() });
  assert.equal(waiting.phase, 'Pending');
  assert.equal(condition(waiting, 'Initialized'), 'False');
  assert.equal(waiting.containerStatuses?.[0]?.state?.waiting?.reason, 'PodInitializing');
  const done = status(spec, { i: run(0), s: run(), a: run(), b: run() });
  assert.equal(done.phase, 'Running');
  assert.equal(condition(done, 'Initialized'), 'True');
  assert.equal(condition(done, 'Ready'), 'True');
  assert.equal(done.initContainerStatuses?.[0]?.ready, true);
  assert.equal(status({ ...spec, restartPolicy: 'Never' }, { i: run(1) }).phase, 'Failed');
});

test('a container in back-off waits, and its last end is told', () => {
  const back = {
    ...run(7, 2),
    waiting: { reason: 'CrashLoopBackOff', message: 'back-off 10s' },
  };
  const [a, b] = status({}, { a: back, b: run() }).containerStatuses ?? [];
  assert.equal(a?.state?.waiting?.reason, 'CrashLoopBackOff');
  assert.equal(a?.lastState?.terminated?.exitCode, 7);
  assert.equal(a?.lastState?.terminated?.startedAt, '2026-01-01T00:00:00Z');
  assert.equal(a?.restartCount, 2);
  assert.equal(a?.ready, false);
  assert.equal(b?.ready, true);
});

test('readiness names the containers that lack it', () => {
  const now = status({}, { a: run(), b: { ...run(), ready: false } });
  assert.equal(condition(now, 'Ready'), 'False');
  assert.match(now.conditions?.find(each => each.type === 'Ready')?.message ?? '', /\[b\]/);
});

test("others' conditions stay, and times change only with the status", () => {
  const old = '2020-01-01T00:00:00Z';
  const merged = mergeConditions(
    [
      { type: 'Ready', status: 'True', lastTransitionTime: old },
      { type: 'Theirs', status: 'True', lastTransitionTime: old },
      { type: 'Initialized', status: 'False', lastTransitionTime: old },
    ],
    [
      { type: 'Ready', status: 'True' },
      { type: 'Initialized', status: 'True' },
    ],
    time,
  );
  assert.deepEqual(
    merged.map(each => [each.type, each.lastTransitionTime]),
    [
      ['Ready', old],
      ['Initialized', '2026-01-01T00:00:00Z'],
      ['Theirs', old],
    ],
  );
});
