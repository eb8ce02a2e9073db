/** Real kubectl against a real server: the commands of the lab, and what a person tries next. */
import assert from 'node:assert/strict';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { follow, startTestServer, type TestServer } from './testing.ts';

let server: TestServer;
before(async () => {
  server = await startTestServer();
});
after(() => server.close());

const kubectl = (...args: string[]) => server.run(args);
const lines = (text: string) => text.trimEnd().split('\n');
const words = (line = '') => line.trim().split(/\s{2,}/);

async function refused(args: string[], input?: string): Promise<string> {
  const ran = await server.kubectl(args, input);
  assert.notEqual(ran.code, 0, ran.stdout);
  return ran.stderr.trim();
}

const daemonset = (name: string, image = 'pellicle/cilium:v0.1.0') => `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: ${name}, labels: {k8s-app: ${name}}}
spec:
  selector: {matchLabels: {k8s-app: ${name}}}
  template:
    metadata: {labels: {k8s-app: ${name}}}
    spec:
      hostNetwork: true
      containers:
      - name: agent
        image: ${image}
        env: [{name: A, value: "1"}, {name: B, value: "2"}]
        ports: [{containerPort: 80}]
`;

const pod = (name: string, more = '') => `
apiVersion: v1
kind: Pod
metadata: {name: ${name}, labels: {app: ${name}}}
spec:
  ${more}
  containers: [{name: main, image: busybox, command: [sleep, "99"]}]
`;

describe('the key secret of the lab', () => {
  test('create, read, decode, patch with stringData', async () => {
    const value = '3 rfc4106(gcm(aes)) da630c6acdbef2757ab7f5215b8b1811420e3f61 128';
    const of = ['-n', 'kube-system'];
    const made = await kubectl(
      'create',
      ...of,
      'secret',
      'generic',
      'cilium-ipsec-keys',
      `--from-literal=keys=${value}`,
    );
    assert.equal(made, 'secret/cilium-ipsec-keys created\n');
    const data = await kubectl('get', 'secrets', 'cilium-ipsec-keys', '-o', 'jsonpath={.data}', ...of);
    assert.deepEqual(JSON.parse(data), { keys: Buffer.from(value).toString('base64') });
    const template = '{{.data.keys | base64decode}}{{printf "\\n"}}';
    const read = () => kubectl('get', 'secret', ...of, 'cilium-ipsec-keys', '-o', `go-template=${template}`);
    assert.equal(await read(), `${value}\n`);
    const patch = JSON.stringify({ stringData: { keys: '4 rfc4106(gcm(aes)) 00 128' } });
    const patched = await kubectl('patch', 'secret', ...of, 'cilium-ipsec-keys', `-p=${patch}`, '-v=1');
    assert.equal(patched, 'secret/cilium-ipsec-keys patched\n');
    assert.equal(await read(), '4 rfc4106(gcm(aes)) 00 128\n');
  });

  test('a second create is refused, another type too', async () => {
    await kubectl('create', 'secret', 'generic', 'once', '--from-literal=a=b');
    assert.match(await refused(['create', 'secret', 'generic', 'once']), /secrets "once" already exists/);
    const patch = ['patch', 'secret', 'once', '-p', '{"type":"kubernetes.io/tls"}'];
    assert.match(await refused(patch), /type: Invalid value: "kubernetes.io\/tls": field is immutable/);
  });
});

describe('create', () => {
  const commands = [
    'namespace made',
    'configmap made --from-literal=a=b',
    'secret docker-registry pull --docker-username=u --docker-password=p --docker-server=s',
    'serviceaccount made',
    'role made --verb=get,list --resource=pods,deployments.apps --resource-name=x',
    'clusterrole made --verb=get --non-resource-url=/metrics',
    'rolebinding made --clusterrole=view --serviceaccount=default:made --user=u --group=g',
    'clusterrolebinding made --clusterrole=made --group=g',
    'deployment made --image=nginx --replicas=2 --port=80',
    'service clusterip made --tcp=80:8080',
    'service nodeport ported --tcp=80',
    'service externalname outside --external-name=example.com',
    'job made --image=busybox -- sleep 1',
    'cronjob made --image=busybox --schedule=0/5 -- date',
    'quota made --hard=pods=5,cpu=1',
    'poddisruptionbudget made --selector=app=x --min-available=50%',
    'priorityclass made --value=1000 --description=d',
    'ingress made --rule=foo.com/bar=svc1:8080,tls=cert',
  ];
  for (const command of commands)
    test(command, async () => {
      const printed = await kubectl('create', ...command.split(' '));
      assert.match(printed, /^\S+\/\S+ created\n$/);
      const [name] = printed.split(' ');
      const [type, plain] = (name as string).split('/');
      assert.equal(await kubectl('get', name as string, '-o', 'jsonpath={.metadata.name}'), plain, type);
    });

  test('the protobuf bodies bring every field', async () => {
    const get = (type: string, path: string) => kubectl('get', type, 'made', '-o', `jsonpath=${path}`);
    assert.equal(
      await get('deploy', '{.spec.replicas} {.spec.template.spec.containers[0].ports[0].containerPort}'),
      '2 80',
    );
    assert.equal(await get('pdb', '{.spec.minAvailable}'), '50%');
    assert.equal(await get('quota', '{.spec.hard}'), '{"cpu":"1","pods":"5"}');
    assert.equal(await get('svc', '{.spec.ports[0].targetPort}'), '8080');
    assert.equal(await get('rolebinding', '{.subjects[*].name}'), 'u g made');
    assert.equal(await get('ingress', '{.spec.rules[0].http.paths[0].backend.service.port.number}'), '8080');
  });

  test('--dry-run=server checks and stores nothing', async () => {
    assert.match(
      await kubectl('create', 'configmap', 'dry', '--dry-run=server'),
      /created \(server dry run\)/,
    );
    assert.match(await refused(['get', 'configmap', 'dry']), /configmaps "dry" not found/);
  });

  test('in a namespace that is not there', async () => {
    assert.match(
      await refused(['create', '-n', 'nowhere', 'configmap', 'x']),
      /namespaces "nowhere" not found/,
    );
  });

  test('with a name that cannot be', async () => {
    assert.match(
      await refused(['create', 'configmap', 'Not_ok']),
      /metadata.name: Invalid value: "Not_ok": a lowercase RFC 1123 subdomain/,
    );
  });
});

describe('get', () => {
  before(async () => {
    await server.run(
      ['apply', '-f', '-'],
      `${pod('seen')}---${pod('other', 'nodeName: node-b')}---${daemonset('seen')}`,
    );
    const status = {
      status: {
        phase: 'Running',
        podIP: '10.244.1.7',
        containerStatuses: [
          {
            name: 'main',
            ready: true,
            restartCount: 2,
            image: 'i',
            imageID: '',
            state: { running: {} },
            lastState: {
              terminated: { exitCode: 1, finishedAt: new Date(Date.now() - 90_000).toISOString() },
            },
          },
        ],
      },
    };
    await kubectl(
      'patch',
      'pod',
      'other',
      '--subresource=status',
      '--type=merge',
      '-p',
      JSON.stringify(status),
    );
  });

  test('a table has the columns of the real server', async () => {
    const [head, row] = lines(await kubectl('get', 'pod', 'other', '-o', 'wide'));
    assert.deepEqual(words(head), [
      'NAME',
      'READY',
      'STATUS',
      'RESTARTS',
      'AGE',
      'IP',
      'NODE',
      'NOMINATED NODE',
      'READINESS GATES',
    ]);
    assert.match(
      row ?? '',
      /^other +1\/1 +Running +2 \(9\ds ago\) +\d+s +10.244.1.7 +node-b +<none> +<none>$/,
    );
    const [plain] = lines(await kubectl('get', 'ds'));
    assert.deepEqual(words(plain), [
      'NAME',
      'DESIRED',
      'CURRENT',
      'READY',
      'UP-TO-DATE',
      'AVAILABLE',
      'NODE SELECTOR',
      'AGE',
    ]);
  });

  test('-l, --field-selector, -o name', async () => {
    assert.equal(await kubectl('get', 'po', '-l', 'app=seen', '-o', 'name'), 'pod/seen\n');
    assert.equal(
      await kubectl('get', 'po', '-l', 'app in (seen,other),!x', '-o', 'name'),
      'pod/other\npod/seen\n',
    );
    assert.equal(
      await kubectl('get', 'po', '--field-selector', 'spec.nodeName=node-b', '-o', 'name'),
      'pod/other\n',
    );
    assert.equal(
      await kubectl('get', 'po', '--field-selector', 'status.phase!=Running', '-o', 'name'),
      'pod/seen\n',
    );
    const wrong = await refused(['get', 'po', '--field-selector', 'spec.foo=1']);
    assert.match(wrong, /field label not supported: spec.foo/);
  });

  test('-A, --show-labels, --sort-by, several kinds', async () => {
    const all = await kubectl('get', 'po', '-A', '--show-labels', '--sort-by=.metadata.name');
    assert.deepEqual(
      lines(all)
        .slice(1)
        .map(line => line.split(/\s+/)[1]),
      ['other', 'seen'],
    );
    assert.match(all, /app=seen/);
    assert.match(await kubectl('get', 'po,ds'), /pod\/seen[\s\S]*daemonset.apps\/seen/);
    assert.match(await kubectl('get', 'all'), /daemonset.apps\/seen/);
  });

  test('json and yaml are whole', async () => {
    const json = JSON.parse(await kubectl('get', 'pod', 'seen', '-o', 'json'));
    assert.equal(json.spec.terminationGracePeriodSeconds, 30);
    assert.equal(json.spec.containers[0].imagePullPolicy, 'Always');
    assert.equal(json.status.qosClass, 'BestEffort');
    assert.match(await kubectl('get', 'pod', 'seen', '-o', 'yaml'), /^apiVersion: v1\nkind: Pod\n/);
  });

  test('what is not there', async () => {
    assert.equal(
      await refused(['get', 'pod', 'gone']),
      'Error from server (NotFound): pods "gone" not found',
    );
    assert.equal(
      await refused(['get', 'pod', 'x', '-n', 'gone']),
      'Error from server (NotFound): namespaces "gone" not found',
    );
    assert.match(await refused(['get', 'rockets']), /the server doesn't have a resource type "rockets"/);
  });

  test('-w tells what changes', async () => {
    const base = [
      '--kubeconfig',
      join(server.folder, 'kubeconfig'),
      '--cache-dir',
      join(server.folder, 'cache'),
    ];
    const watching = follow('kubectl', [
      ...base,
      'get',
      'pod',
      'seen',
      '-w',
      '-o',
      'jsonpath={.metadata.labels.step}{"\\n"}',
    ]);
    try {
      await watching.until('\n');
      await kubectl('label', 'pod', 'seen', 'step=one');
      await watching.until('one');
      await kubectl('label', 'pod', 'seen', 'step=two', '--overwrite');
      await watching.until('two');
    } finally {
      watching.stop();
    }
  });

  test('describe', async () => {
    const event = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: 'seen.1', namespace: 'default' },
      involvedObject: {
        apiVersion: 'v1',
        kind: 'Pod',
        name: 'seen',
        namespace: 'default',
        uid: await kubectl('get', 'pod', 'seen', '-o', 'jsonpath={.metadata.uid}'),
      },
      reason: 'Scheduled',
      message: 'assigned',
      type: 'Normal',
      count: 1,
      firstTimestamp: new Date().toISOString(),
      lastTimestamp: new Date().toISOString(),
    };
    await server.run(['create', '-f', '-'], JSON.stringify(event));
    assert.match(await kubectl('describe', 'pod', 'seen'), /Name: +seen[\s\S]*Scheduled/);
    assert.match(await kubectl('describe', 'ds', 'seen'), /Selector: +k8s-app=seen/);
    assert.match(await kubectl('describe', 'ns', 'default'), /Status: +Active/);
    assert.match(await kubectl('describe', 'svc', 'kubernetes'), /Endpoints: +127.0.0.1:/);
    assert.match(await kubectl('events', '--for', 'pod/seen'), /Scheduled/);
  });
});

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
      await refused(['apply', '-f', '-'], wrong),
      /strict decoding error: unknown field "spec.template.spec.hostNetwrk"/,
    );
    assert.match(
      await refused(
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
      await refused(['apply', '--server-side', '-f', '-'], text),
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
    assert.match(await refused(['label', 'ds', 'changing', 'colour=blue']), /already has a value/);
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
      await refused(['patch', 'ds', 'changing', '-p', patch]),
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
    assert.match(await refused(['get', 'cm', 'held']), /not found/);
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
    assert.match(await refused(['get', 'pod', 'unbound']), /not found/);
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
      await refused(['create', '-n', 'leaving', 'cm', 'x']),
      /unable to create new content in namespace leaving because it is being terminated/,
    );
    await server.ask('PUT', '/api/v1/namespaces/leaving/finalize', {
      metadata: { name: 'leaving' },
      spec: { finalizers: [] },
    });
    assert.match(await refused(['get', 'ns', 'leaving']), /not found/);
    assert.match(await refused(['delete', 'ns', 'default']), /this namespace may not be deleted/);
  });
});

describe('custom resources', () => {
  const definition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ciliumnodes.cilium.io}
spec:
  group: cilium.io
  scope: Cluster
  names: {plural: ciliumnodes, singular: ciliumnode, kind: CiliumNode, shortNames: [cn], categories: [cilium]}
  versions:
  - name: v2
    served: true
    storage: true
    subresources: {status: {}, scale: {specReplicasPath: .spec.size, statusReplicasPath: .status.size}}
    additionalPrinterColumns:
    - {jsonPath: '.spec.addresses[?(@.type=="CiliumInternalIP")].ip', name: CiliumInternalIP, type: string}
    - {jsonPath: '.metadata.annotations.network\\.cilium\\.io/wg-pub-key', name: Key, type: string, priority: 1}
    - {jsonPath: .metadata.creationTimestamp, name: Age, type: date}
    schema: &schema
      openAPIV3Schema:
        type: object
        required: [spec]
        properties:
          metadata: {type: object}
          spec:
            type: object
            properties:
              size: {type: integer, default: 3, minimum: 1, maximum: 9}
              mode: {type: string, enum: [fast, slow]}
              addresses: {type: array, items: {type: object, required: [ip], properties: {type: {type: string}, ip: {type: string, format: ipv4}}}}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
  - {name: v3alpha1, served: true, storage: false, schema: *schema}
`;
  const node = (spec: string) =>
    `{apiVersion: cilium.io/v2, kind: CiliumNode, metadata: {name: kind-worker2, annotations: {network.cilium.io/wg-pub-key: abc=}}, spec: {${spec}}}`;

  before(async () => {
    await server.run(['apply', '-f', '-'], definition);
    await kubectl('wait', '--for=condition=established', 'crd/ciliumnodes.cilium.io', '--timeout=10s');
    await server.run(
      ['apply', '-f', '-'],
      node('addresses: [{type: InternalIP, ip: 172.18.0.4}, {type: CiliumInternalIP, ip: 10.244.2.1}]'),
    );
  });

  test('the annotation of the lab is read by jsonpath', async () => {
    const path = 'jsonpath={.metadata.annotations.network\\.cilium\\.io/wg-pub-key}';
    assert.equal(await kubectl('get', 'ciliumnode', 'kind-worker2', '-o', path), 'abc=');
  });

  test('columns, defaults, scale, categories, both versions', async () => {
    const [head, row] = lines(await kubectl('get', 'cn', '-o', 'wide'));
    assert.deepEqual(words(head), ['NAME', 'CILIUMINTERNALIP', 'KEY', 'AGE']);
    assert.match(row ?? '', /^kind-worker2 +10.244.2.1 +abc= +\d+s$/);
    assert.equal(
      await kubectl('scale', 'cn', 'kind-worker2', '--replicas=5'),
      'ciliumnode.cilium.io/kind-worker2 scaled\n',
    );
    assert.equal(
      await kubectl(
        'get',
        'ciliumnodes.v3alpha1.cilium.io',
        'kind-worker2',
        '-o',
        'jsonpath={.apiVersion} {.spec.size}',
      ),
      'cilium.io/v3alpha1 5',
    );
    assert.match(await kubectl('get', 'cilium'), /kind-worker2/);
  });

  test('what the schema does not allow is refused in the words of the real server', async () => {
    const why = async (spec: string) =>
      refused(['create', '-f', '-'], node(spec).replace('kind-worker2', 'bad'));
    assert.match(
      await why('size: 0'),
      /spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1/,
    );
    assert.match(
      await why('size: many'),
      /spec.size: Invalid value: "string": spec.size in body must be of type integer: "string"/,
    );
    assert.match(
      await why('mode: perhaps'),
      /spec.mode: Unsupported value: "perhaps": supported values: "fast", "slow"/,
    );
    assert.match(await why('addresses: [{type: x}]'), /spec.addresses\[0\].ip: Required value/);
    assert.match(await why('colour: red'), /strict decoding error: unknown field "spec.colour"/);
  });

  test('apply merges, server-side apply owns, strategic patches are refused', async () => {
    assert.match(await server.run(['apply', '-f', '-'], node('size: 7')), /configured/);
    assert.match(
      await server.run(['apply', '--server-side', '--force-conflicts', '-f', '-'], node('size: 8')),
      /serverside-applied/,
    );
    assert.equal(await kubectl('get', 'cn', 'kind-worker2', '-o', 'jsonpath={.spec.size}'), '8');
    assert.match(
      await refused(['patch', 'cn', 'kind-worker2', '-p', '{"spec":{}}']),
      /application\/strategic-merge-patch\+json is not supported|strategic merge patch is not supported|UnsupportedMediaType|unknown format/,
    );
  });

  test('status is a subresource: neither write touches the other half', async () => {
    await kubectl(
      'patch',
      'cn',
      'kind-worker2',
      '--type=merge',
      '--subresource=status',
      '-p',
      '{"status":{"up":true},"spec":{"size":2}}',
    );
    await kubectl(
      'patch',
      'cn',
      'kind-worker2',
      '--type=merge',
      '-p',
      '{"status":{"up":false},"spec":{"mode":"slow"}}',
    );
    assert.equal(
      await kubectl('get', 'cn', 'kind-worker2', '-o', 'jsonpath={.spec.size} {.spec.mode} {.status.up}'),
      '8 slow true',
    );
  });

  test('explain, api-resources; deleting the definition takes the objects along', async () => {
    assert.match(await kubectl('explain', 'ciliumnode.spec'), /addresses\s+<\[\]Object>/);
    assert.match(
      await kubectl('api-resources', '--api-group=cilium.io'),
      /ciliumnodes +cn +cilium.io\/v2 +false +CiliumNode/,
    );
    await kubectl('delete', 'crd', 'ciliumnodes.cilium.io');
    assert.match(await refused(['get', 'cn']), /could not find the requested resource/);
    assert.equal(server.api.store.list('ciliumnodes.cilium.io').length, 0);
  });
});

describe('about the cluster', () => {
  test('version, cluster-info, api-versions, api-resources, explain', async () => {
    assert.match(await kubectl('version'), /Server Version: v1\.32\./);
    assert.match(await kubectl('cluster-info'), /control plane.* is running at/);
    const versions = lines(await kubectl('api-versions'));
    for (const version of ['v1', 'apps/v1', 'batch/v1', 'rbac.authorization.k8s.io/v1'])
      assert.ok(versions.includes(version));
    assert.match(await kubectl('api-resources'), /daemonsets +ds +apps\/v1 +true +DaemonSet/);
    assert.match(
      await kubectl('explain', 'pod.spec.containers.livenessProbe'),
      /failureThreshold\s+<integer>/,
    );
  });

  test('auth can-i, whoami, create token', async () => {
    assert.equal(await kubectl('auth', 'can-i', '*', '*'), 'yes\n');
    assert.match(await kubectl('auth', 'whoami'), /admin/);
    const no = await server.kubectl([
      'auth',
      'can-i',
      'get',
      'secrets',
      '--as=system:serviceaccount:default:default',
    ]);
    assert.deepEqual([no.code, no.stdout.trim()], [1, 'no']);
    const token = (await kubectl('create', 'token', 'default')).trim();
    assert.equal(token.split('.').length, 3);
    const who = await kubectl('get', '--raw', '/version');
    assert.match(who, /gitVersion/);
  });

  test('wait for a condition', async () => {
    await server.run(['apply', '-f', '-'], pod('ready', 'nodeName: node-b'));
    const waiting = kubectl('wait', '--for=condition=Ready', 'pod', '-l', 'app=ready', '--timeout=20s');
    const status = { status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] } };
    await kubectl(
      'patch',
      'pod',
      'ready',
      '--subresource=status',
      '--type=strategic',
      '-p',
      JSON.stringify(status),
    );
    assert.match(await waiting, /pod\/ready condition met/);
  });

  test('a chart that asks for too little fails', async () => {
    await kubectl('create', 'sa', 'poor');
    const as = '--as=system:serviceaccount:default:poor';
    const words =
      'User "system:serviceaccount:default:poor" cannot list resource "pods" in API group "" in the namespace "default"';
    assert.equal(
      await refused(['get', 'pods', as]),
      `Error from server (Forbidden): pods is forbidden: ${words}`,
    );
    await kubectl('create', 'role', 'reader', '--verb=get,list', '--resource=pods');
    await kubectl('create', 'rolebinding', 'reader', '--role=reader', '--serviceaccount=default:poor');
    await kubectl('get', 'pods', as);
    assert.match(await refused(['get', 'pods', '-A', as]), /at the cluster scope/);
    assert.match(
      await refused(['delete', 'pod', 'ready', as]),
      /pods "ready" is forbidden: User .* cannot delete resource "pods"/,
    );
  });
});
