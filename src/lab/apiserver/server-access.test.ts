/** Credentials, and what admission makes of pods and services. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startTestServer, type TestServer } from './testing.ts';
import { bearer, MAPS } from './testing-samples.ts';

let server: TestServer;
before(async () => {
  server = await startTestServer();
});
after(() => server.close());

const post = (path: string, body: unknown) => server.ask('POST', path, body);
const get = (path: string, headers = {}) => server.ask('GET', path, undefined, headers);

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

  test('the kubernetes service is there from the start, and again when it is deleted', async () => {
    assert.equal((await server.ask('DELETE', `${SERVICES}/kubernetes`)).status, 200);
    assert.equal((await get(`${SERVICES}/kubernetes`)).body.spec.clusterIP, '10.96.0.1');
    assert.equal(
      (await get('/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes')).body.endpoints[0]
        .addresses[0],
      '127.0.0.1',
    );
  });
});
