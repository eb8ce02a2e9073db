import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import type { Epoch } from '../../model/epochs/epoch.ts';
import { EMPTY_PLANE, type Opening, type Plane, type Sealing } from '../../model/epochs/plane.ts';
import { Prober } from './prober.ts';

const EPOCH: Epoch = 'ipsec/3/0123456789abcdef';
const WAY: Sealing = { peer: 'b', incarnation: 'run', epoch: EPOCH };
const HANDSHAKE: Sealing = { peer: 'b', incarnation: '', epoch: 'wireguard' };

function rig(t: { after: (done: () => void) => void }) {
  mock.timers.enable({ apis: ['setTimeout'] });
  const state = { now: 0, sent: 0, heard: 0, openings: [] as Opening[] };
  const prober = new Prober({
    probe: async () => void state.sent++,
    listen: async () => state.openings,
    onHeard: () => state.heard++,
    now: () => state.now,
  });
  t.after(() => {
    prober.stop();
    mock.timers.reset();
  });
  const pass = async (milliseconds: number) => {
    for (let passed = 0; passed < milliseconds; passed += 200) {
      state.now += 200;
      mock.timers.tick(200);
      for (let i = 0; i < 20; i++) await Promise.resolve();
    }
  };
  return { prober, state, pass };
}

const trying = (way: Sealing): Plane => ({ ...EMPTY_PLANE, opens: [way], probes: [way] });

test('a peer is probed, after a moment, five times a second until it is heard, and that is told once', async t => {
  const { prober, state, pass } = rig(t);
  prober.follow(trying(WAY));
  assert.equal(state.sent, 0);
  await pass(1000);
  assert.ok(state.sent >= 4 && state.sent <= 5, String(state.sent));
  assert.equal(state.heard, 0);
  state.openings = [{ ...WAY, heardAt: 9 }];
  await pass(1000);
  assert.equal(state.heard, 1);
});

test('it goes on for a while when this end is content, as the other may not be, and then at the pace of heartbeats', async t => {
  const { prober, state, pass } = rig(t);
  prober.follow({ ...trying(WAY), opens: [{ ...WAY, heardAt: 9 }], seals: [WAY] });
  await pass(3000);
  const eager = state.sent;
  assert.ok(eager >= 13, String(eager));
  await pass(60_000);
  assert.ok(state.sent - eager >= 3 && state.sent - eager <= 5, String(state.sent - eager));
});

test('a peer that is away is probed more slowly after a while', async t => {
  const { prober, state, pass } = rig(t);
  prober.follow(trying(WAY));
  await pass(15_000);
  const eager = state.sent;
  await pass(20_000);
  assert.ok(state.sent - eager <= 11, String(state.sent - eager));
});

test('WireGuard is not probed but watched: each new handshake is told of until the traffic has moved', async t => {
  const { prober, state, pass } = rig(t);
  prober.follow(trying(HANDSHAKE));
  await pass(600);
  state.openings = [{ ...HANDSHAKE, heardAt: 1 }];
  await pass(600);
  state.openings = [{ ...HANDSHAKE, heardAt: 2 }];
  await pass(600);
  assert.deepEqual([state.sent, state.heard], [0, 2]);
  prober.follow({ ...trying(HANDSHAKE), seals: [HANDSHAKE] });
  state.openings = [{ ...HANDSHAKE, heardAt: 3 }];
  await pass(600);
  assert.equal(state.heard, 2);
});

test('an engine that is away stops nothing', async t => {
  const { prober, state, pass } = rig(t);
  state.openings = undefined as never;
  prober.follow(trying(WAY));
  await pass(600);
  state.openings = [{ ...WAY, heardAt: 1 }];
  await pass(400);
  assert.equal(state.heard, 1);
});
