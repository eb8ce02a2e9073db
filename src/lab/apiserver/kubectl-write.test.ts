/** Real kubectl against a real server: apply, patch, edit, roll out, delete. */
import assert from 'node:assert/strict';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startTestServer, type TestServer } from './testing.ts';
import { daemonset, lines, pod, refused } from './testing-samples.ts';

let server: TestServer;
before(async () => {
  server = await startTestServer();
});
after(() => server.close());

const kubectl = (...args: string[]) => server.run(args);

describe('apply', () => {
  test('client-side: created, unchanged, configured; items dropped from keyed lists go', async () => {
    const apply = (text: string) => server.run(['apply', '-f', '-'], text);
    assert.match(await apply(daemonset('csa')), /daemonset.apps\/csa created/);
    assert.match(await apply(daemonset('csa')), /unchanged/);
    await kubectl('set', 'env', 'ds/csa', 'C=3');
    assert.match(await apply(daemonset('csa').replace('{name: A, value: "1"}, ', '')), /configured/);
    const env = await kubectl(
      'get',
      'ds',
      'csa',
      '-o',
      'jsonpath={.spec.template.spec.containers[0].env[*].name}',
    );
    assert.equal(env, 'B C');
    assert.equal(await kubectl('get', 'ds', 'csa', '-o', 'jsonpath={.metadata.generation}'), '3');
  });

  test('an unknown field is refused, by name', async () => {
    const wrong = daemonset('wrong').replace('hostNetwork: true', 'hostNetwrk: true');
    assert.match(
      await refused(server, ['apply', '-f', '-'], wrong),
      /strict decoding error: unknown field "spec.template.spec.hostNetwrk"/,
    );
    assert.match(
      await refused(
        server,
        ['apply', '-f', '-'],
        daemonset('wrong').replace('hostNetwork: true', 'hostNetwork: maybe'),
      ),
      /cannot unmarshal string into Go struct field/,
    );
  });

  const map = (data: string) =>
    `{apiVersion: v1, kind: ConfigMap, metadata: {name: owned, labels: {a: b}}, data: {${data}}}`;
  const serverSide = (manager: string, data: string, ...more: string[]) =>
    server.kubectl(['apply', '--server-side', `--field-manager=${manager}`, ...more, '-f', '-'], map(data));
  const data = () => kubectl('get', 'cm', 'owned', '-o', 'jsonpath={.data}');

  test('server-side: dropped fields go, others keep theirs, conflicts are told and can be forced', async () => {
    assert.equal((await serverSide('one', 'x: "1", z: "2"')).code, 0);
    assert.equal((await serverSide('one', 'x: "1"')).code, 0);
    assert.equal(await data(), '{"x":"1"}');
    const conflict = await serverSide('two', 'x: "9", w: "1"');
    assert.match(conflict.stderr, /Apply failed with 1 conflict: conflict with "one": .data.x/);
    assert.equal((await serverSide('two', 'x: "9", w: "1"', '--force-conflicts')).code, 0);
    assert.equal((await serverSide('one', '')).code, 0);
    assert.equal(await data(), '{"w":"1","x":"9"}');
    assert.equal((await serverSide('two', 'w: "1"')).code, 0);
    assert.equal(await data(), '{"w":"1"}');
  });

  test('server-side after client-side takes over without a conflict', async () => {
    const text = map('x: "1"').replace('owned', 'moved');
    await server.run(['apply', '-f', '-'], text);
    assert.match(
      await server.run(['apply', '--server-side', '-f', '-'], text.replace('"1"', '"2"')),
      /serverside-applied/,
    );
    const managers = await kubectl(
      'get',
      'cm',
      'moved',
      '-o',
      'jsonpath={.metadata.managedFields[*].manager}',
    );
    assert.equal(managers, 'kubectl kubectl-last-applied');
  });

  test('a scaled deployment conflicts in .spec.replicas', async () => {
    const text =
      'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: sized}\nspec: {replicas: 2, selector: {matchLabels: {app: s}}, template: {metadata: {labels: {app: s}}, spec: {containers: [{name: c, image: i}]}}}';
    await server.run(['apply', '--server-side', '-f', '-'], text);
    assert.equal(await kubectl('scale', 'deploy', 'sized', '--replicas=4'), 'deployment.apps/sized scaled\n');
    assert.match(
      await refused(server, ['apply', '--server-side', '-f', '-'], text),
      /conflict with "kubectl" with subresource "scale" using apps\/v1: .spec.replicas/,
    );
    assert.equal(await kubectl('get', 'deploy', 'sized', '-o', 'jsonpath={.spec.replicas}'), '4');
  });

  test('diff shows what apply would do', async () => {
    const ran = await server.kubectl(['diff', '-f', '-'], daemonset('csa', 'pellicle/cilium:next'));
    assert.equal(ran.code, 1);
    assert.match(ran.stdout, /^\+ +- ?image: pellicle\/cilium:next|\+.*image: pellicle\/cilium:next/m);
  });
});

describe('changes', () => {
  before(() => server.run(['apply', '-f', '-'], daemonset('changing')));
  const get = (path: string) => kubectl('get', 'ds', 'changing', '-o', `jsonpath=${path}`);

  test('patch: strategic, merge, JSON', async () => {
    const patch = (type: string, body: unknown) =>
      kubectl('patch', 'ds', 'changing', `--type=${type}`, '-p', JSON.stringify(body));
    const containers = (item: object) => ({
      spec: { template: { spec: { containers: [{ name: 'agent', ...item }] } } },
    });
    await patch(
      'strategic',
      containers({
        env: [
          { name: 'B', $patch: 'delete' },
          { name: 'D', value: '4' },
        ],
      }),
    );
    assert.equal(await get('{.spec.template.spec.containers[0].env[*].name}'), 'A D');
    await patch('merge', { metadata: { annotations: { note: 'x' } }, spec: { revisionHistoryLimit: 3 } });
    assert.equal(await get('{.metadata.annotations.note} {.spec.revisionHistoryLimit}'), 'x 3');
    await patch('json', [
      { op: 'replace', path: '/spec/template/spec/containers/0/env/0/value', value: '7' },
      { op: 'remove', path: '/metadata/annotations/note' },
    ]);
    assert.equal(
      await get('{.spec.template.spec.containers[0].env[0].value}{.metadata.annotations.note}'),
      '7',
    );
  });

  test('label, annotate, edit', async () => {
    assert.match(await kubectl('label', 'ds', 'changing', 'colour=red'), /labeled/);
    assert.match(await refused(server, ['label', 'ds', 'changing', 'colour=blue']), /already has a value/);
    assert.match(await kubectl('label', 'ds', 'changing', 'colour-'), /unlabeled/);
    assert.match(await kubectl('annotate', 'ds', 'changing', 'why=because'), /annotated/);
    const editor = join(server.folder, 'editor');
    await writeFile(editor, '#!/bin/sh\nsed -i s/because/edited/ "$1"\n');
    await chmod(editor, 0o755);
    const edited = await server.kubectl(['edit', 'ds', 'changing'], '', { KUBE_EDITOR: editor });
    assert.match(edited.stdout, /daemonset.apps\/changing edited/, edited.stderr);
    assert.equal(await get('{.metadata.annotations.why}'), 'edited');
  });

  test('the selector of a daemonset cannot change', async () => {
    const patch =
      '{"spec":{"selector":{"matchLabels":{"k8s-app":"changing","x":"y"}},"template":{"metadata":{"labels":{"x":"y"}}}}}';
    assert.match(
      await refused(server, ['patch', 'ds', 'changing', '-p', patch]),
      /spec.selector: Invalid value: .*field is immutable/,
    );
  });

  test('rollout restart, then status as the controller reports it', async () => {
    assert.equal(await kubectl('rollout', 'restart', 'ds/changing'), 'daemonset.apps/changing restarted\n');
    assert.match(await get('{.spec.template.metadata.annotations}'), /kubectl.kubernetes.io\/restartedAt/);
    const generation = Number(await get('{.metadata.generation}'));
    const status = {
      observedGeneration: generation,
      desiredNumberScheduled: 2,
      currentNumberScheduled: 2,
      updatedNumberScheduled: 2,
      numberAvailable: 1,
      numberReady: 1,
      numberMisscheduled: 0,
    };
    const report = (more: object) =>
      kubectl(
        'patch',
        'ds',
        'changing',
        '--subresource=status',
        '--type=merge',
        '-p',
        JSON.stringify({ status: { ...status, ...more } }),
      );
    await report({});
    const waiting = kubectl('rollout', 'status', 'ds/changing', '--timeout=20s');
    await report({ numberAvailable: 2, numberReady: 2 });
    assert.match(await waiting, /daemon set "changing" successfully rolled out/);
    assert.equal(
      Number(await get('{.metadata.generation}')),
      generation,
      'status does not count as a change of spec',
    );
  });

  test('rollout history and undo, from the revisions that controllers keep', async () => {
    const uid = await get('{.metadata.uid}');
    const revision = (number: number, image: string) =>
      JSON.stringify({
        apiVersion: 'apps/v1',
        kind: 'ControllerRevision',
        metadata: {
          name: `changing-${number}`,
          labels: { 'k8s-app': 'changing' },
          ownerReferences: [
            { apiVersion: 'apps/v1', kind: 'DaemonSet', name: 'changing', uid, controller: true },
          ],
        },
        revision: number,
        data: {
          spec: {
            template: {
              $patch: 'replace',
              metadata: { labels: { 'k8s-app': 'changing' } },
              spec: { containers: [{ name: 'agent', image }] },
            },
          },
        },
      });
    await server.run(['create', '-f', '-'], revision(1, 'first:1'));
    await server.run(['create', '-f', '-'], revision(2, 'second:2'));
    assert.match(await kubectl('rollout', 'history', 'ds/changing'), /REVISION[\s\S]*1[\s\S]*2/);
    assert.match(await kubectl('rollout', 'undo', 'ds/changing', '--to-revision=1'), /rolled back/);
    assert.equal(await get('{.spec.template.spec.containers[0].image}'), 'first:1');
  });

  test('set image, cordon and taint a node', async () => {
    await kubectl('set', 'image', 'ds/changing', 'agent=pellicle/cilium:v9');
    assert.equal(await get('{.spec.template.spec.containers[0].image}'), 'pellicle/cilium:v9');
    await server.run(['create', '-f', '-'], '{apiVersion: v1, kind: Node, metadata: {name: node-x}}');
    assert.equal(await kubectl('cordon', 'node-x'), 'node/node-x cordoned\n');
    assert.equal(await kubectl('taint', 'node', 'node-x', 'k=v:NoSchedule'), 'node/node-x tainted\n');
    assert.match(await kubectl('get', 'nodes', 'node-x'), /Unknown,SchedulingDisabled/);
  });
});

describe('delete', () => {
  test('a finalizer holds the object until it is taken away', async () => {
    await server.run(
      ['create', '-f', '-'],
      '{apiVersion: v1, kind: ConfigMap, metadata: {name: held, finalizers: [example.com/hold]}}',
    );
    await kubectl('delete', 'cm', 'held', '--wait=false');
    assert.notEqual(await kubectl('get', 'cm', 'held', '-o', 'jsonpath={.metadata.deletionTimestamp}'), '');
    await kubectl(
      'patch',
      'cm',
      'held',
      '--type=json',
      '-p',
      '[{"op":"remove","path":"/metadata/finalizers"}]',
    );
    assert.match(await refused(server, ['get', 'cm', 'held']), /not found/);
  });

  test('propagation policies become finalizers for the garbage collector', async () => {
    for (const [policy, finalizer] of [
      ['foreground', 'foregroundDeletion'],
      ['orphan', 'orphan'],
    ] as const) {
      await kubectl('create', 'cm', policy);
      await kubectl('delete', 'cm', policy, `--cascade=${policy}`, '--wait=false');
      assert.equal(await kubectl('get', 'cm', policy, '-o', 'jsonpath={.metadata.finalizers[0]}'), finalizer);
    }
  });

  test('a pod on a node is given its grace, then the kubelet takes it away; one without a node goes at once', async () => {
    await server.run(['apply', '-f', '-'], `${pod('bound', 'nodeName: node-b')}---${pod('unbound')}`);
    await kubectl('delete', 'pod', 'unbound', '--wait=false');
    assert.match(await refused(server, ['get', 'pod', 'unbound']), /not found/);
    await kubectl('delete', 'pod', 'bound', '--wait=false');
    assert.equal(
      await kubectl('get', 'pod', 'bound', '-o', 'jsonpath={.metadata.deletionGracePeriodSeconds}'),
      '30',
    );
    assert.match(await kubectl('get', 'pod', 'bound'), /Terminating/);
    const waiting = kubectl('wait', '--for=delete', 'pod/bound', '--timeout=20s');
    await server.ask('DELETE', '/api/v1/namespaces/default/pods/bound', { gracePeriodSeconds: 0 });
    await waiting;
  });

  test('by label, and all of a kind', async () => {
    for (const name of ['a1', 'a2'])
      await server.run(
        ['create', '-f', '-'],
        `{apiVersion: v1, kind: ConfigMap, metadata: {name: ${name}, labels: {batch: a}}}`,
      );
    assert.equal(lines(await kubectl('delete', 'cm', '-l', 'batch=a')).length, 2);
    assert.equal(await kubectl('get', 'cm', '-l', 'batch=a', '-o', 'name'), '');
  });

  test('a namespace terminates, and takes nothing new', async () => {
    await kubectl('create', 'ns', 'leaving');
    await kubectl('delete', 'ns', 'leaving', '--wait=false');
    assert.match(await kubectl('get', 'ns', 'leaving'), /Terminating/);
    assert.match(
      await refused(server, ['create', '-n', 'leaving', 'cm', 'x']),
      /configmaps "x" is forbidden: unable to create new content in namespace leaving because it is being terminated/,
    );
    const unnamed = await server.ask('POST', '/api/v1/namespaces/leaving/configmaps', {
      metadata: { generateName: 'y-' },
    });
    assert.match(unnamed.body.message, /^configmaps "y-" is forbidden: unable to create/);
    await server.ask('PUT', '/api/v1/namespaces/leaving/finalize', {
      metadata: { name: 'leaving' },
      spec: { finalizers: [] },
    });
    assert.match(await refused(server, ['get', 'ns', 'leaving']), /not found/);
    assert.match(await refused(server, ['delete', 'ns', 'default']), /this namespace may not be deleted/);
  });
});
