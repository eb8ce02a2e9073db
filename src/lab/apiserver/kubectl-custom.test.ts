/** Real kubectl against a real server: custom resources, and questions about the cluster. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startTestServer, type TestServer } from './testing.ts';
import { lines, pod, refused, words } from './testing-samples.ts';

let server: TestServer;
before(async () => {
  server = await startTestServer();
});
after(() => server.close());

const kubectl = (...args: string[]) => server.run(args);

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
      refused(server, ['create', '-f', '-'], node(spec).replace('kind-worker2', 'bad'));
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
      await refused(server, ['patch', 'cn', 'kind-worker2', '-p', '{"spec":{}}']),
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
    const held = ['patch', 'cn', 'kind-worker2', '--type=merge', '-p'];
    await kubectl(...held, '{"metadata":{"finalizers":["a.b/c"]}}');
    await kubectl('delete', 'crd', 'ciliumnodes.cilium.io', '--wait=false');
    assert.match(
      await refused(server, ['create', '-f', '-'], node('').replace('kind-worker2', 'late')),
      /create not allowed while custom resource definition is terminating/,
    );
    await kubectl(...held, '{"metadata":{"finalizers":null}}');
    await kubectl('wait', '--for=delete', 'crd/ciliumnodes.cilium.io', '--timeout=10s');
    assert.match(await refused(server, ['get', 'cn']), /could not find the requested resource/);
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
      await refused(server, ['get', 'pods', as]),
      `Error from server (Forbidden): pods is forbidden: ${words}`,
    );
    await kubectl('create', 'role', 'reader', '--verb=get,list', '--resource=pods');
    await kubectl('create', 'rolebinding', 'reader', '--role=reader', '--serviceaccount=default:poor');
    await kubectl('get', 'pods', as);
    assert.match(await refused(server, ['get', 'pods', '-A', as]), /at the cluster scope/);
    assert.match(
      await refused(server, ['delete', 'pod', 'ready', as]),
      /pods "ready" is forbidden: User .* cannot delete resource "pods"/,
    );
  });

  test('nobody grants more than he holds, unless he may escalate or bind', async () => {
    await kubectl('create', 'sa', 'climber');
    const as = '--as=system:serviceaccount:default:climber';
    const subject = '--serviceaccount=default:climber';
    const roles = 'clusterroles,clusterrolebindings,roles,rolebindings';
    await kubectl(
      'create',
      'clusterrole',
      'climber',
      '--verb=create,get,patch,update',
      `--resource=${roles}`,
    );
    await kubectl('create', 'clusterrolebinding', 'climber', '--clusterrole=climber', subject);
    assert.match(
      await refused(server, ['create', 'clusterrole', 'top', '--verb=*', '--resource=secrets', as]),
      /"top" is forbidden: user "system:serviceaccount:default:climber" .* not currently held:\s+\{APIGroups:\[""\], Resources:\["secrets"\], Verbs:\["\*"\]\}/,
    );
    assert.match(
      await refused(server, [
        'create',
        'clusterrolebinding',
        'top',
        '--clusterrole=cluster-admin',
        subject,
        as,
      ]),
      /not currently held/,
    );
    assert.match(
      await refused(server, ['create', 'clusterrole', 'top', '--aggregation-rule=a=b', as]),
      /not currently held/,
    );
    await kubectl('create', 'clusterrole', 'equal', '--verb=get,update', '--resource=roles,clusterroles', as);
    await kubectl('create', 'rolebinding', 'equal', '--clusterrole=equal', subject, as);
    const patch = ['--type=json', '-p', '[{"op":"add","path":"/rules/0/verbs/-","value":"delete"}]', as];
    assert.match(await refused(server, ['patch', 'clusterrole', 'equal', ...patch]), /not currently held/);
    await kubectl('label', 'clusterrole', 'admin', 'seen=yes', as);
    await kubectl(
      'create',
      'clusterrole',
      'binder',
      '--verb=bind',
      '--resource=clusterroles',
      '--resource-name=view',
    );
    await kubectl('create', 'clusterrolebinding', 'binder', '--clusterrole=binder', subject);
    await kubectl('create', 'clusterrolebinding', 'viewer', '--clusterrole=view', subject, as);
  });

  test('what debug asks for is not there, and it says so', async () => {
    await server.run(['apply', '-f', '-'], pod('debugged'));
    assert.match(
      await refused(server, ['debug', 'debugged', '--image=busybox', '--profile=general', '--attach=false']),
      /ephemeral containers are disabled for this cluster/,
    );
  });
});
