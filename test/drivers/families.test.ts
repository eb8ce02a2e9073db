/** IPv6 switched on and off on nodes that are there already, with pods that have addresses of both families. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type PairNode, startPair } from './pair.ts';

let a: PairNode;
let b: PairNode;

before(async () => {
  [a, b] = await startPair();
});
after(() => {
  a?.stop();
  b?.stop();
});

async function both(ipv6: boolean): Promise<void> {
  for (const [node, peer] of [
    [a, b],
    [b, a],
  ] as const) {
    node.ipv6 = ipv6;
    await node.apply(peer, 'wireguard', { opens: ['wireguard'], seals: 'wireguard' });
  }
}

async function answered(): Promise<number[]> {
  return [await a.ping(b.podAddresses[0]!, 3), await a.ping(b.podAddresses[1]!, 3)];
}

test('IPv6 is off, comes on, and goes off again; IPv4 goes on', async () => {
  await both(false);
  assert.deepEqual(await answered(), [3, 0]);
  await both(true);
  assert.deepEqual(await answered(), [3, 3]);
  await both(false);
  assert.deepEqual(await answered(), [3, 0]);
});

test('of a family that is off nothing of a pod leaves its node', async () => {
  await both(false);
  // The way that the packets would take to the world, where there is one.
  await a.sh('ip -6 addr add fd00:172:18::3/64 dev eth0 nodad');
  await a.sh('ip -6 route add default dev eth0 && echo 1 > /proc/sys/net/ipv6/conf/all/forwarding');
  const sent = async () => {
    const { stdout } = await a.sh('cat /proc/net/snmp6');
    return /^Ip6OutForwDatagrams\s+(\d+)/m.exec(stdout)?.[1];
  };
  const count = await sent();
  assert.ok(count !== undefined);
  assert.equal(await a.ping(b.podAddresses[1]!, 3), 0);
  assert.equal(await sent(), count);
});
