/** A device in a network where anybody sends it anything: copies of what was on the wire, changed and unchanged, and noise. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { SimulatedNetwork } from './testlink.ts';

const injection = fc.record({
  kind: fc.constantFrom('noise', 'replay', 'bit', 'cut', 'longer', 'type', 'index'),
  pick: fc.nat(),
  noise: fc.oneof(
    fc.uint8Array({ maxLength: 160 }),
    fc.constantFrom(148, 92, 64, 32).chain(length => fc.uint8Array({ minLength: length, maxLength: length })),
  ),
  from: fc.constantFrom('192.0.2.1', '192.0.2.2', '198.51.100.9', '2001:db8::9'),
  to: fc.boolean(),
  pause: fc.constantFrom(0, 0, 30, 5_500, 30_000),
});

describe('a device among strangers', () => {
  test('throws at nothing, delivers nothing twice or changed, and goes on', () => {
    fc.assert(
      fc.property(fc.array(injection, { maxLength: 25 }), injections => {
        const network = new SimulatedNetwork();
        const { a, b } = network.pair('fuzz');
        const said: string[] = [];
        const say = () => {
          said.push(`text ${said.length}`);
          network.say(a, b, said.at(-1)!);
          // A handshake that a stranger disturbed is tried again after 5 s and some.
          network.advance(12_000);
        };
        say();
        for (const { kind, pick, noise, from, to, pause } of injections) {
          const original = network.wire[pick % network.wire.length]!;
          let bytes = Uint8Array.from(original.bytes);
          if (kind === 'noise') bytes = noise;
          else if (kind === 'bit') bytes[(pick >> 3) % bytes.length]! ^= 1 << (pick & 7);
          else if (kind === 'cut') bytes = bytes.slice(0, pick % bytes.length);
          else if (kind === 'longer') bytes = Uint8Array.from([...bytes, ...noise.subarray(0, 16)]);
          else if (kind === 'type') bytes[0] = pick % 6;
          else if (kind === 'index') bytes[4 + (pick & 7)]! ^= 1 + (pick % 255);
          network.inject({
            from: { address: from, port: 1 + (pick % 65_535) },
            to: (to ? a : b).endpoint,
            bytes,
          });
          network.advance(pause);
        }
        say();
        say();
        assert.deepEqual(b.received, said);
        assert.deepEqual(a.received, []);
      }),
      { numRuns: 300 },
    );
  });
});
