import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { sealedLength } from '../proto/esp/packet.ts';
import {
  aeadIcvBits,
  aeadKeyLengths,
  aeadSuite,
  CBC_KEY_LENGTHS,
  cbcSuite,
  type Suite,
} from '../proto/esp/suite.ts';
import { ipsecMtu, vxlanMtu, wireguardMtu } from './mtu.ts';

const GCM = aeadSuite('rfc4106(gcm(aes))', 20, 128);
const SUITES: Suite[] = [
  ...(['rfc4106(gcm(aes))', 'rfc7539esp(chacha20,poly1305)'] as const).flatMap(name =>
    aeadKeyLengths(name).flatMap(bytes => aeadIcvBits(name).map(bits => aeadSuite(name, bytes, bits))),
  ),
  ...(
    [
      ['hmac(sha256)', 16, 32],
      ['hmac(sha384)', 24, 48],
      ['hmac(sha512)', 32, 64],
    ] as const
  ).flatMap(([name, ...lengths]) =>
    lengths.flatMap(bytes => CBC_KEY_LENGTHS.map(keyBytes => cbcSuite(name, bytes, keyBytes))),
  ),
];
/** Outer Ethernet is not counted; IP, UDP, VXLAN and inner Ethernet are. */
const VXLAN = { 4: 20 + 8 + 8 + 14, 6: 40 + 8 + 8 + 14 } as const;
const IP = { 4: 20, 6: 40 } as const;

test("at 1500 the pods' MTU is what Cilium's users know", () => {
  assert.equal(wireguardMtu(1500), 1420);
  assert.equal(vxlanMtu(1500, 4), 1450);
  assert.equal(ipsecMtu(1500, 4, 4, [GCM]), 1373);
  assert.equal(ipsecMtu(1500, 4, 4, []), 1373);
  assert.equal(ipsecMtu(1500, 4, 4, [cbcSuite('hmac(sha256)', 16, 16)]), 1357);
  assert.equal(ipsecMtu(1500, 4, 4, [GCM, cbcSuite('hmac(sha512)', 32, 32)]), 1325);
});

test('whatever seals it and carries it, the longest packet of a pod fits the underlay', () => {
  const family = fc.constantFrom(4 as const, 6 as const);
  fc.assert(
    fc.property(
      fc.constantFrom(...SUITES),
      fc.integer({ min: 576, max: 9216 }),
      family,
      family,
      (suite, underlay, carrier, tunnel) => {
        const mtu = ipsecMtu(underlay, carrier, tunnel, [suite]);
        const onTheWire = VXLAN[carrier] + IP[tunnel] + sealedLength(suite, mtu);
        assert.ok(onTheWire <= underlay, `${onTheWire} of ${underlay}`);
        assert.ok(underlay - onTheWire <= 80, `${underlay - onTheWire} bytes are left over`);
        const shorter = fc.sample(fc.integer({ min: 0, max: mtu }), 5);
        for (const length of shorter) assert.ok(sealedLength(suite, length) <= sealedLength(suite, mtu));
      },
    ),
    { numRuns: 2000 },
  );
});
