import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { IpsecObserved, WireGuardObserved } from '../../drivers/driver.ts';
import type { Route } from '../../linux/route.ts';
import type { Epoch } from '../../model/epochs/epoch.ts';
import { observedPlane, type PlaneSources } from './observed-plane.ts';

const EPOCH: Epoch = 'ipsec/3/0123456789abcdef';
const RUN = 'run-of-b';
const COUNTERS = { sequence: 0n, packets: 0n, bytes: 0n };

function route(destination: string, device: string): Route {
  return {
    ...{
      family: 4,
      destination,
      type: 'unicast',
      table: 2110,
      protocol: '110',
      scope: 'link',
      onlink: false,
    },
    device,
  } as Route;
}

const wireguard: WireGuardObserved = {
  ...{ publicKey: 'own', listenPort: 51_871, mark: 0 },
  peers: [
    {
      ...{ publicKey: 'kb', allowedIPs: [], persistentKeepalive: 0, receivedBytes: 0, sentBytes: 0 },
      lastHandshake: 77,
    },
  ],
};

const ipsec: IpsecObserved = {
  run: 'own run',
  openings: [
    {
      ...{ peer: 'b', incarnation: RUN, epoch: EPOCH, heardAt: 5, in: COUNTERS },
      out: { ...COUNTERS, due: false, expired: false },
    },
  ],
  seals: [{ peer: 'b', incarnation: RUN, epoch: EPOCH }],
  states: [],
  drops: {},
};

function sources(more: Partial<PlaneSources>): PlaneSources {
  return {
    peers: [
      { name: 'b', podCIDRs: ['10.244.1.0/24'], publicKey: 'kb' },
      { name: 'c', podCIDRs: ['10.244.2.0/24'] },
    ],
    ...{ clear: false, routes: [], awaited: new Set<string>(), probes: [] },
    ...{ wireguard: undefined, ipsec: undefined },
    ...more,
  };
}

test('WireGuard is open for the peers that the device has, and for those whose key was awaited', () => {
  const awaited = new Set(['c']);
  assert.deepEqual(observedPlane(sources({ wireguard, awaited })).opens, [
    { peer: 'b', incarnation: '', epoch: 'wireguard', heardAt: 77 },
    { peer: 'c', incarnation: '', epoch: 'wireguard' },
  ]);
  assert.deepEqual(observedPlane(sources({ awaited })).opens, []);
});

test('a pair of SAs is open', () => {
  assert.deepEqual(observedPlane(sources({ ipsec })).opens, [
    { peer: 'b', incarnation: RUN, epoch: EPOCH, heardAt: 5 },
  ]);
});

test('the route says how a peer is sealed for, and for ESP the policy with what', () => {
  const sealsBy = (device: string) =>
    observedPlane(sources({ ipsec, routes: [route('10.244.1.0/24', device)] })).seals;
  assert.deepEqual(sealsBy('cilium_wg0'), [{ peer: 'b', incarnation: '', epoch: 'wireguard' }]);
  assert.deepEqual(sealsBy('cilium_vxlan'), [{ peer: 'b', incarnation: '', epoch: 'none' }]);
  assert.deepEqual(sealsBy('cilium_esp0'), [{ peer: 'b', incarnation: RUN, epoch: EPOCH }]);
  const toC = observedPlane(sources({ ipsec, routes: [route('10.244.2.0/24', 'cilium_esp0')] }));
  assert.deepEqual(toC.seals, []);
});
