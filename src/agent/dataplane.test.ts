import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DriverUnavailable, type IpsecDesired, type IpsecObserved } from '../drivers/driver.ts';
import type { Rtnetlink } from '../linux/rtnetlink.ts';
import type { Epoch } from '../model/epochs/epoch.ts';
import type { NodePlan } from '../model/plan.ts';
import { DataPlane, type DataPlaneObserved } from './dataplane.ts';
import type { PodMtu } from './pod-mtu.ts';

const EPOCH: Epoch = 'ipsec/3/0123456789abcdef';
const SEAL = { incarnation: 'run-b', epoch: EPOCH };

function bench(options: { engine?: boolean; devices?: string[] } = {}) {
  const { engine = true, devices = ['cilium_wg0', 'cilium_esp0'] } = options;
  const events: string[] = [];
  let routes: string[] = [];
  const driver = (name: string, say: (desired: never) => string) => ({
    name,
    apply: async (desired: never) => {
      events.push(say(desired));
      return [];
    },
    observe: async () => {
      if (!engine) throw new DriverUnavailable('no engine');
      return { publicKey: 'k' } as never;
    },
    cleanUp: async () => void events.push(`${name} emptied`),
  });
  const plane = new DataPlane({
    rtnetlink: {
      links: async () => devices.map(name => ({ name })),
      routes: async () => [],
    } as unknown as Rtnetlink,
    ground: { ...driver('ground', () => 'ground'), observe: async () => ({ links: new Map(), clear: true }) },
    paths: driver('paths', ({ routes: wanted }: { routes: { device: string }[] }) => {
      routes = wanted.map(({ device }) => device);
      return 'paths';
    }) as never,
    wireguard: driver('wireguard', () => 'wireguard') as never,
    ipsec: {
      ...driver(
        'ipsec',
        ({ peers }: IpsecDesired) => `ipsec ${peers.map(({ seals }) => seals?.epoch ?? 'none')}`,
      ),
      probe: async () => {},
    } as never,
    podMtu: {
      shorten: async (mtu: number) => void events.push(`shorten ${mtu}`),
      follow: async (mtu: number, settled: boolean) => void events.push(`follow ${mtu} ${settled}`),
    } as unknown as PodMtu,
    tell: () => {},
  });
  return { plane, events, routes: () => routes };
}

function plan(more: Partial<NodePlan>): NodePlan {
  return {
    network: { podCIDRs: [], gateways: [], mtu: 1373 },
    paths: { routes: [{ device: 'cilium_wg0' }], neighbours: [], fdb: [] },
    ...more,
  } as unknown as NodePlan;
}

const desired: IpsecDesired = {
  ...{ run: 'r', device: 'cilium_esp0', local: [] },
  peers: [{ name: 'b', tunnel: { local: '', remote: '' }, cidrs: [], openings: [SEAL] }],
};
const before: DataPlaneObserved = {
  ...{ clear: false, routes: [], answers: { wireguard: true, ipsec: true } },
  ipsec: {
    run: 'r',
    openings: [],
    states: [{}],
    drops: {},
    seals: [{ peer: 'b', ...SEAL }],
  } as unknown as IpsecObserved,
};

test('who is sealed for by IPsec is so until no route leads there any more', async () => {
  const { plane, events } = bench();
  const both = plan({ wireguard: {} as never, ipsec: {} as never });
  await plane.apply(both, { privateKey: new Uint8Array(32), ipsec: desired }, before);
  assert.deepEqual(events, [
    'shorten 1373',
    'wireguard',
    `ipsec ${EPOCH}`,
    'paths',
    'ipsec none',
    'follow 1373 false',
  ]);
});

test('what no plan asks for is emptied after the routes have gone', async () => {
  const { plane, events } = bench();
  await plane.apply(plan({ wireguard: {} as never }), { privateKey: new Uint8Array(32) }, before);
  assert.deepEqual(events, ['shorten 1373', 'wireguard', 'paths', 'ipsec emptied', 'follow 1373 true']);
});

test('no route is made to a device that is not there', async () => {
  const { plane, routes } = bench({ devices: [] });
  await plane.apply(plan({}), {}, { ...before, ipsec: { ...before.ipsec!, states: [] } });
  assert.deepEqual(routes(), []);
});

test('an engine that nobody needs may be away, one that is needed not', async () => {
  const { plane } = bench({ engine: false });
  const observed = await plane.observe({ wireguard: false, ipsec: false });
  assert.deepEqual(observed.answers, { wireguard: false, ipsec: false });
  await assert.rejects(plane.observe({ wireguard: false, ipsec: true }), DriverUnavailable);
});

test('once this agent has shut out the clear, nobody else lets it in', async () => {
  const { plane } = bench();
  assert.equal((await plane.observe({ wireguard: false, ipsec: false })).clear, true);
  await plane.applyGround(plan({}), false);
  assert.equal((await plane.observe({ wireguard: false, ipsec: false })).clear, false);
});
