import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkOptions, labNodes } from './layout.ts';

test('nodes are named and addressed as kind does', () => {
  const nodes = labNodes({ name: 'kind', workers: 3, ipFamily: 'dual' });
  assert.deepEqual(
    nodes.map(node => [node.name, node.role, ...node.addresses]),
    [
      ['kind-control-plane', 'control-plane', '172.18.0.2', 'fd00:172:18::2'],
      ['kind-worker', 'worker', '172.18.0.3', 'fd00:172:18::3'],
      ['kind-worker2', 'worker', '172.18.0.4', 'fd00:172:18::4'],
      ['kind-worker3', 'worker', '172.18.0.5', 'fd00:172:18::5'],
    ],
  );
  assert.ok(nodes.every(node => node.link.length <= 15));
});

test('bad options are told in a sentence', () => {
  assert.deepEqual(checkOptions({}), { name: 'kind', workers: 2, ipFamily: 'ipv4' });
  for (const name of ['', 'Kind', '../etc', 'a b', '-x', 'x'.repeat(40)]) {
    assert.ok('problem' in checkOptions({ name }), name);
  }
  for (const workers of [-1, 1.5, 99, Number.NaN]) assert.ok('problem' in checkOptions({ workers }));
});
