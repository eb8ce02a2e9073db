import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { WireGuardPeer } from '../model/plan.ts';
import type { WireGuardDesired, WireGuardObserved } from './driver.ts';
import { MemoryWireGuard } from './memory.ts';
import { wireguardChanges } from './wireguard-changes.ts';
import { publicKeyOf } from './wireguard-keys.ts';

const KEYS = Array.from({ length: 5 }, (_, n) => publicKeyOf(Buffer.alloc(32, n + 1)));
const STRANGER = publicKeyOf(Buffer.alloc(32, 99));
const IPS = Array.from({ length: 6 }, (_, n) => `10.244.${n}.0/24`);

/** For each IP the peer that has it, or none. */
const owners = fc.array(fc.option(fc.integer({ min: 0, max: 4 })), {
  minLength: IPS.length,
  maxLength: IPS.length,
});

test('on the way from any state to any other, an allowed IP is always with its old or its new peer', async () => {
  await fc.assert(
    fc.asyncProperty(owners, owners, async (from, to) => {
      const device = new MemoryWireGuard();
      await device.apply(desired(from));
      const lost: string[] = [];
      device.onLine = (line, state) => {
        for (const [i, ip] of IPS.entries()) {
          if (from[i] === null || to[i] === null) continue;
          const owner = ownerOf(state, ip);
          if (owner !== KEYS[from[i]!] && owner !== KEYS[to[i]!]) lost.push(`${ip} after ${line}`);
        }
      };
      await device.apply(desired(to));
      assert.deepEqual(lost, []);
      const state = await device.observe();
      for (const [i, ip] of IPS.entries())
        assert.equal(ownerOf(state, ip), to[i] === null ? undefined : KEYS[to[i]!]);
      assert.deepEqual(await device.apply(desired(to)), []);
    }),
  );
});

test('a peer that roamed keeps where it is, until the plan moves it', () => {
  const [peer] = desired([0, null, null, null, null, null]).peers as [WireGuardPeer];
  const roamed = { address: '192.0.2.9', port: 40_000 };
  const lines = (endpoints: [string, string][], lastHandshake?: number) => {
    const seen = {
      ...observed(peer),
      endpoint: roamed,
      ...(lastHandshake === undefined ? {} : { lastHandshake }),
    };
    const state: WireGuardObserved = { publicKey: KEYS[4]!, listenPort: 1, mark: 2, peers: [seen] };
    const context = {
      publicKey: KEYS[4]!,
      strangerKey: STRANGER,
      endpoints: new Map(endpoints),
      now: 1_000_000,
    };
    return wireguardChanges(state, whole([peer]), context).lines.filter(line => line.startsWith('endpoint='));
  };
  assert.deepEqual(lines([[peer.publicKey, '172.18.0.10:51871']]), []);
  assert.deepEqual(lines([[peer.publicKey, '172.18.0.99:51871']]), ['endpoint=172.18.0.10:51871']);
  assert.deepEqual(lines([], 990_000), []);
  assert.deepEqual(lines([], 10_000), ['endpoint=172.18.0.10:51871']);
  assert.deepEqual(lines([]), ['endpoint=172.18.0.10:51871']);
});

test('a port, mark or key that is right is not set again: that would cut sessions', () => {
  const context = { publicKey: KEYS[4]!, strangerKey: STRANGER, endpoints: new Map(), now: 0 };
  const state = { publicKey: KEYS[4]!, listenPort: 1, mark: 2, peers: [] };
  assert.deepEqual(wireguardChanges(state, whole([]), context).lines, []);
  assert.equal(wireguardChanges({ ...state, publicKey: KEYS[0]! }, whole([]), context).lines.length, 1);
});

test('phrases for the log have no private key in them', () => {
  const context = { publicKey: KEYS[4]!, strangerKey: STRANGER, endpoints: new Map(), now: 0 };
  const { phrases } = wireguardChanges({ listenPort: 0, mark: 0, peers: [] }, whole([]), context);
  const secret = Buffer.from(whole([]).privateKey);
  for (const form of [secret.toString('hex'), secret.toString('base64')])
    assert.ok(!phrases.join().includes(form));
});

function desired(assignment: (number | null)[]): WireGuardDesired {
  return whole(
    KEYS.flatMap((publicKey, n): WireGuardPeer[] => {
      const allowedIPs = IPS.filter((_, i) => assignment[i] === n);
      if (allowedIPs.length === 0) return [];
      const endpoint = { address: `172.18.0.1${n}`, port: 51_871 };
      return [{ name: `n${n}`, publicKey, endpoint, allowedIPs, persistentKeepalive: 0 }];
    }),
  );
}

function whole(peers: WireGuardPeer[]): WireGuardDesired {
  return { device: 'cilium_wg0', listenPort: 1, mark: 2, peers, privateKey: Buffer.alloc(32, 5) };
}

function observed({ publicKey, allowedIPs, persistentKeepalive }: WireGuardPeer) {
  return { publicKey, allowedIPs, persistentKeepalive, receivedBytes: 0, sentBytes: 0 };
}

function ownerOf(state: WireGuardObserved, ip: string): string | undefined {
  return state.peers.find(({ allowedIPs }) => allowedIPs.includes(ip))?.publicKey;
}
