import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Node, Pod, PodSpec, Taint } from '../../kube/types.ts';
import { parseQuantity } from './quantity.ts';
import { type NodeLoad, place } from './scheduling.ts';
import { termSelectsNode } from './selectors.ts';
import { tolerates } from './taints.ts';

function load(
  name: string,
  extra: {
    labels?: Record<string, string>;
    taints?: Taint[];
    pods?: Pod[];
    unschedulable?: boolean;
    ready?: boolean;
  } = {},
): NodeLoad {
  const node: Node = {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels: { 'kubernetes.io/hostname': name, ...extra.labels } },
    spec: {
      ...(extra.taints && { taints: extra.taints }),
      ...(extra.unschedulable && { unschedulable: true }),
    },
    status: {
      allocatable: { cpu: '2', memory: '1Gi', pods: '5' },
      conditions: [{ type: 'Ready', status: extra.ready === false ? 'False' : 'True' }],
    },
  };
  return { node, pods: extra.pods ?? [] };
}

function pod(spec: Partial<PodSpec> = {}, labels: Record<string, string> = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'default', labels },
    spec: { containers: [{ name: 'c' }], ...spec },
  };
}

const control: Taint = { key: 'node-role.kubernetes.io/control-plane', effect: 'NoSchedule' };
const lab = () => [
  load('kind-control-plane', { taints: [control] }),
  load('kind-worker'),
  load('kind-worker2'),
];

test('the message of a real scheduler when nothing fits', () => {
  assert.deepEqual(place(pod({ nodeSelector: { disk: 'ssd' } }), lab()), {
    message:
      "0/3 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, 2 node(s) didn't match Pod's node affinity/selector. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.",
  });
  assert.deepEqual(place(pod(), []), { message: 'no nodes available to schedule pods' });
});

test('fewest pods win, and siblings spread', () => {
  const busy = load('a', { pods: [pod(), pod()] });
  assert.deepEqual(place(pod(), [busy, load('b', { pods: [pod()] }), load('c', { taints: [control] })]), {
    node: 'b',
  });
  const owned = (): Pod => {
    const each = pod();
    each.metadata.ownerReferences = [
      { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'r', uid: 'r', controller: true },
    ];
    return each;
  };
  const loads = [load('a', { pods: [owned()] }), load('b', { pods: [pod(), pod()] })];
  assert.deepEqual(place(owned(), loads), { node: 'b' });
});

test('tolerations open tainted nodes; cordoned and unready ones stay shut', () => {
  const everything = pod({
    tolerations: [{ operator: 'Exists' }],
    nodeSelector: { 'kubernetes.io/hostname': 'kind-control-plane' },
  });
  assert.deepEqual(place(everything, lab()), { node: 'kind-control-plane' });
  assert.match(
    JSON.stringify(place(pod(), [load('a', { unschedulable: true })])),
    /1 node\(s\) were unschedulable/,
  );
  assert.match(
    JSON.stringify(place(pod(), [load('a', { ready: false })])),
    /untolerated taint \{node.kubernetes.io\/not-ready: \}/,
  );
});

test('a pod of a DaemonSet goes to its own node', () => {
  const matchFields = [{ key: 'metadata.name', operator: 'In' as const, values: ['kind-worker2'] }];
  const nodeAffinity = {
    requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchFields }] },
  };
  assert.deepEqual(place(pod({ affinity: { nodeAffinity } }), lab()), { node: 'kind-worker2' });
});

test('pod affinity joins, anti-affinity parts, for both sides', () => {
  const web = pod({}, { app: 'web' });
  const term = { labelSelector: { matchLabels: { app: 'web' } }, topologyKey: 'kubernetes.io/hostname' };
  const join = { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } };
  const part = { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } };
  const loads = [load('a', { pods: [web] }), load('b')];
  assert.deepEqual(place(pod({ affinity: join }), loads), { node: 'a' });
  assert.deepEqual(place(pod({ affinity: part }), loads), { node: 'b' });
  const alone = load('a', { pods: [pod({ affinity: part })] });
  assert.match(
    JSON.stringify(place(pod({}, { app: 'web' }), [alone])),
    /didn't satisfy existing pods anti-affinity rules.*No preemption victims found/,
  );
  assert.deepEqual(
    place(pod({ affinity: join }, { app: 'web' }), [load('a')]),
    { node: 'a' },
    'the first of its kind',
  );
  assert.match(
    JSON.stringify(place(pod({ affinity: join }), [load('a')])),
    /didn't match pod affinity rules/,
  );
});

test('ports, room and numbers of pods count', () => {
  const host = pod({
    hostNetwork: true,
    containers: [{ name: 'c', ports: [{ containerPort: 53, protocol: 'UDP' }] }],
  });
  assert.match(JSON.stringify(place(host, [load('a', { pods: [host] })])), /free ports/);
  const hungry = pod({ containers: [{ name: 'c', resources: { requests: { cpu: '1500m' } } }] });
  assert.deepEqual(place(hungry, [load('a')]), { node: 'a' });
  assert.match(JSON.stringify(place(hungry, [load('a', { pods: [hungry] })])), /1 Insufficient cpu/);
  const five = Array.from({ length: 5 }, () => pod());
  assert.match(JSON.stringify(place(pod(), [load('a', { pods: five })])), /1 Too many pods/);
});

test('the chosen node always fits what the pod demands', () => {
  const labels = fc.dictionary(fc.constantFrom('zone', 'disk'), fc.constantFrom('x', 'y'));
  const taint = fc.record(
    {
      key: fc.constantFrom('a', 'b'),
      value: fc.constantFrom('1', '2'),
      effect: fc.constantFrom<Taint['effect']>('NoSchedule', 'NoExecute', 'PreferNoSchedule'),
    },
    { noNullPrototype: true },
  );
  const toleration = fc.record(
    {
      key: fc.constantFrom('a', 'b'),
      operator: fc.constantFrom<'Equal' | 'Exists'>('Equal', 'Exists'),
      value: fc.constantFrom('1', '2'),
    },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(
      fc.array(fc.tuple(labels, fc.array(taint, { maxLength: 2 }))),
      labels,
      fc.array(toleration, { maxLength: 2 }),
      (nodes, nodeSelector, tolerations) => {
        const loads = nodes.map(([own, taints], index) => load(`n${index}`, { labels: own, taints }));
        const placement = place(pod({ nodeSelector, tolerations }), loads);
        const fits = ({ node }: NodeLoad) =>
          Object.entries(nodeSelector).every(([key, value]) => node.metadata.labels?.[key] === value) &&
          (node.spec.taints ?? []).every(
            each => each.effect === 'PreferNoSchedule' || tolerates(tolerations, each),
          );
        if ('node' in placement)
          assert.ok(fits(loads.find(each => each.node.metadata.name === placement.node)!));
        else assert.ok(!loads.some(fits));
      },
    ),
    { numRuns: 300 },
  );
});

test('tolerations as the documentation tells', () => {
  const taint: Taint = { key: 'k', value: 'v', effect: 'NoExecute' };
  assert.ok(tolerates([{ operator: 'Exists' }], taint));
  assert.ok(tolerates([{ key: 'k', operator: 'Exists' }], taint));
  assert.ok(tolerates([{ key: 'k', value: 'v' }], taint));
  assert.ok(!tolerates([{ key: 'k', value: 'w' }], taint));
  assert.ok(!tolerates([{ key: 'k', operator: 'Exists', effect: 'NoSchedule' }], taint));
  assert.ok(!tolerates([], taint));
});

test('node selector terms: fields and numbers too, an empty term selects nothing', () => {
  const { node } = load('a', { labels: { cores: '8' } });
  assert.ok(termSelectsNode({ matchExpressions: [{ key: 'cores', operator: 'Gt', values: ['4'] }] }, node));
  assert.ok(!termSelectsNode({ matchExpressions: [{ key: 'cores', operator: 'Lt', values: ['4'] }] }, node));
  assert.ok(!termSelectsNode({ matchExpressions: [{ key: 'none', operator: 'Gt', values: ['4'] }] }, node));
  assert.ok(!termSelectsNode({}, node));
});

test('quantities', () => {
  for (const [text, value] of [
    ['100m', 0.1],
    ['2', 2],
    ['1Gi', 2 ** 30],
    ['1.5k', 1500],
    ['1e3', 1000],
    ['abc', 0],
  ] as const)
    assert.equal(parseQuantity(text), value);
});
