import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Node } from '../../kube/types.ts';
import { allocate, CidrError, parseClusterRanges } from './podcidr.ts';

const node = (name: string, podCIDRs: string[] = []): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name },
  spec: podCIDRs.length > 0 ? { podCIDR: podCIDRs[0]!, podCIDRs } : {},
});
const ranges = parseClusterRanges('10.244.0.0/16');
const give = (nodes: Node[], from = ranges) =>
  Object.fromEntries(allocate(from, nodes).map(each => [each.node.metadata.name, each.podCIDRs]));

test('the nodes of the lab get the blocks of their numbers, in whatever order they come', () => {
  for (const order of [
    ['kind-worker2', 'kind-worker', 'kind-control-plane'],
    ['kind-control-plane', 'kind-worker', 'kind-worker2'],
  ])
    assert.deepEqual(give(order.map(name => node(name))), {
      'kind-control-plane': ['10.244.0.0/24'],
      'kind-worker': ['10.244.1.0/24'],
      'kind-worker2': ['10.244.2.0/24'],
    });
});

test('both families', () => {
  const dual = parseClusterRanges('10.244.0.0/16,fd00:10:244::/56');
  assert.deepEqual(give([node('kind-worker')], dual), {
    'kind-worker': ['10.244.1.0/24', 'fd00:10:244:1::/64'],
  });
});

test('what is taken stays, and gaps are filled', () => {
  const nodes = [node('x', ['10.244.0.0/24']), node('y', ['10.244.2.0/24']), node('a'), node('kind-worker2')];
  assert.deepEqual(give(nodes), { a: ['10.244.1.0/24'], 'kind-worker2': ['10.244.3.0/24'] });
});

test('a range that is used up gives no more', () => {
  const small = parseClusterRanges('10.0.0.0/23');
  assert.deepEqual(Object.keys(give([node('a'), node('b'), node('c')], small)).length, 2);
});

test('no block is handed out twice, however nodes come and go', () => {
  const name = fc.constantFrom(
    'a',
    'b',
    'c',
    'd',
    'kind-worker',
    'kind-worker2',
    'x-control-plane',
    'y-control-plane',
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(name, fc.boolean()), { maxLength: 30 }), steps => {
      const dual = parseClusterRanges('10.244.0.0/20,fd00::/60');
      const nodes = new Map<string, Node>();
      for (const [which, join] of steps) {
        if (!join) nodes.delete(which);
        else if (!nodes.has(which)) nodes.set(which, node(which));
        for (const given of allocate(dual, [...nodes.values()]))
          nodes.set(given.node.metadata.name, node(given.node.metadata.name, given.podCIDRs));
        const all = [...nodes.values()].flatMap(each => each.spec.podCIDRs ?? []);
        assert.equal(new Set(all).size, all.length);
        assert.equal(all.length, nodes.size * 2);
      }
    }),
  );
});

test('a range that is none is told so', () => {
  for (const text of ['', '10.244.0.0', '10.244.0.0/25', 'fd00::/65', '10.0.0.0/16,10.1.0.0/16', 'x/16'])
    assert.throws(() => parseClusterRanges(text), CidrError, text);
});
