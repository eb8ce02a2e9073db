import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Route } from '../linux/route.ts';
import type { Rule } from '../linux/rule.ts';
import type { RoutePlan, RulePlan } from '../model/plan.ts';
import { describeRoute, describeRule, routeDifference, ruleDifference } from './routing.ts';

const unreachable: RoutePlan = { destination: '0.0.0.0/0', table: 2110, type: 'unreachable' };
const path: RoutePlan = {
  ...{ destination: '10.244.2.0/24', table: 2110, type: 'unicast' },
  ...{ device: 'cilium_wg0', source: '10.244.1.1' },
};

test('what the kernel shows of a planned route is that route', () => {
  assert.deepEqual(routeDifference([kernel(unreachable)], [unreachable], 'ground'), {
    missing: [],
    surplus: [],
  });
  assert.deepEqual(routeDifference([kernel(path)], [path], 'paths'), { missing: [], surplus: [] });
  const v6: RoutePlan = { destination: '::/0', table: 2110, type: 'unreachable' };
  const shown = { ...kernel(v6), family: 6 as const, device: 'lo', metric: 1024 };
  assert.deepEqual(routeDifference([shown], [v6], 'ground'), { missing: [], surplus: [] });
});

test('a route that changes is replaced, not deleted first', () => {
  const { missing, surplus } = routeDifference(
    [kernel({ ...path, device: 'cilium_vxlan' })],
    [path],
    'paths',
  );
  assert.deepEqual(
    missing.map(({ device }) => device),
    ['cilium_wg0'],
  );
  assert.deepEqual(surplus, []);
});

test("ground and paths leave each other's routes alone", () => {
  const there = [kernel(unreachable), kernel(path)];
  assert.deepEqual(
    routeDifference(there, [], 'paths').surplus.map(({ type }) => type),
    ['unicast'],
  );
  assert.deepEqual(
    routeDifference(there, [], 'ground').surplus.map(({ type }) => type),
    ['unreachable'],
  );
});

test('in the main table only unreachable routes with our mark are ours', () => {
  const own: RoutePlan = { destination: '10.244.1.0/24', table: 254, type: 'unreachable' };
  const foreign = { ...kernel(own), protocol: 'static' };
  const pod = { ...kernel({ ...own, type: 'unicast', device: 'lxc1' }), protocol: '110' };
  assert.deepEqual(routeDifference([kernel(own), foreign, pod], [], 'ground').surplus, [kernel(own)]);
});

test('rules of others are neither taken for ours nor removed', () => {
  const planned: RulePlan = { family: 4, priority: 110, action: 'lookup', table: 2110, to: '10.244.0.0/16' };
  const foreign: Rule = { ...planned, protocol: 2 };
  const { missing, surplus } = ruleDifference([foreign], [planned]);
  assert.equal(missing.length, 1);
  assert.deepEqual(surplus, []);
  assert.deepEqual(ruleDifference([{ ...planned, protocol: 110 }], [planned]), { missing: [], surplus: [] });
});

test('rules and routes are told as ip(8) would', () => {
  assert.equal(describeRoute(path), 'route 10.244.2.0/24 dev cilium_wg0 table 2110');
  assert.equal(describeRoute(unreachable), 'route 0.0.0.0/0 unreachable table 2110');
  const rule: Rule = {
    family: 6,
    priority: 105,
    action: 'lookup',
    table: 2111,
    mark: 0xe00,
    mask: 0xf00,
    invert: true,
  };
  assert.equal(describeRule(rule), 'rule 105 (IPv6) not fwmark 0xe00 lookup 2111');
});

function kernel(route: RoutePlan): Route {
  const { destination, table, type, device, via, source } = route;
  return {
    ...{ family: 4, destination, table, type, protocol: '110', scope: 'global', onlink: false },
    ...(device && { device }),
    ...(via && { via }),
    ...(source && { source }),
  };
}
