/** What every WireGuard driver must do. Run by the memory twin and by each real one. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { WireGuardPeer } from '../model/plan.ts';
import type { WireGuardDesired, WireGuardDriver, WireGuardObserved } from './driver.ts';
import { publicKeyOf } from './wireguard-keys.ts';

/** `make` answers a driver of a device that is there and empty. */
export function wireguardContract(name: string, make: () => Promise<WireGuardDriver>): void {
  test(`${name}: applies a whole state and tells it back`, async () => {
    const driver = await make();
    const desired = state([peer('a', 1, ['10.9.1.0/24', 'fd09:1::/64']), peer('b', 2, ['10.9.2.0/24'], 30)]);
    assert.notDeepEqual(await driver.apply(desired), []);
    const observed = await driver.observe();
    assert.equal(observed.publicKey, publicKeyOf(desired.privateKey));
    assert.equal(observed.listenPort, desired.listenPort);
    assert.equal(observed.mark, desired.mark);
    assert.deepEqual(shape(observed), shapeOf(desired));
  });

  test(`${name}: a second apply of the same state changes nothing`, async () => {
    const driver = await make();
    const desired = state([peer('a', 1, ['10.9.1.0/24'])]);
    await driver.apply(desired);
    assert.deepEqual(await driver.apply(structuredClone(desired)), []);
  });

  test(`${name}: adding and removing one peer leaves the others as they are`, async () => {
    const driver = await make();
    const [a, b] = [peer('a', 1, ['10.9.1.0/24']), peer('b', 2, ['10.9.2.0/24'])];
    const both = state([a, b]);
    await driver.apply({ ...both, peers: [a] });
    assert.deepEqual(await driver.apply(both), ['peer b added']);
    assert.deepEqual(await driver.apply({ ...both, peers: [b] }), [`peer ${a.publicKey} removed`]);
    assert.deepEqual(shape(await driver.observe()), shapeOf({ ...both, peers: [b] }));
  });

  test(`${name}: allowed IPs move between peers and go away`, async () => {
    const driver = await make();
    const [a, b] = [peer('a', 1, ['10.9.1.0/24', '10.9.3.0/24']), peer('b', 2, ['10.9.2.0/24'])];
    const before = state([a, b]);
    await driver.apply(before);
    const moved = {
      ...before,
      peers: [
        { ...a, allowedIPs: ['10.9.1.0/24'] },
        { ...b, allowedIPs: ['10.9.3.0/24', '10.9.2.0/24'] },
      ],
    };
    await driver.apply(moved);
    assert.deepEqual(shape(await driver.observe()), shapeOf(moved));
    const gone = {
      ...before,
      peers: [
        { ...a, allowedIPs: ['10.9.1.0/24'] },
        { ...b, allowedIPs: ['10.9.2.0/24'] },
      ],
    };
    await driver.apply(gone);
    assert.deepEqual(shape(await driver.observe()), shapeOf(gone));
  });

  test(`${name}: a peer with a new key takes over the allowed IPs of the old one`, async () => {
    const driver = await make();
    const old = state([peer('a', 1, ['10.9.1.0/24'])]);
    await driver.apply(old);
    const renewed = { ...old, peers: [peer('a', 1, ['10.9.1.0/24'])] };
    await driver.apply(renewed);
    assert.deepEqual(shape(await driver.observe()), shapeOf(renewed));
  });

  test(`${name}: an endpoint that the plan moves is moved`, async () => {
    const driver = await make();
    const a = peer('a', 1, ['10.9.1.0/24']);
    const before = state([a]);
    await driver.apply(before);
    const after = { ...before, peers: [{ ...a, endpoint: { address: 'fd00::9', port: 51_871 } }] };
    await driver.apply(after);
    assert.deepEqual((await driver.observe()).peers[0]!.endpoint, { address: 'fd00::9', port: 51_871 });
  });

  test(`${name}: cleanUp leaves no key and no peer`, async () => {
    const driver = await make();
    await driver.apply(state([peer('a', 1, ['10.9.1.0/24'])]));
    await driver.cleanUp();
    const observed = await driver.observe();
    assert.equal(observed.publicKey, undefined);
    assert.deepEqual(observed.peers, []);
  });
}

function state(peers: WireGuardPeer[]): WireGuardDesired {
  return { device: 'pg-wg0', listenPort: 51_871, mark: 0xe00, peers, privateKey: randomBytes(32) };
}

function peer(name: string, host: number, allowedIPs: string[], persistentKeepalive = 0): WireGuardPeer {
  return {
    name,
    publicKey: publicKeyOf(randomBytes(32)),
    endpoint: { address: `127.0.0.${host}`, port: 51_871 },
    allowedIPs,
    persistentKeepalive,
  };
}

function shape(observed: WireGuardObserved) {
  return sorted(observed.peers);
}

function shapeOf(desired: WireGuardDesired) {
  return sorted(desired.peers);
}

type Common = Pick<WireGuardPeer, 'publicKey' | 'allowedIPs' | 'persistentKeepalive'> & {
  endpoint?: WireGuardPeer['endpoint'];
};

function sorted(peers: Common[]) {
  return peers
    .map(({ publicKey, allowedIPs, persistentKeepalive, endpoint }) => ({
      publicKey,
      allowedIPs: [...allowedIPs].sort(),
      persistentKeepalive,
      endpoint,
    }))
    .sort((a, b) => (a.publicKey < b.publicKey ? -1 : 1));
}
