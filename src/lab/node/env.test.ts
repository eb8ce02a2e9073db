import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConfigMap, Container, Pod, Secret, Service } from '../../kube/core.ts';
import { fieldValue, type PodFacts, quantity, resourceValue } from './downward.ts';
import { containerEnvironment, type EnvironmentSources, expand, serviceVariables } from './env.ts';

const facts: PodFacts = {
  nodeName: 'kind-worker',
  hostIps: ['172.18.0.3'],
  podIps: ['10.244.1.5', 'fd00::5'],
  cpus: 2,
  memoryBytes: 2 ** 30,
};
const pod: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name: 'p',
    namespace: 'n',
    uid: 'u',
    labels: { b: '2', a: 'x"y' },
    annotations: { 'k/v': 'z' },
  },
  spec: { containers: [{ name: 'c' }] },
};
const secret: Secret = {
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 's' },
  data: { key: Buffer.from('value').toString('base64') },
};
const map: ConfigMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'm' }, data: { x: '1' } };
const kubernetes: Service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'kubernetes', namespace: 'default' },
  spec: { clusterIP: '10.96.0.1', ports: [{ name: 'https', port: 443 }] },
};
const sources: EnvironmentSources = {
  secret: name => (name === 's' ? secret : undefined),
  configMap: name => (name === 'm' ? map : undefined),
  services: [kubernetes],
  facts,
};
const env = (container: Partial<Container>) =>
  containerEnvironment(pod, { name: 'c', ...container }, sources);

test('variables come from values, fields, Secrets and ConfigMaps, in order', () => {
  const result = env({
    envFrom: [{ prefix: 'M_', configMapRef: { name: 'm' } }, { secretRef: { name: 's' } }],
    env: [
      { name: 'A', value: '$(M_x)-$(key)-$(NOPE)-$$(A)' },
      { name: 'B', value: '$(A)!' },
      { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
      { name: 'S', valueFrom: { secretKeyRef: { name: 's', key: 'key' } } },
      { name: 'O', valueFrom: { secretKeyRef: { name: 'gone', key: 'key', optional: true } } },
      { name: 'CPU', valueFrom: { resourceFieldRef: { resource: 'limits.cpu' } } },
    ],
  });
  assert.equal(result['A'], '1-value-$(NOPE)-$(A)');
  assert.equal(result['B'], '1-value-$(NOPE)-$(A)!');
  assert.equal(result['IP'], '10.244.1.5');
  assert.equal(result['S'], 'value');
  assert.ok(!('O' in result));
  assert.equal(result['CPU'], '2');
  assert.equal(result['KUBERNETES_SERVICE_HOST'], '10.96.0.1');
  assert.equal(result['KUBERNETES_SERVICE_PORT_HTTPS'], '443');
});

test('what is missing is told in the words of the kubelet', () => {
  const refer = (from: NonNullable<NonNullable<Container['env']>[number]['valueFrom']>) => () =>
    env({ env: [{ name: 'A', valueFrom: from }] });
  assert.throws(refer({ secretKeyRef: { name: 'gone', key: 'k' } }), /^Error: secret "gone" not found$/);
  assert.throws(
    refer({ secretKeyRef: { name: 's', key: 'k' } }),
    /^Error: couldn't find key k in Secret n\/s$/,
  );
  assert.throws(refer({ configMapKeyRef: { name: 'gone', key: 'k' } }), /configmap "gone" not found/);
  assert.throws(refer({ fieldRef: { fieldPath: 'spec.nope' } }), /unsupported fieldPath: spec.nope/);
  assert.throws(() => env({ envFrom: [{ secretRef: { name: 'gone' } }] }), /secret "gone" not found/);
});

test('fields of the downward API', () => {
  assert.equal(fieldValue(pod, "metadata.annotations['k/v']", facts), 'z');
  assert.equal(fieldValue(pod, 'metadata.labels', facts), 'a="x\\"y"\nb="2"');
  assert.equal(fieldValue(pod, 'status.podIPs', facts), '10.244.1.5,fd00::5');
});

test('quantities and divisors', () => {
  assert.equal(quantity('100m'), 0.1);
  assert.equal(quantity('64Mi'), 2 ** 26);
  assert.throws(() => quantity('many'), /no quantity/);
  const container: Container = { name: 'c', resources: { limits: { cpu: '250m', memory: '100Mi' } } };
  assert.equal(resourceValue('limits.cpu', undefined, container, facts), '1');
  assert.equal(resourceValue('limits.cpu', '1m', container, facts), '250');
  assert.equal(resourceValue('requests.memory', '1Mi', container, facts), '100');
  assert.equal(resourceValue('limits.memory', '1Mi', { name: 'd' }, facts), '1024');
});

test('$$ is a dollar sign', () => {
  assert.equal(expand('$$x $x $(a)', { a: '1' }), '$x $x 1');
});

test('headless services have no variables', () => {
  assert.deepEqual(
    serviceVariables([{ ...kubernetes, spec: { clusterIP: 'None', ports: [{ port: 1 }] } }]),
    {},
  );
});
