/** Single decisions, as whoever applies them has to know them. What holds of whole clusters: explored.test.ts, walks.test.ts. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Advertisement } from './advertisement.ts';
import type { Epoch } from './epoch.ts';
import { decide } from './machine.ts';
import { applyTo, EMPTY_PLANE, type Plane } from './plane.ts';
import { type Decision, NO_MEMORY, type Sight, targetWithoutKey } from './sight.ts';

const third: Epoch = 'ipsec/3/defabc0123456789';
const otherThird: Epoch = 'ipsec/3/0123456789abcdef';
const fourth: Epoch = 'ipsec/4/ef0123456789abcd';
const timing = { drain: 2000 };
const now = 1_000_000;

function said(
  incarnation: string,
  opens: Epoch[],
  seals: Epoch[] = opens,
  rest: Partial<Advertisement> = {},
) {
  return { incarnation, serial: 1, opens, seals, refuses: [], ...rest };
}

function sight(part: Partial<Sight> & Pick<Sight, 'target'>): Sight {
  return {
    incarnation: 'a1',
    able: [part.target],
    advertised: undefined,
    peers: [],
    plane: EMPTY_PLANE,
    ...part,
  };
}

/** Decides, does all of it, lets the writing come back; again and again, until there is nothing to do. */
function follow(start: Sight): { sight: Sight; decisions: Decision[] } {
  const decisions: Decision[] = [];
  let memory = NO_MEMORY;
  let seen = start;
  for (let i = 0; i < 20; i++) {
    const decision = decide(seen, memory, now + i * timing.drain, timing);
    decisions.push(decision);
    memory = decision.memory;
    const plane = applyTo(seen.plane, decision);
    seen = { ...seen, plane, advertised: decision.advertise ?? seen.advertised };
  }
  return { sight: seen, decisions };
}

const both = (peer: string, incarnation: string, epoch: Epoch): Plane => ({
  ...EMPTY_PLANE,
  clear: epoch === 'none',
  opens: epoch === 'none' ? [] : [{ peer, incarnation, epoch, heardAt: now - 60_000 }],
  seals: [{ peer, incarnation, epoch }],
});

describe('a start', () => {
  test('says nothing before it opens what it can', () => {
    const peers = [{ name: 'b', advertised: said('b1', [third]) }];
    const first = decide(sight({ target: third, peers }), NO_MEMORY, now, timing);
    assert.deepEqual(first.open, [{ peer: 'b', incarnation: 'b1', epoch: third }]);
    assert.equal(first.advertise, undefined);
    const plane = applyTo(EMPTY_PLANE, first);
    const second = decide(sight({ target: third, peers, plane }), first.memory, now, timing);
    assert.deepEqual(second.advertise, said('a1', [third]));
  });

  test('seals nothing for a peer that has not been heard, and probes it', () => {
    const peers = [{ name: 'b', advertised: said('b1', [third]) }];
    const { sight: end, decisions } = follow(sight({ target: third, peers }));
    assert.deepEqual(end.plane.probes, [{ peer: 'b', incarnation: 'b1', epoch: third }]);
    assert.deepEqual(end.plane.seals, []);
    assert.deepEqual(decisions.at(-1)!.open, []);
  });

  test('without a key it says that it opens nothing, and what stands goes on', () => {
    const plane = both('b', 'b1', third);
    const advertised = said('a1', [third]);
    const peers = [
      { name: 'b', advertised: said('b1', [third]) },
      { name: 'c', advertised: said('c1', [third]) },
    ];
    assert.equal(targetWithoutKey(advertised), third);
    const { sight: end } = follow(sight({ target: third, able: [], advertised, peers, plane }));
    assert.deepEqual(end.plane, { ...plane, probes: [{ peer: 'b', incarnation: 'b1', epoch: third }] });
    const { sight: fresh } = follow(sight({ target: third, able: [], incarnation: 'a2', advertised, peers }));
    assert.deepEqual([fresh.advertised?.opens, fresh.plane], [[], EMPTY_PLANE]);
    assert.equal(targetWithoutKey(said('a1', ['none', 'wireguard'])), undefined);
  });
});

describe('a new run', () => {
  const peers = (epoch: Epoch) => [{ name: 'b', advertised: said('b1', [epoch]) }];

  for (const epoch of ['none', 'wireguard'] as const) {
    test(`of the node itself lets ${epoch} go on without a gap`, () => {
      const plane = both('b', 'b1', epoch);
      const start = sight({
        target: third,
        able: [third, 'wireguard'],
        incarnation: 'a2',
        plane,
        peers: peers(epoch),
      });
      const { sight: end, decisions } = follow({ ...start, advertised: said('a1', [epoch]) });
      for (const { seal, close, clear, advertise } of decisions) {
        assert.deepEqual([seal, close, clear], [[], [], epoch === 'none']);
        if (advertise) assert.ok(advertise.opens.includes(epoch) && advertise.seals.includes(epoch));
      }
      assert.deepEqual(end.advertised?.incarnation, 'a2');
      assert.deepEqual(end.advertised?.opens, [epoch, third]);
    });

    test(`of a peer costs nothing under ${epoch}`, () => {
      const plane = both('b', 'b1', epoch);
      const advertised = said('a1', [epoch]);
      const { decisions } = follow(
        sight({ target: epoch, plane, advertised, peers: [{ name: 'b', advertised: said('b2', [epoch]) }] }),
      );
      for (const { open, close, seal } of decisions) assert.deepEqual([open, close, seal], [[], [], []]);
    });
  }

  test('of a peer ends what is sealed and opened by its keys', () => {
    const plane = both('b', 'b1', third);
    const peers = [{ name: 'b', advertised: said('b2', [third]) }];
    const { open, close, seal } = decide(
      sight({ target: third, plane, advertised: said('a1', [third]), peers }),
      NO_MEMORY,
      now,
      timing,
    );
    assert.deepEqual(open, [{ peer: 'b', incarnation: 'b2', epoch: third }]);
    assert.deepEqual(close, [{ peer: 'b', incarnation: 'b1', epoch: third }]);
    assert.deepEqual(seal, [{ peer: 'b', incarnation: 'b2', epoch: undefined }]);
  });

  test('refuses what it can no longer open, and is not sent it any more', () => {
    const rebooted = follow(
      sight({ target: third, incarnation: 'a2', advertised: said('a1', ['none']), peers: peers('none') }),
    );
    assert.deepEqual(rebooted.sight.plane.clear, false);
    assert.deepEqual(rebooted.sight.advertised?.refuses, ['none']);
    assert.deepEqual(rebooted.decisions.at(-1)!.overdue, [{ peer: 'b', epoch: 'none' }]);
    const peer = decide(
      sight({
        target: third,
        advertised: said('b1', ['none', third]),
        plane: both('a', 'a1', 'none'),
        peers: [
          { name: 'a', advertised: rebooted.sight.advertised! },
          { name: 'c', advertised: said('c1', ['none']) },
        ],
      }),
      NO_MEMORY,
      now,
      timing,
    );
    assert.deepEqual(peer.seal, [{ peer: 'a', incarnation: 'a2', epoch: undefined }]);
  });

  test('of a peer has to be heard anew before traffic moves to WireGuard', () => {
    const plane: Plane = {
      ...both('b', 'b1', third),
      opens: [
        { peer: 'b', incarnation: 'b1', epoch: third, heardAt: now - 9000 },
        { peer: 'b', incarnation: '', epoch: 'wireguard', heardAt: now - 9000 },
      ],
    };
    const own = said('a1', [third, 'wireguard']);
    const seen = (incarnation: string, heardAt: number) =>
      sight({
        target: 'wireguard',
        able: ['wireguard', third],
        advertised: own,
        peers: [{ name: 'b', advertised: said(incarnation, [third, 'wireguard']) }],
        plane: {
          ...plane,
          opens: plane.opens.map(way => ({ ...way, incarnation, heardAt })),
          seals: [{ peer: 'b', incarnation, epoch: third }],
        },
      });
    const memory = { ...NO_MEMORY, written: own, met: { b: { incarnation: 'b1' } } };
    const move = [{ peer: 'b', incarnation: 'b2', epoch: 'wireguard' }];
    assert.deepEqual(decide(seen('b2', now - 9000), memory, now, timing).seal, []);
    assert.deepEqual(decide(seen('b2', now + 10), memory, now, timing).seal, move);
  });
});

describe('a writing', () => {
  const peers = [{ name: 'b', advertised: said('b1', [third]) }];
  const plane = both('b', 'b1', third);

  test('is repeated as it is until it comes back', () => {
    const start = sight({
      target: third,
      plane,
      peers,
      advertised: said('a1', [third], [third], { serial: 7 }),
    });
    const first = decide(start, NO_MEMORY, now, timing);
    assert.equal(first.advertise?.serial, 8);
    const again = decide(start, first.memory, now + 1000, timing);
    assert.deepEqual(again.advertise, first.advertise);
    const back = decide({ ...start, advertised: first.advertise }, again.memory, now + 2000, timing);
    assert.equal(back.advertise, undefined);
  });

  test('is made anew when another one has come in between', () => {
    const start = sight({
      target: third,
      plane,
      peers,
      advertised: said('a1', [third], [third], { serial: 7 }),
    });
    const first = decide(start, NO_MEMORY, now, timing);
    const other = said('a1', [fourth], [fourth], { serial: 8 });
    const { advertise } = decide({ ...start, advertised: other }, first.memory, now, timing);
    assert.deepEqual([advertise?.serial, advertise?.opens.includes(third)], [9, true]);
  });

  test('that somebody has deleted is made again', () => {
    const start = sight({ target: third, plane, peers });
    const written = said('a1', [third], [third], { serial: 8 });
    assert.deepEqual(decide(start, { ...NO_MEMORY, written }, now, timing).advertise, written);
  });
});

describe('another key under the id that is in use', () => {
  test('is not opened, and what is in the way is named', () => {
    const advertised = said('a1', [third]);
    const peers = [{ name: 'b', advertised: said('b1', [third]) }];
    const start = sight({ target: otherThird, able: [third, otherThird], advertised, peers });
    const { sight: end, decisions } = follow({ ...start, plane: both('b', 'b1', third) });
    assert.deepEqual([decisions[0]!.goal, decisions[0]!.blockedBy], [third, third]);
    assert.deepEqual(end.plane.opens, both('b', 'b1', third).opens);
  });
});

describe('an old epoch', () => {
  const opens = [
    { peer: 'b', incarnation: 'b1', epoch: third, heardAt: now - 500 },
    { peer: 'b', incarnation: 'b1', epoch: fourth, heardAt: now - 500 },
  ];
  const plane: Plane = { ...EMPTY_PLANE, opens, seals: [{ peer: 'b', incarnation: 'b1', epoch: fourth }] };
  const peers = [{ name: 'b', advertised: said('b1', [fourth]) }];
  const advertised = said('a1', [fourth]);
  const memory = { ...NO_MEMORY, written: advertised };

  test('is closed when packets on their way have had their time', () => {
    const start = sight({ target: fourth, plane, peers, advertised });
    const first = decide(start, memory, now, timing);
    assert.deepEqual([first.close, first.wakeAt], [[], now + 2000]);
    const later = decide(start, first.memory, now + 2000, timing);
    assert.deepEqual(later.close, [{ peer: 'b', incarnation: 'b1', epoch: third }]);
  });

  test('stays while packets still come', () => {
    const start = sight({ target: fourth, plane, peers, advertised });
    const { memory: after } = decide(start, memory, now, timing);
    const heard = opens.map(way => (way.epoch === third ? { ...way, heardAt: now + 1500 } : way));
    const later = decide({ ...start, plane: { ...plane, opens: heard } }, after, now + 2000, timing);
    assert.deepEqual([later.close, later.wakeAt], [[], now + 3500]);
  });

  test('is refused after the bound to the peer that still seals with it', () => {
    const bounded = { ...timing, bound: 5000 };
    const behind = [{ name: 'b', advertised: said('b1', [third]) }];
    const own = said('a1', [third, fourth]);
    const start = sight({ target: fourth, plane: { ...plane, seals: [] }, peers: behind, advertised: own });
    const first = decide(start, { ...NO_MEMORY, written: own }, now, bounded);
    assert.deepEqual([first.overdue, first.wakeAt], [[], now + 5000]);
    const late = decide(start, first.memory, now + 5000, bounded);
    assert.deepEqual(late.overdue, [{ peer: 'b', epoch: third }]);
    assert.deepEqual([late.advertise?.opens, late.advertise?.refuses], [[fourth], [third]]);
  });
});
