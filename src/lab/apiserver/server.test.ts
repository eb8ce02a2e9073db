/** The API as clients of it see it: versions, watches, pages, conflicts, credentials, and what is refused. */
import assert from 'node:assert/strict';
import { request } from 'node:https';
import { after, before, describe, test } from 'node:test';
import { connect } from 'node:tls';
import { type Answer, startTestServer, type TestServer } from './testing.ts';

let server: TestServer;
before(async () => {
  server = await startTestServer();
});
after(() => server.close());

const MAPS = '/api/v1/namespaces/default/configmaps';
const map = (name: string, more: object = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  ...more,
});
const post = (path: string, body: unknown) => server.ask('POST', path, body);
const get = (path: string, headers = {}) => server.ask('GET', path, undefined, headers);
const bearer = (token: string) => ({
  cert: undefined,
  key: undefined,
  headers: { Authorization: `Bearer ${token}` },
});

interface Event {
  type: string;
  object: {
    kind: string;
    code?: number;
    message?: string;
    metadata: { name: string; resourceVersion: string; annotations?: Record<string, string> };
  };
}

/** Reads a watch until this many events came. */
function watch(path: string, wanted: number): Promise<Event[]> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => outgoing.destroy(new Error(`less than ${wanted} events on ${path}`)),
      10_000,
    );
    const options = {
      host: '127.0.0.1',
      port: server.port,
      ca: server.authority.cert,
      cert: server.admin.cert,
      key: server.admin.key,
      path,
      agent: false,
    };
    const outgoing = request(options, answer => {
      let text = '';
      answer.on('data', chunk => {
        text += chunk;
        const events = text.split('\n').slice(0, -1);
        if (events.length < wanted) return;
        clearTimeout(timer);
        resolve(events.slice(0, wanted).map(line => JSON.parse(line)));
        outgoing.destroy();
      });
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}

describe('resource versions', () => {
  test('each write has one of its own; a stale one conflicts', async () => {
    const first = await post(MAPS, map('versioned', { data: { a: '1' } }));
    assert.equal(first.status, 201);
    const stale = first.body;
    const second = await server.ask('PUT', `${MAPS}/versioned`, { ...stale, data: { a: '2' } });
    assert.ok(Number(second.body.metadata.resourceVersion) > Number(stale.metadata.resourceVersion));
    const conflict = await server.ask('PUT', `${MAPS}/versioned`, { ...stale, data: { a: '3' } });
    assert.equal(conflict.status, 409);
    assert.equal(
      conflict.body.message,
      'Operation cannot be fulfilled on configmaps "versioned": the object has been modified; please apply your changes to the latest version and try again',
    );
    assert.deepEqual(conflict.body.details, { name: 'versioned', kind: 'configmaps' });
  });

  test('a write that changes nothing is none', async () => {
    const { body } = await post(MAPS, map('same', { data: { a: '1' } }));
    const again = await server.ask('PUT', `${MAPS}/same`, body);
    assert.equal(again.body.metadata.resourceVersion, body.metadata.resourceVersion);
  });

  test('generateName, uid and creationTimestamp are the server’s; generation counts changes of spec', async () => {
    const made = await post(MAPS, {
      ...map(''),
      metadata: { generateName: 'gen-', uid: 'mine', creationTimestamp: '2000-01-01T00:00:00Z' },
    });
    assert.match(made.body.metadata.name, /^gen-[a-z0-9]{5}$/);
    assert.notEqual(made.body.metadata.uid, 'mine');
    assert.notEqual(made.body.metadata.creationTimestamp, '2000-01-01T00:00:00Z');
  });
});

describe('watch', () => {
  test('resumes from a resource version; a label that comes or goes adds or deletes', async () => {
    const { body } = await get(MAPS);
    const from = body.metadata.resourceVersion;
    await post(MAPS, map('seen', { data: { a: '1' } }));
    const patch = (labels: object) =>
      server.ask(
        'PATCH',
        `${MAPS}/seen`,
        { metadata: { labels } },
        { 'Content-Type': 'application/merge-patch+json' },
      );
    await patch({ on: 'yes' });
    await patch({ on: null });
    await server.ask('DELETE', `${MAPS}/seen`);
    const all = await watch(
      `${MAPS}?watch=true&resourceVersion=${from}&fieldSelector=metadata.name%3Dseen`,
      4,
    );
    assert.deepEqual(
      all.map(event => event.type),
      ['ADDED', 'MODIFIED', 'MODIFIED', 'DELETED'],
    );
    const labelled = await watch(`${MAPS}?watch=1&resourceVersion=${from}&labelSelector=on%3Dyes`, 2);
    assert.deepEqual(
      labelled.map(event => event.type),
      ['ADDED', 'DELETED'],
    );
    assert.equal(labelled[1]?.object.metadata.resourceVersion, all[2]?.object.metadata.resourceVersion);
    assert.equal(
      Number(all[3]?.object.metadata.resourceVersion) > Number(all[2]?.object.metadata.resourceVersion),
      true,
    );
  });

  test('from 0, or from nothing, begins with what is there', async () => {
    await post(MAPS, map('initial'));
    for (const query of ['', '&resourceVersion=0']) {
      const [event] = await watch(`${MAPS}?watch=true${query}&fieldSelector=metadata.name%3Dinitial`, 1);
      assert.deepEqual([event?.type, event?.object.metadata.name], ['ADDED', 'initial']);
    }
  });

  test('sendInitialEvents streams the list and marks its end', async () => {
    const query =
      'watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';
    const events = await watch(`${MAPS}?${query}&fieldSelector=metadata.name%3Dinitial`, 2);
    assert.equal(events[1]?.type, 'BOOKMARK');
    assert.equal(events[1]?.object.metadata.annotations?.['k8s.io/initial-events-end'], 'true');
  });

  test('ends when its time is up, with a bookmark where those are asked for', async () => {
    const { body } = await get(MAPS);
    const { text } = await get(
      `${MAPS}?watch=true&allowWatchBookmarks=true&timeoutSeconds=1&resourceVersion=${body.metadata.resourceVersion}`,
    );
    const event = JSON.parse(text);
    assert.equal(event.type, 'BOOKMARK');
    assert.ok(Number(event.object.metadata.resourceVersion) >= Number(body.metadata.resourceVersion));
  });

  test('from before a restart: 410, and a list says where to go on', async () => {
    const before = (await get(MAPS)).body.metadata.resourceVersion;
    await post(MAPS, map('between'));
    await server.restart();
    const gone = await get(`${MAPS}?watch=true&resourceVersion=${before}`);
    assert.deepEqual([gone.status, gone.body.reason, gone.body.code], [410, 'Expired', 410]);
    assert.match(gone.body.message, /too old resource version/);
    const list = (await get(MAPS)).body;
    assert.ok(list.items.some((item: { metadata: { name: string } }) => item.metadata.name === 'between'));
    assert.ok(Number(list.metadata.resourceVersion) > Number(before));
    const now = watch(`${MAPS}?watch=true&resourceVersion=${list.metadata.resourceVersion}`, 1);
    await post(MAPS, map('after'));
    assert.equal((await now)[0]?.object.metadata.name, 'after');
  });
});

describe('lists', () => {
  test('limit and continue page over one snapshot', async () => {
    for (let index = 0; index < 7; index++)
      await post('/api/v1/namespaces/kube-public/configmaps', map(`page-${index}`));
    const path = '/api/v1/namespaces/kube-public/configmaps?limit=3';
    const first = (await get(path)).body;
    assert.equal(first.items.length, 3);
    assert.equal(first.metadata.remainingItemCount, 4);
    await post('/api/v1/namespaces/kube-public/configmaps', map('page-9'));
    const second = (await get(`${path}&continue=${encodeURIComponent(first.metadata.continue)}`)).body;
    assert.equal(second.metadata.resourceVersion, first.metadata.resourceVersion);
    const third = (await get(`${path}&continue=${encodeURIComponent(second.metadata.continue)}`)).body;
    const names = [...first.items, ...second.items, ...third.items].map(item => item.metadata.name);
    assert.deepEqual(
      names,
      [0, 1, 2, 3, 4, 5, 6].map(index => `page-${index}`),
    );
    assert.equal(third.metadata.continue, undefined);
    assert.equal((await get(`${path}&continue=nonsense`)).status, 400);
  });

  test('a table and metadata alone', async () => {
    const table = await get(MAPS, {
      Accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json',
    });
    assert.equal(table.body.kind, 'Table');
    assert.deepEqual(
      table.body.columnDefinitions.map((item: { name: string }) => item.name),
      ['Name', 'Data', 'Age'],
    );
    assert.equal(table.body.rows[0].object.kind, 'PartialObjectMetadata');
    const partial = await get(MAPS, {
      Accept: 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io',
    });
    assert.equal(partial.body.kind, 'PartialObjectMetadataList');
    assert.deepEqual(Object.keys(partial.body.items[0]).sort(), ['apiVersion', 'kind', 'metadata']);
  });

  test('two hundred pods in less than 50 ms', async () => {
    const pod = (index: number) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { generateName: `many-${index}-`, labels: { many: 'yes' } },
      spec: { containers: [{ name: 'c', image: 'busybox' }] },
    });
    for (let index = 0; index < 200; index++)
      assert.equal((await post('/api/v1/namespaces/kube-node-lease/pods', pod(index))).status, 201);
    const times: number[] = [];
    for (let round = 0; round < 5; round++) {
      const start = performance.now();
      const { body } = await get('/api/v1/pods?labelSelector=many');
      times.push(performance.now() - start);
      assert.equal(body.items.length, 200);
    }
    assert.ok(Math.min(...times) < 50, `${times}`);
  });
});

describe('events', () => {
  test('core/v1 and events.k8s.io/v1 are one storage', async () => {
    const event = {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name: 'one', namespace: 'default' },
      eventTime: '2026-01-01T00:00:00.000001Z',
      regarding: { kind: 'Pod', name: 'p', namespace: 'default' },
      reason: 'Started',
      action: 'Starting',
      note: 'it did',
      type: 'Normal',
      reportingController: 'test',
      reportingInstance: 'test-1',
    };
    assert.equal((await post('/apis/events.k8s.io/v1/namespaces/default/events', event)).status, 201);
    const core = (await get('/api/v1/namespaces/default/events/one')).body;
    assert.deepEqual(
      [core.apiVersion, core.involvedObject.name, core.message, core.reportingComponent],
      ['v1', 'p', 'it did', 'test'],
    );
    const patch = await server.ask(
      'PATCH',
      '/apis/events.k8s.io/v1/namespaces/default/events/one',
      { series: { count: 2, lastObservedTime: '2026-01-01T00:00:05.000000Z' } },
      { 'Content-Type': 'application/merge-patch+json' },
    );
    assert.equal(patch.body.series.count, 2);
    const filtered = (await get('/api/v1/events?fieldSelector=involvedObject.name%3Dp,reason%3DStarted'))
      .body;
    assert.equal(filtered.items.length, 1);
  });
});

describe('credentials', () => {
  test('without any: version and health, nothing else', async () => {
    const anonymous = (path: string) =>
      server.ask('GET', path, undefined, {}, { cert: undefined, key: undefined });
    for (const path of ['/version', '/healthz', '/readyz', '/livez'])
      assert.equal((await anonymous(path)).status, 200, path);
    const list = await anonymous('/api/v1/pods');
    assert.equal(list.status, 403);
    assert.equal(
      list.body.message,
      'pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" at the cluster scope',
    );
    assert.equal(
      (await anonymous('/api')).body.message,
      'forbidden: User "system:anonymous" cannot get path "/api"',
    );
  });

  test('a wrong token, or a certificate of another authority, is nobody', async () => {
    assert.equal((await server.ask('GET', '/api/v1/pods', undefined, {}, bearer('a.b.c'))).status, 401);
    const stranger = await startTestServer();
    try {
      const answer = await server.ask(
        'GET',
        '/api/v1/pods',
        undefined,
        {},
        { cert: stranger.admin.cert, key: stranger.admin.key },
      );
      assert.equal(answer.status, 401);
    } finally {
      await stranger.close();
    }
  });

  test('a token is its account’s, for its audience, as long as its pod lives', async () => {
    const pod = await post('/api/v1/namespaces/default/pods', {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'bound' },
      spec: { containers: [{ name: 'c', image: 'i' }] },
    });
    const asked = (spec: object) =>
      post('/api/v1/namespaces/default/serviceaccounts/default/token', {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec,
      });
    const bound = { kind: 'Pod', apiVersion: 'v1', name: 'bound', uid: pod.body.metadata.uid };
    const { token } = (await asked({ expirationSeconds: 3607, boundObjectRef: bound })).body.status;
    const whoami = (given: string) =>
      server.ask(
        'POST',
        '/apis/authentication.k8s.io/v1/selfsubjectreviews',
        { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
        {},
        bearer(given),
      );
    const me = (await whoami(token)).body.status.userInfo;
    assert.equal(me.username, 'system:serviceaccount:default:default');
    assert.deepEqual(me.extra['authentication.kubernetes.io/pod-name'], ['bound']);
    const other = (await asked({ audiences: ['vault'] })).body.status.token;
    assert.equal((await whoami(other)).status, 401);
    const review = await post('/apis/authentication.k8s.io/v1/tokenreviews', {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenReview',
      spec: { token: other, audiences: ['vault', 'x'] },
    });
    assert.deepEqual([review.body.status.authenticated, review.body.status.audiences], [true, ['vault']]);
    assert.equal((await asked({ expirationSeconds: 5 })).status, 422);
    assert.equal((await asked({ boundObjectRef: { ...bound, uid: 'other' } })).status, 409);
    await server.ask('DELETE', '/api/v1/namespaces/default/pods/bound');
    assert.equal((await whoami(token)).status, 401);
  });

  test('a role for one name allows to list and watch that one name', async () => {
    const rbac = '/apis/rbac.authorization.k8s.io/v1/namespaces/default';
    const rules = [
      {
        apiGroups: [''],
        resources: ['configmaps'],
        verbs: ['get', 'list', 'watch'],
        resourceNames: ['mine'],
      },
    ];
    await post(`${rbac}/roles`, {
      kind: 'Role',
      apiVersion: 'rbac.authorization.k8s.io/v1',
      metadata: { name: 'one-name' },
      rules,
    });
    const subjects = [{ kind: 'User', name: 'narrow' }];
    const roleRef = { kind: 'Role', name: 'one-name' };
    await post(`${rbac}/rolebindings`, {
      kind: 'RoleBinding',
      apiVersion: 'rbac.authorization.k8s.io/v1',
      metadata: { name: 'one-name' },
      roleRef,
      subjects,
    });
    const pair = await server.client('narrow');
    const code = async (query: string) =>
      (await server.ask('GET', MAPS + query, undefined, {}, { cert: pair.cert, key: pair.key })).status;
    assert.equal(await code('?fieldSelector=metadata.name%3Dmine'), 200);
    assert.equal(await code('?fieldSelector=metadata.name%3Dmine&watch=true&timeoutSeconds=1'), 200);
    assert.equal(await code('?fieldSelector=metadata.name%3Dother'), 403);
    assert.equal(await code(''), 403);
  });

  test('a kubelet writes what is its node’s, and nothing else', async () => {
    const pair = await server.client('system:node:node-a', 'system:nodes');
    const as = (method: string, path: string, body?: unknown) =>
      server.ask(method, path, body, {}, { cert: pair.cert, key: pair.key });
    const node = (name: string) => ({ apiVersion: 'v1', kind: 'Node', metadata: { name } });
    assert.equal((await as('POST', '/api/v1/nodes', node('node-a'))).status, 201);
    assert.equal((await as('POST', '/api/v1/nodes', node('node-b'))).status, 403);
    const lease = (name: string) => ({
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name },
      spec: { holderIdentity: name },
    });
    const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
    assert.equal((await as('POST', leases, lease('node-a'))).status, 201);
    assert.equal((await as('POST', leases, lease('node-b'))).status, 403);
    for (const name of ['node-a', 'node-b'])
      await post('/api/v1/namespaces/default/pods', {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: `on-${name}` },
        spec: { nodeName: name, containers: [{ name: 'c', image: 'i' }] },
      });
    const status = (name: string) =>
      as('PUT', `/api/v1/namespaces/default/pods/${name}/status`, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name },
        status: { phase: 'Running', podIP: '10.0.0.1' },
      });
    const written = await status('on-node-a');
    assert.deepEqual(
      [written.status, written.body.status.phase, written.body.status.podIPs],
      [200, 'Running', [{ ip: '10.0.0.1' }]],
    );
    assert.equal((await status('on-node-b')).status, 403);
    assert.equal((await as('GET', '/apis/apps/v1/deployments')).status, 403);
  });
});

describe('pods', () => {
  test('admission adds account, token volume, tolerations and priority', async () => {
    const { body } = await post('/api/v1/namespaces/kube-system/pods', {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'admitted' },
      spec: {
        priorityClassName: 'system-node-critical',
        containers: [{ name: 'c', image: 'busybox:1' }],
        tolerations: [{ operator: 'Exists' }],
      },
    });
    assert.equal(body.spec.serviceAccountName, 'default');
    assert.equal(body.spec.priority, 2_000_001_000);
    assert.equal(body.spec.tolerations.length, 1);
    const [mount] = body.spec.containers[0].volumeMounts;
    assert.match(mount.name, /^kube-api-access-[a-z0-9]{5}$/);
    assert.equal(body.spec.volumes[0].projected.sources.length, 3);
    assert.equal(body.spec.containers[0].imagePullPolicy, 'IfNotPresent');
    const lost = await post('/api/v1/namespaces/default/pods', {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'x' },
      spec: { serviceAccountName: 'nobody', containers: [{ name: 'c', image: 'i' }] },
    });
    assert.equal(
      lost.body.message,
      'pods "x" is forbidden: error looking up service account default/nobody: serviceaccount "nobody" not found',
    );
  });

  test('binding is done once; the spec is kept after', async () => {
    await post('/api/v1/namespaces/default/pods', {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'placed' },
      spec: { containers: [{ name: 'c', image: 'i' }] },
    });
    const bind = (node: string) =>
      post('/api/v1/namespaces/default/pods/placed/binding', {
        apiVersion: 'v1',
        kind: 'Binding',
        metadata: { name: 'placed' },
        target: { kind: 'Node', name: node },
      });
    assert.equal((await bind('node-a')).status, 201);
    const again = await bind('node-b');
    assert.equal(
      again.body.message,
      'Operation cannot be fulfilled on pods/binding "placed": pod placed is already assigned to node "node-a"',
    );
    const { body } = await get('/api/v1/namespaces/default/pods/placed');
    assert.deepEqual([body.spec.nodeName, body.status.conditions[0].type], ['node-a', 'PodScheduled']);
    const put = await server.ask('PUT', '/api/v1/namespaces/default/pods/placed', {
      ...body,
      spec: { ...body.spec, hostNetwork: true },
    });
    assert.match(put.body.message, /pod updates may not change fields other than/);
  });

  test('eviction heeds disruption budgets', async () => {
    await post('/apis/policy/v1/namespaces/default/poddisruptionbudgets', {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata: { name: 'b' },
      spec: { minAvailable: 1, selector: { matchLabels: { guard: 'yes' } } },
    });
    await post('/api/v1/namespaces/default/pods', {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'guarded', labels: { guard: 'yes' } },
      spec: { nodeName: 'n', containers: [{ name: 'c', image: 'i' }] },
    });
    await server.ask(
      'PATCH',
      '/api/v1/namespaces/default/pods/guarded/status',
      { status: { phase: 'Running' } },
      { 'Content-Type': 'application/merge-patch+json' },
    );
    const evicted = await post('/api/v1/namespaces/default/pods/guarded/eviction', {
      apiVersion: 'policy/v1',
      kind: 'Eviction',
      metadata: { name: 'guarded' },
    });
    assert.deepEqual([evicted.status, evicted.body.reason], [429, 'TooManyRequests']);
  });
});

describe('services', () => {
  const SERVICES = '/api/v1/namespaces/default/services';
  const service = (name: string, spec: object) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec: { ports: [{ port: 80 }], ...spec },
  });

  test('addresses and node ports are given once', async () => {
    const one = (await post(SERVICES, service('one', { type: 'NodePort' }))).body;
    assert.match(one.spec.clusterIP, /^10\.96\./);
    assert.ok(one.spec.ports[0].nodePort >= 30_000);
    assert.deepEqual(one.spec.clusterIPs, [one.spec.clusterIP]);
    const taken = await post(SERVICES, service('two', { clusterIP: one.spec.clusterIP }));
    assert.match(taken.body.message, /provided IP is already allocated/);
    assert.match(
      (await post(SERVICES, service('far', { clusterIP: '192.0.2.1' }))).body.message,
      /not in the valid range/,
    );
    assert.equal(
      (await post(SERVICES, service('headless', { clusterIP: 'None' }))).body.spec.clusterIP,
      'None',
    );
    const dns = await post(
      '/api/v1/namespaces/kube-system/services',
      service('kube-dns', { clusterIP: '10.96.0.10' }),
    );
    assert.equal(dns.body.spec.clusterIP, '10.96.0.10');
  });

  test('the kubernetes service is there from the start', async () => {
    assert.equal((await get(`${SERVICES}/kubernetes`)).body.spec.clusterIP, '10.96.0.1');
    assert.equal(
      (await get('/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes')).body.endpoints[0]
        .addresses[0],
      '127.0.0.1',
    );
  });
});

describe('bad input', () => {
  const status = ({ status: code, body }: Answer) => [code, body?.kind, body?.reason];

  test('bodies that cannot be read', async () => {
    assert.deepEqual(status(await post(MAPS, '{"a":')), [400, 'Status', 'BadRequest']);
    assert.deepEqual(status(await post(MAPS, '[]')), [400, 'Status', 'BadRequest']);
    assert.deepEqual(status(await post(MAPS, '')), [400, 'Status', 'BadRequest']);
    assert.deepEqual(status(await post(MAPS, 'null')), [400, 'Status', 'BadRequest']);
    const as = (type: string, body: string | Buffer) =>
      server.ask('POST', MAPS, body, { 'Content-Type': type });
    assert.deepEqual(status(await as('application/vnd.kubernetes.protobuf', 'k8s\0\xff\xff')), [
      400,
      'Status',
      'BadRequest',
    ]);
    assert.deepEqual(status(await as('application/vnd.kubernetes.protobuf', 'nope')), [
      400,
      'Status',
      'BadRequest',
    ]);
    assert.deepEqual(status(await as('application/yaml', 'a: [')), [400, 'Status', 'BadRequest']);
    assert.deepEqual(status(await as('text/csv', 'a,b')), [415, 'Status', 'UnsupportedMediaType']);
    const deep = `${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`;
    assert.ok([400, 201, 422].includes((await post(MAPS, deep)).status));
  });

  test('too large a body', async () => {
    const answer = await post(MAPS, map('big', { data: { a: 'x'.repeat(4 << 20) } })).catch(() => undefined);
    if (answer) assert.deepEqual(status(answer), [413, 'Status', 'RequestEntityTooLarge']);
    assert.equal((await get('/readyz')).status, 200);
  });

  test('objects that do not fit', async () => {
    const why = async (body: unknown, path = MAPS) => (await post(path, body)).body.message as string;
    assert.match(await why(map('x', { kind: 'Secret' })), /cannot be handled as a ConfigMap/);
    assert.match(await why(map('x', { apiVersion: 'v2' })), /does not match the expected API version/);
    assert.match(
      await why({ ...map('x'), metadata: { name: 'x', namespace: 'other' } }),
      /namespace of the provided object does not match/,
    );
    assert.match(
      await why({ ...map('x'), metadata: { name: 'x', resourceVersion: '1' } }),
      /resourceVersion should not be set/,
    );
    assert.match(
      await why({ ...map('x'), metadata: { name: 'x', labels: { 'a b': 'c' } } }),
      /metadata.labels: Invalid value: "a b"/,
    );
    assert.match(await why(map('x', { data: { a: 1 } })), /cannot unmarshal number into Go struct field/);
    assert.match(await why(map('x', { data: { 'a/b': '1' } })), /a valid config key must consist of/);
    const odd = await post(
      MAPS,
      JSON.parse(
        '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"proto"},"data":{"__proto__":"x","constructor":"y"}}',
      ),
    );
    assert.deepEqual(Object.keys(odd.body.data).sort(), ['__proto__', 'constructor']);
    const spec = {
      selector: { matchLabels: { a: 'b' } },
      template: { metadata: { labels: { a: 'c' } }, spec: { containers: [{ name: 'c', image: 'i' }] } },
    };
    assert.match(
      await why(
        { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd' }, spec },
        '/apis/apps/v1/namespaces/default/deployments',
      ),
      /`selector` does not match template `labels`/,
    );
  });

  test('unknown fields warn by default, and are an error when that is asked for', async () => {
    const warned = await post(MAPS, map('warned', { dta: {} }));
    assert.match(String(warned.headers.warning), /299 - "unknown field \\"dta\\""/);
    const strict = await post(`${MAPS}?fieldValidation=Strict`, map('strict', { dta: {} }));
    assert.match(strict.body.message, /strict decoding error: unknown field "dta"/);
  });

  test('paths, queries and methods that are not there', async () => {
    for (const path of [
      '/api/v1/rockets',
      '/apis/none/v1/x',
      '/nope',
      '/api/v1/namespaces/default/pods/x/nope',
      '/openapi/v2/x',
      '/api/v1/namespaces/%zz/pods',
    ])
      assert.ok([400, 404].includes((await get(path)).status), path);
    assert.equal((await server.ask('PUT', MAPS, map('x'))).status, 405);
    assert.equal((await server.ask('BREW', MAPS)).status >= 400, true);
    for (const query of [
      'labelSelector=a b c',
      'fieldSelector=x',
      'limit=many',
      'resourceVersion=abc',
      'watch=true&resourceVersion=x',
    ])
      assert.equal((await get(`${MAPS}?${encodeURI(query)}`)).status, 400, query);
    assert.equal((await get(`${MAPS}?resourceVersion=99999999`)).status, 504);
    assert.equal((await get(MAPS, { Accept: 'application/vnd.kubernetes.protobuf' })).status, 406);
  });

  test('patches that cannot be applied', async () => {
    await post(MAPS, map('patched', { data: { a: '1' } }));
    const patch = (type: string, body: unknown) =>
      server.ask('PATCH', `${MAPS}/patched`, body, { 'Content-Type': `application/${type}` });
    assert.equal((await patch('json-patch+json', [{ op: 'test', path: '/data/a', value: '2' }])).status, 422);
    assert.equal((await patch('json-patch+json', [{ op: 'remove', path: '/data/zz' }])).status, 422);
    assert.equal((await patch('json-patch+json', { op: 'add' })).status, 400);
    assert.equal((await patch('json-patch+json', [{ op: 'replace', path: '', value: 7 }])).status, 400);
    assert.equal((await patch('merge-patch+json', '7')).status, 400);
    assert.equal((await patch('strategic-merge-patch+json', '[]')).status, 400);
    assert.equal((await patch('apply-patch+yaml', 'a: b')).status, 400);
    assert.equal((await patch('x', '{}')).status, 415);
  });

  test('what is no HTTP at all ends that connection alone', async () => {
    await new Promise<void>(resolve => {
      const socket = connect({ host: '127.0.0.1', port: server.port, ca: server.authority.cert }, () =>
        socket.write('\0\0garbage\r\n\r\n'),
      );
      socket.resume();
      socket.on('close', () => resolve());
      socket.on('error', () => undefined);
    });
    assert.equal((await get('/readyz')).status, 200);
  });
});

describe('the answer', () => {
  test('is compressed when it is large and the client takes it', async () => {
    for (let index = 0; index < 3; index++)
      await post(MAPS, map(`large-${index}`, { data: { a: 'x'.repeat(100_000) } }));
    const plain = await get(MAPS);
    assert.equal(plain.headers['content-encoding'], undefined);
    const packed = await get(MAPS, { 'Accept-Encoding': 'gzip' });
    assert.equal(packed.headers['content-encoding'], 'gzip');
    assert.equal(packed.text, plain.text);
  });

  test('is YAML when that is asked for', async () => {
    const { text } = await get('/api/v1/namespaces/default', { Accept: 'application/yaml' });
    assert.match(text, /^kind: Namespace|^apiVersion: v1/m);
  });

  test('discovery: aggregated, with an ETag, and group by group', async () => {
    const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json';
    const first = await get('/apis', { Accept: accept });
    assert.match(String(first.headers['content-type']), /as=APIGroupDiscoveryList/);
    assert.equal(
      (await get('/apis', { Accept: accept, 'If-None-Match': String(first.headers.etag) })).status,
      304,
    );
    assert.equal((await get('/apis')).body.kind, 'APIGroupList');
    assert.equal((await get('/api')).body.kind, 'APIVersions');
    assert.ok(
      (await get('/apis/apps/v1')).body.resources.some(
        (item: { name: string }) => item.name === 'daemonsets/status',
      ),
    );
    assert.equal((await get('/apis/apps')).body.preferredVersion.version, 'v1');
  });
});
