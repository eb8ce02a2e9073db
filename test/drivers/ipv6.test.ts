/** A cluster of IPv6 alone, by real kernels and a real engine. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Encryption, KEY3, type PairNode, startPair, type Ways } from './pair.ts';

let a: PairNode;
let b: PairNode;

before(async () => {
  [a, b] = await startPair({ onlyIPv6: true });
});
after(() => {
  a?.stop();
  b?.stop();
});

const MTU = 1500 - 70 - 77;

for (const [encryption, ways] of [
  ['ipsec', { opens: [KEY3], seals: KEY3 }],
  ['wireguard', { opens: ['wireguard'], seals: 'wireguard' }],
  ['disabled', { clear: true, seals: 'none' }],
] as [Encryption, Ways][]) {
  test(`${encryption}: pods talk, and packets as long as may be`, async () => {
    await a.apply(b, encryption, ways);
    await b.apply(a, encryption, ways);
    assert.equal(await a.ping(b.podAddresses[1]!, 3), 3);
    assert.equal(await a.ping(b.podAddresses[1]!, 2, '-M', 'do', '-s', String(MTU - 48)), 2);
    assert.equal(await a.ping(b.podAddresses[0]!, 1), 0, 'IPv4 is off');
  });
}

test('ESP between CiliumInternalIPs of IPv6 is counted, both ways', async () => {
  await a.apply(b, 'ipsec', { opens: [KEY3], seals: KEY3 });
  await b.apply(a, 'ipsec', { opens: [KEY3], seals: KEY3 });
  const packets = async () => (await a.drivers.ipsec.observe()).openings[0]!;
  const before = await packets();
  assert.equal(await a.ping(b.podAddresses[1]!, 3), 3);
  const now = await packets();
  assert.ok(now.in.packets >= before.in.packets + 3n && now.out.packets >= before.out.packets + 3n);
  const [state] = (await a.drivers.ipsec.observe()).states;
  assert.ok(state?.source.startsWith('fd00:10:244:'));
});
