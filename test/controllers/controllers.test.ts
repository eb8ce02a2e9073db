/** The controllers against the lab's API server, with three nodes that only say they run their pods. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { isNotFound } from '../../src/kube/client.ts';
import {
  CONFIGMAPS,
  DAEMONSETS,
  type DaemonSet,
  DEPLOYMENTS,
  type Deployment,
  ENDPOINTS,
  ENDPOINTSLICES,
  type KubeObject,
  LEGACY_EVENTS,
  NAMESPACES,
  NODES,
  PODS,
  type Pod,
  REPLICASETS,
  type ResourceType,
  SERVICEACCOUNTS,
  SERVICES,
} from '../../src/kube/types.ts';
import { CONTROLLERREVISIONS, JOBS, STATEFULSETS } from '../../src/lab/controllers/resources.ts';
import { TestCluster, until } from './cluster.ts';
import { FakeNode } from './fakenode.ts';

const names = ['kind-control-plane', 'kind-worker', 'kind-worker2'];
const control = { key: 'node-role.kubernetes.io/control-plane', effect: 'NoSchedule' as const };
const nodes: FakeNode[] = [];
let cluster: TestCluster;

before(async () => {
  cluster = await TestCluster.start();
  cluster.startControllers();
  for (const [index, name] of names.entries()) {
    const node = new FakeNode(cluster.client, {
      name,
      address: `172.18.0.${index + 2}`,
      pods: `10.244.${index}`,
      ends: { done: 'Succeeded', fails: 'Failed' },
      ...(index === 0 && { taints: [control] }),
    });
    node.broken.add('broken');
    nodes.push(node);
    await node.start();
  }
});

after(async () => {
  for (const node of nodes) node.stop();
  await cluster.stop();
});

test('nodes get their pod CIDRs, namespaces their account and CA', async () => {
  await until('every node has a CIDR', async () => {
    const { items } = await cluster.client.list(NODES);
    const cidrs = new Map(items.map(node => [node.metadata.name, node.spec.podCIDR]));
    return names.every((name, index) => cidrs.get(name) === `10.244.${index}.0/24`);
  });
  for (const namespace of ['default', 'kube-system']) {
    await until('the default account is there', () => exists(SERVICEACCOUNTS, 'default', namespace));
    await until('the CA is there', () => exists(CONFIGMAPS, 'kube-root-ca.crt', namespace));
  }
  await cluster.client.delete(CONFIGMAPS, 'kube-root-ca.crt', 'default');
  await until('the CA is back', () => exists(CONFIGMAPS, 'kube-root-ca.crt', 'default'));
});

test('a Deployment rolls out, over and back, and its Service follows', async () => {
  await cluster.client.create(DEPLOYMENTS, deployment('web', 'nginx:1', 3));
  await cluster.client.create(SERVICES, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'default' },
    spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 'http' }] },
  });
  await rolledOut('web', 'nginx:1', 3);
  await endpointsMatch('web', 8080);
  const workers = new Set((await podsOf('web')).map(pod => pod.spec.nodeName));
  assert.deepEqual(
    [...workers].sort(),
    ['kind-worker', 'kind-worker2'],
    'spread, and not on the control plane',
  );

  await setImage('web', 'nginx:2');
  await rolledOut('web', 'nginx:2', 3);
  await endpointsMatch('web', 8080);
  await cluster.client.patch(DEPLOYMENTS, 'web', 'default', { spec: { replicas: 5 } }, 'merge');
  await rolledOut('web', 'nginx:2', 5);
  await setImage('web', 'nginx:1');
  await rolledOut('web', 'nginx:1', 5);
  const sets = (await cluster.client.list(REPLICASETS, { namespace: 'default' })).items;
  assert.equal(sets.length, 2);
  const revisions = sets.map(set => set.metadata.annotations?.['deployment.kubernetes.io/revision']);
  assert.deepEqual(revisions.sort(), ['2', '3']);
});

test('a broken image stops a rollout with most pods still serving, and kubectl can tell', async () => {
  await cluster.client.create(DEPLOYMENTS, deployment('careful', 'nginx:1', 4));
  await rolledOut('careful', 'nginx:1', 4);
  await setImage('careful', 'broken');
  await until('the rollout stands still', async () => {
    const { status } = await cluster.client.get(DEPLOYMENTS, 'careful', 'default');
    return status?.updatedReplicas === 2 && status.replicas === 5 && status.availableReplicas === 3;
  });
  const { status } = await cluster.client.get(DEPLOYMENTS, 'careful', 'default');
  assert.equal(status?.conditions?.find(each => each.type === 'Available')?.status, 'True');
  await cluster.client.delete(DEPLOYMENTS, 'careful', 'default', { propagationPolicy: 'Foreground' });
  await until('all of it is gone', async () => !(await exists(DEPLOYMENTS, 'careful', 'default')));
  assert.deepEqual(await podsOf('careful'), [], 'in the foreground the pods go first');
});

test('what the API server refuses is told on the owner, in the same words each time', async () => {
  const refused = deployment('refused', 'nginx:1', 2);
  refused.spec.template.spec.serviceAccountName = 'nobody';
  await cluster.client.create(DEPLOYMENTS, refused);
  const told = async () => {
    const { items } = await cluster.client.list(LEGACY_EVENTS, { namespace: 'default' });
    return items.filter(each => each.reason === 'FailedCreate');
  };
  await until('it is told', async () => (await told()).length > 0);
  const [event] = await told();
  assert.equal(event?.type, 'Warning');
  assert.equal(event.involvedObject.kind, 'ReplicaSet');
  assert.match(
    event.message ?? '',
    /^Error creating: pods "refused-[0-9a-z]+-" is forbidden: .*serviceaccount "nobody" not found$/,
  );
  await until('it is tried again', async () => ((await told())[0]?.count ?? 0) > 1);
  assert.equal((await told()).length, 1);
  await cluster.client.delete(DEPLOYMENTS, 'refused', 'default');
});

test('a DaemonSet runs everywhere and is updated node by node; nothing moves with OnDelete', async () => {
  await cluster.client.create(DAEMONSETS, daemonSet('agent', 'agent:1'));
  await daemonsCurrent('agent', 'agent:1');
  await cluster.client.patch(DAEMONSETS, 'agent', 'default', withImage('agent:2'), 'strategic');
  await daemonsCurrent('agent', 'agent:2');
  const history = (await cluster.client.list(CONTROLLERREVISIONS, { namespace: 'default' })).items;
  assert.deepEqual(history.map(each => each.revision).sort(), [1, 2]);

  const onDelete = { spec: { updateStrategy: { type: 'OnDelete', rollingUpdate: null } } };
  await cluster.client.patch(DAEMONSETS, 'agent', 'default', onDelete, 'merge');
  await cluster.client.patch(DAEMONSETS, 'agent', 'default', withImage('agent:3'), 'strategic');
  await until('the new template is seen', async () => {
    const { status, metadata } = await cluster.client.get(DAEMONSETS, 'agent', 'default');
    return (
      (status?.observedGeneration === metadata.generation && status?.updatedNumberScheduled === undefined) ||
      status?.updatedNumberScheduled === 0
    );
  });
  const [victim] = await podsOf('agent');
  await cluster.client.delete(PODS, victim!.metadata.name, 'default');
  await until(
    'one pod is new',
    async () => (await imagesOf('agent')).filter(image => image === 'agent:3').length === 1,
  );
});

test('what fits on no node waits, and says why in the words of the real scheduler', async () => {
  const pod = plainPod('picky', 'nginx');
  pod.spec.nodeSelector = { disk: 'ssd' };
  await cluster.client.create(PODS, pod);
  const message =
    /^0\/3 nodes are available: 1 node\(s\) had untolerated taint \{node-role.kubernetes.io\/control-plane: \}, 2 node\(s\) didn't match Pod's node affinity\/selector\. preemption: /;
  await until('the condition is set', async () => {
    const { status } = await cluster.client.get(PODS, 'picky', 'default');
    const scheduled = status?.conditions?.find(each => each.type === 'PodScheduled');
    return scheduled?.reason === 'Unschedulable' && message.test(scheduled.message ?? '');
  });
  await until('the event is there', async () => {
    const { items } = await cluster.client.list(LEGACY_EVENTS, { namespace: 'default' });
    return items.some(event => event.reason === 'FailedScheduling' && message.test(event.message ?? ''));
  });
  await cluster.client.patch(
    NODES,
    'kind-worker',
    undefined,
    { metadata: { labels: { disk: 'ssd' } } },
    'merge',
  );
  await until(
    'it runs',
    async () => (await cluster.client.get(PODS, 'picky', 'default')).spec.nodeName === 'kind-worker',
  );
});

test('twenty pods at once are all placed', async () => {
  const pods = Array.from({ length: 20 }, (_, index) => plainPod(`many-${index}`, 'nginx'));
  await Promise.all(pods.map(pod => cluster.client.create(PODS, pod)));
  await until('all run', async () => {
    const { items } = await cluster.client.list(PODS, { namespace: 'default' });
    return (
      items.filter(pod => pod.metadata.name.startsWith('many-') && pod.status?.phase === 'Running').length ===
      20
    );
  });
});

test('a Job runs to its end, and one that always fails gives up', async () => {
  for (const [name, image] of [
    ['well', 'done'],
    ['ill', 'fails'],
  ] as const)
    await cluster.client.create(JOBS, {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { name, namespace: 'default' },
      spec: {
        backoffLimit: 0,
        completions: 2,
        template: { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image }] } },
      },
    });
  const ended = async (name: string, type: string) => {
    const { status } = await cluster.client.get(JOBS, name, 'default');
    return status?.conditions?.some(each => each.type === type && each.status === 'True') ?? false;
  };
  await until('it is complete', () => ended('well', 'Complete'));
  await until('it has failed', () => ended('ill', 'Failed'));
});

test('a StatefulSet makes its pods by number and renews them', async () => {
  const labels = { app: 'db' };
  await cluster.client.create(STATEFULSETS, {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name: 'db', namespace: 'default' },
    spec: {
      replicas: 2,
      serviceName: 'db',
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'db:1' }] } },
    },
  });
  const runs = (image: string) =>
    until(`both run ${image}`, async () => {
      const { status } = await cluster.client.get(STATEFULSETS, 'db', 'default');
      const done = status?.readyReplicas === 2 && status.currentRevision === status.updateRevision;
      return done && (await imagesOf('db')).every(each => each === image);
    });
  await runs('db:1');
  assert.deepEqual((await podsOf('db')).map(pod => pod.metadata.name).sort(), ['db-0', 'db-1']);
  await cluster.client.patch(STATEFULSETS, 'db', 'default', withImage('db:2'), 'strategic');
  await runs('db:2');
});

test('owners that go take what they own along, or let it go', async () => {
  const owner = await cluster.client.create(CONFIGMAPS, configMap('owner'));
  const reference = { apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: owner.metadata.uid! };
  const owned = configMap('owned');
  owned.metadata.ownerReferences = [reference];
  const orphan = configMap('orphan');
  orphan.metadata.ownerReferences = [{ ...reference, uid: 'of-nobody' }];
  await cluster.client.create(CONFIGMAPS, owned);
  await cluster.client.create(CONFIGMAPS, orphan);
  await until('an object of nobody goes', async () => !(await exists(CONFIGMAPS, 'orphan', 'default')));
  assert.ok(await exists(CONFIGMAPS, 'owned', 'default'));
  await cluster.client.delete(CONFIGMAPS, 'owner', 'default', { propagationPolicy: 'Orphan' });
  await until('the owner is gone', async () => !(await exists(CONFIGMAPS, 'owner', 'default')));
  assert.deepEqual(
    (await cluster.client.get(CONFIGMAPS, 'owned', 'default')).metadata.ownerReferences ?? [],
    [],
  );
});

test('a namespace goes with everything in it', async () => {
  const namespace = 'short-lived';
  await cluster.client.create(NAMESPACES, {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: namespace },
  });
  await until('it has its account', () => exists(SERVICEACCOUNTS, 'default', namespace));
  const made = deployment('web', 'nginx', 2);
  made.metadata.namespace = namespace;
  await cluster.client.create(DEPLOYMENTS, made);
  await until(
    'its pods are there',
    async () => (await cluster.client.list(PODS, { namespace })).items.length === 2,
  );
  await cluster.client.delete(NAMESPACES, namespace);
  await until('it is gone', async () => !(await exists(NAMESPACES, namespace)));
  assert.deepEqual((await cluster.client.list(PODS, { namespace })).items, []);
});

test('a namespace of a thousand objects goes as well, but not before its finalizers', async () => {
  const namespace = 'crowded';
  await cluster.client.create(NAMESPACES, {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: namespace },
  });
  const config = (name: string, finalizers: string[] = []) =>
    cluster.client.create(CONFIGMAPS, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, namespace, finalizers },
    });
  await config('a-held', ['example.com/held']);
  for (let made = 0; made < 1000; made += 50)
    await Promise.all(Array.from({ length: 50 }, (_, index) => config(`c-${made + index}`)));
  await cluster.client.delete(NAMESPACES, namespace);
  await until('only what is held is left', async () => {
    const { items } = await cluster.client.list(CONFIGMAPS, { namespace });
    return items.length === 1 && items[0]?.metadata.name === 'a-held';
  });
  await until('the namespace tells of it', async () => {
    const { status } = await cluster.client.get(NAMESPACES, namespace);
    return status?.conditions?.some(each => each.message?.includes('example.com/held')) === true;
  });
  await cluster.client.patch(CONFIGMAPS, 'a-held', namespace, { metadata: { finalizers: null } }, 'merge');
  await until('it is gone', async () => !(await exists(NAMESPACES, namespace)));
});

test('a node that is not ready is tainted until it is, a cordoned one until it is not', async () => {
  const taints = async () =>
    (await cluster.client.get(NODES, 'kind-worker2')).spec.taints?.map(
      each => `${each.key}:${each.effect}`,
    ) ?? [];
  await nodes[2]!.setReady(false);
  await until('it has both taints', async () => (await taints()).length === 2);
  assert.deepEqual((await taints()).sort(), [
    'node.kubernetes.io/not-ready:NoExecute',
    'node.kubernetes.io/not-ready:NoSchedule',
  ]);
  await nodes[2]!.setReady(true);
  await until('it has none', async () => (await taints()).length === 0);
  await cluster.client.patch(NODES, 'kind-worker2', undefined, { spec: { unschedulable: true } }, 'merge');
  await until('it is shut', async () =>
    (await taints()).includes('node.kubernetes.io/unschedulable:NoSchedule'),
  );
  await cluster.client.patch(NODES, 'kind-worker2', undefined, { spec: { unschedulable: null } }, 'merge');
  await until('it is open', async () => (await taints()).length === 0);
});

test('the API server is killed and comes back: the controllers go on, and lose nothing', async () => {
  await cluster.end('lab-apiserver', 'SIGKILL');
  await cluster.startApiServer();
  await setImage('web', 'nginx:3');
  await rolledOut('web', 'nginx:3', 5);
  assert.ok(cluster.runs('lab-controllers'));
});

test('the controllers are killed in the middle of a rollout: their successors finish it', async () => {
  await setImage('web', 'nginx:4');
  await cluster.end('lab-controllers', 'SIGKILL');
  cluster.startControllers();
  await rolledOut('web', 'nginx:4', 5);
  await until('nothing is left over', async () => (await podsOf('web')).length === 5);
});

test('told to end, they end', async () => {
  assert.equal(await cluster.end('lab-controllers', 'SIGTERM'), 0, cluster.output);
});

function deployment(name: string, image: string, replicas: number): Deployment {
  const labels = { app: name };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: 'default' },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { containers: [{ name: 'c', image, ports: [{ name: 'http', containerPort: 8080 }] }] },
      },
    },
  };
}

function daemonSet(name: string, image: string): DaemonSet {
  const labels = { app: name };
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name, namespace: 'default' },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { tolerations: [{ operator: 'Exists' }], containers: [{ name: 'c', image }] },
      },
    },
  };
}

function plainPod(name: string, image: string): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default' },
    spec: { containers: [{ name: 'c', image }] },
  };
}

function configMap(name: string): KubeObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default' } };
}

function withImage(image: string) {
  return { spec: { template: { spec: { containers: [{ name: 'c', image }] } } } };
}

async function setImage(name: string, image: string): Promise<void> {
  await cluster.client.patch(DEPLOYMENTS, name, 'default', withImage(image), 'strategic');
}

/** As `kubectl rollout status` sees it. */
async function rolledOut(name: string, image: string, replicas: number): Promise<void> {
  await until(`${name} runs ${image} ${replicas} times`, async () => {
    const { status, metadata } = await cluster.client.get(DEPLOYMENTS, name, 'default');
    return (
      status?.observedGeneration === metadata.generation &&
      [status?.replicas, status?.updatedReplicas, status?.availableReplicas].every(
        count => count === replicas,
      )
    );
  });
  assert.deepEqual(new Set(await imagesOf(name)), new Set([image]));
}

async function daemonsCurrent(name: string, image: string): Promise<void> {
  await until(`${name} runs ${image} everywhere`, async () => {
    const { status, metadata } = await cluster.client.get(DAEMONSETS, name, 'default');
    return (
      status?.observedGeneration === metadata.generation &&
      [status?.desiredNumberScheduled, status?.updatedNumberScheduled, status?.numberAvailable].every(
        count => count === 3,
      )
    );
  });
  assert.deepEqual(await imagesOf(name), [image, image, image]);
}

async function endpointsMatch(name: string, port: number): Promise<void> {
  await until(`the endpoints of ${name} are its pods`, async () => {
    const wanted = (await podsOf(name)).map(pod => pod.status?.podIP).sort();
    const { items } = await cluster.client.list(ENDPOINTSLICES, {
      namespace: 'default',
      labelSelector: `kubernetes.io/service-name=${name}`,
    });
    const sliced = items.flatMap(slice =>
      slice.endpoints.filter(each => each.conditions?.ready).flatMap(each => each.addresses),
    );
    const legacy = await cluster.client.get(ENDPOINTS, name, 'default');
    const listed = legacy.subsets?.flatMap(subset => subset.addresses?.map(each => each.ip) ?? []) ?? [];
    return (
      items.every(slice => slice.ports?.[0]?.port === port) &&
      JSON.stringify(sliced.sort()) === JSON.stringify(wanted) &&
      JSON.stringify(listed.sort()) === JSON.stringify(wanted)
    );
  });
}

async function podsOf(app: string): Promise<Pod[]> {
  const { items } = await cluster.client.list(PODS, { namespace: 'default', labelSelector: `app=${app}` });
  return items.filter(pod => pod.metadata.deletionTimestamp === undefined);
}

async function imagesOf(app: string): Promise<string[]> {
  return (await podsOf(app)).map(pod => pod.spec.containers[0]!.image!);
}

async function exists<T extends KubeObject>(
  type: ResourceType<T>,
  name: string,
  namespace?: string,
): Promise<boolean> {
  try {
    await cluster.client.get(type, name, namespace);
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}
