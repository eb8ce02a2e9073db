import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Epoch } from './epoch.ts';
import { applyTo, EMPTY_PLANE, isForRun, type Plane, type PlaneChange, sameSealing } from './plane.ts';

const third: Epoch = 'ipsec/3/defabc0123456789';
const fourth: Epoch = 'ipsec/4/ef0123456789abcd';
const nothing: PlaneChange = { clear: false, open: [], close: [], seal: [], probe: [] };
const way = (peer: string, incarnation: string, epoch: Epoch) => ({ peer, incarnation, epoch });

describe('a plane after a change', () => {
  const plane: Plane = {
    clear: true,
    opens: [
      { ...way('b', 'b1', third), heardAt: 5 },
      { ...way('c', '', 'wireguard'), heardAt: 7 },
    ],
    seals: [way('b', 'b1', third), way('c', 'c1', 'wireguard')],
    probes: [way('b', 'b1', third)],
  };

  test('is the same when nothing changes, but for what comes in the clear', () => {
    assert.deepEqual(applyTo(plane, { ...nothing, clear: true }), plane);
    assert.deepEqual(applyTo(plane, nothing), { ...plane, clear: false });
  });

  test('has what is opened beside what was, and not what is closed', () => {
    const change = { ...nothing, open: [way('b', 'b1', fourth)], close: [way('b', 'b1', third)] };
    assert.deepEqual(applyTo(plane, change).opens, [plane.opens[1], way('b', 'b1', fourth)]);
  });

  test('keeps what is opened once more, and when it was heard', () => {
    const change = { ...nothing, open: [way('b', 'b1', third), way('c', 'c2', 'wireguard')] };
    assert.deepEqual(applyTo(plane, change).opens, plane.opens);
  });

  test('closes one run of a peer under IPsec, and any under WireGuard', () => {
    const change = { ...nothing, close: [way('b', 'b2', third), way('c', 'c9', 'wireguard')] };
    assert.deepEqual(applyTo(plane, change).opens, [plane.opens[0]]);
  });

  test('seals with one epoch a peer, and with none for a peer that is taken off', () => {
    const seal = [
      { peer: 'b', incarnation: 'b1', epoch: undefined },
      way('c', 'c1', fourth),
      way('d', 'd1', 'none'),
    ];
    const { seals, probes } = applyTo(plane, { ...nothing, seal, probe: [way('b', 'b1', fourth)] });
    assert.deepEqual(seals, [way('c', 'c1', fourth), way('d', 'd1', 'none')]);
    assert.deepEqual(probes, [way('b', 'b1', fourth)]);
  });

  test('is made out of nothing', () => {
    assert.deepEqual(applyTo(EMPTY_PLANE, nothing), EMPTY_PLANE);
  });
});

test('the run of a peer counts for IPsec alone', () => {
  assert.equal(sameSealing(way('b', 'b1', third), way('b', 'b2', third)), false);
  assert.equal(sameSealing(way('b', 'b1', 'wireguard'), way('b', 'b2', 'wireguard')), true);
  assert.equal(sameSealing(way('b', '', 'none'), way('c', '', 'none')), false);
  assert.equal(isForRun(way('b', 'b1', third), 'b2'), false);
  assert.equal(isForRun(way('b', 'b1', 'none'), 'b2'), true);
});
