import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '../bytes.ts';
import { parseAddress } from '../ip/address.ts';
import { parseCidr } from '../ip/cidr.ts';
import { InboundSa, OutboundSa, type Sealed } from './sa.ts';
import { SaTable } from './sad.ts';
import { aeadSuite } from './suite.ts';
import { testKeys, testPacket } from './testpackets.ts';

const suite = aeadSuite('rfc4106(gcm(aes))', 20, 128);
const address = (text: string) => parseAddress(text)!;
const [a, b, c] = [address('10.244.0.1'), address('10.244.1.1'), address('10.244.2.1')];
const cidr = (text: string) => parseCidr(text)!;

/** Node b, with the peers a and c: the same SPI for both, a key for each. */
function node(): SaTable {
  const table = new SaTable();
  const destinations = [cidr('10.244.1.0/24')];
  for (const [peer, seed, own] of [
    [a, 1, '10.244.0.0/24'],
    [c, 2, '10.244.2.0/24'],
  ] as const) {
    const sa = new InboundSa({ spi: 3, suite, keys: testKeys(suite, seed) });
    table.addInbound({ source: peer, destination: b }, sa, { sources: [cidr(own)], destinations });
  }
  return table;
}

const sealer = (seed: number, spi = 3) => new OutboundSa({ spi, suite, keys: testKeys(suite, seed) });
const packetOf = (sealed: Sealed) => ('packet' in sealed ? sealed.packet : assert.fail(sealed.drop));
const inner = testPacket('10.244.0.7', '10.244.1.9', 60);

test('each peer has its own SA under the one SPI', () => {
  const table = node();
  const opened = table.open({ source: a, destination: b }, packetOf(sealer(1).seal(inner)));
  assert.ok('inner' in opened);
  assert.equal(toHex(opened.inner!), toHex(inner));
  assert.deepEqual(table.open({ source: c, destination: b }, packetOf(sealer(1).seal(inner))), {
    drop: 'state_protocol',
  });
  assert.deepEqual(table.open({ source: b, destination: a }, packetOf(sealer(1).seal(inner))), {
    drop: 'no_state',
  });
  assert.deepEqual(table.open({ source: a, destination: b }, packetOf(sealer(1, 4).seal(inner))), {
    drop: 'no_state',
  });
  assert.deepEqual(table.open({ source: a, destination: b }, new Uint8Array(3)), { drop: 'header' });
  assert.deepEqual(Object.fromEntries(table.drops), { state_protocol: 1, no_state: 2, header: 1 });
});

test('a peer speaks for its own addresses alone, and only to those of this node', () => {
  const table = node();
  const out = sealer(1);
  for (const [source, destination] of [
    ['10.244.2.7', '10.244.1.9'],
    ['10.244.1.7', '10.244.1.9'],
    ['8.8.8.8', '10.244.1.9'],
    ['10.244.0.7', '10.244.2.9'],
    ['10.244.0.7', '10.0.0.1'],
    ['fd00::7', 'fd00::9'],
  ] as const) {
    const packet = packetOf(out.seal(testPacket(source, destination, 60)));
    assert.deepEqual(table.open({ source: a, destination: b }, packet), { drop: 'template_mismatched' });
  }
  assert.ok('inner' in table.open({ source: a, destination: b }, packetOf(out.seal(inner))));
});

test('nothing is sealed where there is no SA; one that takes over leaves the other its counter', () => {
  const table = node();
  const tunnel = { source: b, destination: a };
  const back = testPacket('10.244.1.9', '10.244.0.7', 60);
  assert.deepEqual(table.seal(tunnel, back), { drop: 'no_state' });
  const first = sealer(5);
  assert.equal(table.setOutbound(tunnel, first), undefined);
  assert.ok('packet' in table.seal(tunnel, back));
  assert.equal(table.setOutbound(tunnel, sealer(6, 4)), first);
  const next = table.seal(tunnel, back);
  assert.ok('packet' in next);
  assert.equal(next.packet[3], 4);
  assert.equal(first.used.sequence, 1n);
  table.setOutbound(tunnel, undefined);
  assert.deepEqual(table.seal(tunnel, back), { drop: 'no_state' });
});

test('an inbound SA is never replaced, only removed', () => {
  const table = node();
  const tunnel = { source: a, destination: b };
  const sa = new InboundSa({ spi: 3, suite, keys: testKeys(suite) });
  const selectors = { sources: [], destinations: [] };
  assert.throws(() => table.addInbound(tunnel, sa, selectors));
  assert.ok(table.removeInbound(tunnel, 3));
  assert.equal(table.removeInbound(tunnel, 3), undefined);
  table.addInbound(tunnel, sa, selectors);
});
