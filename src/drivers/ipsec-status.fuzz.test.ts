/** Answers of the ESP engine that are not what they should be. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { labelOf, observedOf, parseLabel, readStatus } from './ipsec-status.ts';

const anything = fc.jsonValue({ maxDepth: 2 });
const address = fc.oneof(fc.constantFrom('10.244.0.1', '10.244.1.1', 'fd00::1'), anything);
const number = fc.oneof(
  fc.constantFrom(0, 1, 3),
  fc.maxSafeNat(),
  fc.constantFrom('18446744073709551615', '1e3', -1, 1.5),
  anything,
);
const label = 'node-2 1b4e28ba-2fa1-11d2-883f-0016d3cca427 ipsec/3/0123456789abcdef';
const state = fc.record(
  {
    dir: fc.oneof(fc.constantFrom('in', 'out'), anything),
    src: address,
    dst: address,
    spi: number,
    label: fc.oneof(fc.constant(label), anything),
    algorithm: anything,
    sequence: number,
    packets: number,
    bytes: number,
    lastUsed: number,
    due: anything,
    expired: anything,
    sel: fc.oneof(fc.constant(['10.0.0.0/8']), anything),
    limits: fc.oneof(fc.record({ packetSoft: number }), anything),
  },
  { requiredKeys: ['dir', 'src', 'dst', 'spi', 'sequence', 'packets', 'bytes', 'lastUsed'] },
);
const answer = fc.record(
  {
    run: fc.oneof(fc.constant('run'), anything),
    states: fc.oneof({ weight: 5, arbitrary: fc.array(state, { maxLength: 3 }) }, anything),
    policies: fc.oneof(
      {
        weight: 5,
        arbitrary: fc.array(
          fc.record({
            dst: fc.oneof(fc.constant('10.244.1.0/24'), anything),
            src: address,
            to: address,
            spi: number,
          }),
          { maxLength: 3 },
        ),
      },
      anything,
    ),
    local: fc.oneof(fc.constant(['10.244.0.0/24']), anything),
    drops: fc.oneof(fc.constant({ XfrmInNoStates: 1 }), anything),
  },
  { requiredKeys: ['states'] },
);

describe('the status of the ESP engine', () => {
  test('whatever is answered: a status, or a sentence; and what is made of it is sound', () => {
    fc.assert(
      fc.property(answer, given => {
        const read = readStatus(JSON.parse(JSON.stringify(given)) as Record<string, unknown>);
        if (typeof read === 'string')
          return assert.ok(read.length > 0 && read.length < 200 && !read.includes('\n'));
        const observed = observedOf(read);
        assert.ok(
          observed.openings.length <= read.states.length && observed.seals.length <= read.policies.length,
        );
        for (const { counters } of observed.states)
          assert.ok(counters.packets >= 0n && counters.sequence >= 0n);
      }),
      { numRuns: 2000 },
    );
  });

  test('a label is read as it was written; any other text is none, or the same again', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ maxLength: 60 }),
          fc.constantFrom(label, `${label} x`, ` ${label}`, label.slice(0, -1)),
        ),
        text => {
          const owner = parseLabel(text);
          if (owner) assert.equal(labelOf(owner), text);
        },
      ),
    );
    assert.ok(parseLabel(label));
  });
});
