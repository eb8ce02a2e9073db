/** Real kubectl against a real server: the lab's key secret, create and get. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { follow, startTestServer, type TestServer } from './testing.ts';
import { daemonset, lines, pod, refused, words } from './testing-samples.ts';

let server: TestServer;
before(async () => {
  server = await startTestServer();
});
after(() => server.close());

const kubectl = (...args: string[]) => server.run(args);

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
    assert.match(
      await refused(server, ['create', 'secret', 'generic', 'once']),
      /secrets "once" already exists/,
    );
    const patch = ['patch', 'secret', 'once', '-p', '{"type":"kubernetes.io/tls"}'];
    assert.match(
      await refused(server, patch),
      /type: Invalid value: "kubernetes.io\/tls": field is immutable/,
    );
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
    assert.match(await refused(server, ['get', 'configmap', 'dry']), /configmaps "dry" not found/);
  });

  test('in a namespace that is not there', async () => {
    assert.match(
      await refused(server, ['create', '-n', 'nowhere', 'configmap', 'x']),
      /namespaces "nowhere" not found/,
    );
  });

  test('with a name that cannot be', async () => {
    assert.match(
      await refused(server, ['create', 'configmap', 'Not_ok']),
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
    const wrong = await refused(server, ['get', 'po', '--field-selector', 'spec.foo=1']);
    assert.equal(wrong.match(/Unable to find/g)?.length, 1);
    assert.match(wrong, /field selector "spec.foo=1": field label not supported: spec.foo/);
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
      await refused(server, ['get', 'pod', 'gone']),
      'Error from server (NotFound): pods "gone" not found',
    );
    assert.equal(
      await refused(server, ['get', 'pod', 'x', '-n', 'gone']),
      'Error from server (NotFound): namespaces "gone" not found',
    );
    assert.match(
      await refused(server, ['get', 'rockets']),
      /the server doesn't have a resource type "rockets"/,
    );
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
