/** What somebody on the path, a peer that has been taken over, and strangers can do to ESP. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { sealEsp } from '../../src/proto/esp/crypto.ts';
import { INBOUND_DROPS, type InboundDrop } from '../../src/proto/esp/drops.ts';
import { NEXT_HEADER } from '../../src/proto/esp/packet.ts';
import { testPacket } from '../../src/proto/esp/testpackets.ts';
import { ENCAPSULATED, EspPair, EspSide, GCM, outer, stateIn } from './esp-pair.ts';
import { Pair, until } from './pair.ts';

const SENDER = join(import.meta.dirname, 'udp-send.ts');

test('each is dropped under its own name, and harms nobody', async () => {
  await using namespaces = new Pair();
  await using left = new EspSide(namespaces.left);
  await using right = new EspSide(namespaces.right);
  await right.start();
  const key = randomBytes(20);
  const algorithm = `aead rfc4106(gcm(aes)) 0x${key.toString('hex')} 128`;
  await right.change(
    stateIn(right, left, algorithm, { words: ENCAPSULATED }),
    // A state for ESP in IP itself does not open what comes in UDP.
    stateIn(right, left, `aead rfc4106(gcm(aes)) 0x${randomBytes(20).toString('hex')} 128`, { spi: 4 }),
    `local ${right.side.inner4}/32 ${right.side.inner6}/128`,
  );
  let last = 0n;
  const sealed = (
    inner: Uint8Array,
    fields: { spi?: number; sequence?: bigint; nextHeader?: number } = {},
  ) => {
    const { spi = 3, sequence = ++last, nextHeader = NEXT_HEADER.ipv4 } = fields;
    return Buffer.from(
      sealEsp({ suite: GCM, keys: { cipher: key }, spi, esn: true, sequence }, inner, nextHeader),
    );
  };
  const [from, to] = [left.side.inner4, right.side.inner4];
  const good = () => testPacket(from, to, 100);
  const flipped = (packet: Buffer, at: number) => {
    packet[at]! ^= 0x10;
    return packet;
  };
  const cut = (packet: Buffer, length: number) => packet.subarray(0, length);

  const attacks: [what: string, reason: InboundDrop | undefined, packets: () => Buffer[]][] = [
    ['real ones', undefined, () => [sealed(good()), sealed(good())]],
    ['dummy packets', undefined, () => [sealed(Buffer.alloc(0), { nextHeader: NEXT_HEADER.none })]],
    ['NAT keepalives', undefined, () => [Buffer.from([0xff]), Buffer.from([0xff])]],
    [
      'out of order, none twice',
      undefined,
      () => {
        const packets = Array.from({ length: 50 }, () => sealed(good()));
        return packets.toReversed();
      },
    ],
    [
      'a replay',
      'state_sequence',
      () => {
        const packet = sealed(good());
        return [packet, packet];
      },
    ],
    [
      // With ESN it is taken for one that is 2^32 further on.
      'older than the window',
      'state_protocol',
      () => {
        const old = sealed(good());
        last += 4096n;
        return [sealed(good()), old];
      },
    ],
    ['a flipped bit of the ciphertext', 'state_protocol', () => [flipped(sealed(good()), 40)]],
    [
      'a flipped bit of the tag',
      'state_protocol',
      () => [flipped(sealed(good()), sealed(good()).length - 1)],
    ],
    ['a flipped bit of the sequence number', 'state_protocol', () => [flipped(sealed(good()), 6)]],
    ['another SPI', 'no_state', () => [sealed(good(), { spi: 5 })]],
    ['the SPI of a state that is not in UDP', 'no_state', () => [sealed(good(), { spi: 4 })]],
    ['IKE', 'no_state', () => [Buffer.alloc(100)]],
    ['nothing at all', 'header', () => [Buffer.alloc(0)]],
    ['half a header', 'header', () => [cut(sealed(good()), 7)]],
    ['a header alone', 'header', () => [cut(sealed(good()), 8)]],
    ['no room for a tag', 'header', () => [cut(sealed(good()), 35)]],
    ['cut off', 'state_protocol', () => [cut(sealed(good()), 80)]],
    ['cut off at an odd place', 'state_protocol', () => [cut(sealed(good()), 81)]],
    ['no IP packet inside', 'state_mode', () => [sealed(Buffer.alloc(60, 0xaa))]],
    [
      'another family inside than it says',
      'state_mode',
      () => [sealed(good(), { nextHeader: NEXT_HEADER.ipv6 })],
    ],
    ['an inner packet that is longer than all', 'state_mode', () => [sealed(good().subarray(0, 60))]],
    ['TCP where an IP packet is expected', 'state_mode', () => [sealed(good(), { nextHeader: 6 })]],
    [
      "a source that is not the peer's",
      'template_mismatched',
      () => [sealed(testPacket('10.9.0.77', to, 100))],
    ],
    ['our own address as the source', 'template_mismatched', () => [sealed(testPacket(to, to, 100))]],
    [
      'a destination that is not ours',
      'template_mismatched',
      () => [sealed(testPacket(from, '10.9.0.77', 100))],
    ],
    [
      'the outside as the destination',
      'template_mismatched',
      () => [sealed(testPacket(from, '192.0.2.9', 100))],
    ],
  ];
  let packets = 0;
  for (const [what, reason, make] of attacks) {
    const name = reason && INBOUND_DROPS[reason];
    const before = await right.list();
    const datagrams = make();
    left.side.run(
      process.execPath,
      SENDER,
      outer(left),
      '4500',
      outer(right),
      '4500',
      ...datagrams.map(toHex),
    );
    const expected = { ...before.drops, ...(name && { [name]: (before.drops[name] ?? 0) + 1 }) };
    const taken = datagrams.filter(({ length }) => length !== 1).length - (reason ? 1 : 0);
    // A packet that is refused after its tag was right counts as one that came.
    if (reason !== 'template_mismatched' && reason !== 'state_mode') packets += taken;
    else packets += datagrams.length;
    await until(what, async () => {
      const { drops, states } = await right.list();
      return isDeepStrictEqual(drops, expected) && states[0]?.packets === packets;
    }).catch(async () => {
      const { drops, states } = await right.list();
      assert.deepEqual([drops, states[0]?.packets], [expected, packets], what);
    });
  }
  const { states } = await right.list();
  const counted = Object.values(states[0]!.drops).reduce((sum, count) => sum + count, 0);
  assert.ok(counted > 10, 'a state tells its own drops');
});

test('a route to the peer that leads into the device itself does not multiply packets', async () => {
  for (const words of ['', ENCAPSULATED]) {
    await using pair = await EspPair.connect({ words });
    const { left, right } = pair;
    await left.change(`policy set dst ${outer(right)}/32 src ${outer(left)} spi 3 to ${outer(right)}`);
    left.side.run('ip', 'route', 'add', `${outer(right)}/32`, 'dev', left.device);
    assert.equal(left.side.ping(right.side.inner4, 2), 0);
    const { packets, drops } = await left.state('out');
    assert.ok(packets <= 6, `${packets} packets`);
    assert.equal(drops['ownDatagram'], packets);
    left.side.run('ip', 'route', 'del', `${outer(right)}/32`);
    assert.equal(left.side.ping(right.side.inner4, 2), 2);
  }
});

test('garbage to the raw sockets, of both families, harms nobody', async () => {
  await using pair = await EspPair.connect();
  const { left, right } = pair;
  const script = `
import os, socket
for family, address in ((socket.AF_INET, "${outer(right)}"), (socket.AF_INET6, "${outer(right, 6)}")):
    raw = socket.socket(family, socket.SOCK_RAW, 50)
    for length in list(range(0, 60)) + [1400, 9000, 60000]:
        for spi in (3, 4):
            raw.sendto((b"\\0\\0\\0" + bytes([spi]) + os.urandom(length))[:length], (address, 0))
`;
  await right.change(
    `state add src ${outer(left, 6)} dst ${outer(right, 6)} spi 3 dir in aead rfc4106(gcm(aes)) 0x${'ab'.repeat(20)} 128`,
  );
  // A link that has just come up may have no IPv6 neighbours yet.
  await until('IPv6 crosses outside', async () => left.side.ping(outer(right, 6), 1) === 1);
  left.side.run('/usr/bin/python3', '-c', script);
  await until('all is counted', async () => {
    const { drops } = await right.list();
    const { header, no_state, state_protocol } = INBOUND_DROPS;
    return (
      [header, no_state, state_protocol].reduce((sum, name) => sum + (drops[name] ?? 0), 0) === 2 * 2 * 63
    );
  }).catch(async () => assert.fail(JSON.stringify((await right.list()).drops)));
  assert.equal(left.side.ping(right.side.inner4, 3), 3);
});

function toHex(bytes: Buffer): string {
  return bytes.toString('hex');
}
