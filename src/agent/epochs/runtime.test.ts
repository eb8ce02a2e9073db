import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Advertisement } from '../../model/epochs/advertisement.ts';
import type { Epoch } from '../../model/epochs/epoch.ts';
import { EMPTY_PLANE, type Plane } from '../../model/epochs/plane.ts';
import type { Sight } from '../../model/epochs/sight.ts';
import { Epochs, timingOf } from './runtime.ts';

const KEY: Epoch = 'ipsec/3/0123456789abcdef';
const OTHER: Epoch = 'ipsec/4/fedcba9876543210';
const [MINE, THEIRS] = ['11111111-2222-3333-4444-555555555555', 'aaaaaaaa-2222-3333-4444-555555555555'];
const TIMING = timingOf(300_000);

function says(incarnation: string, ...epochs: Epoch[]): Advertisement {
  return { incarnation, serial: 1, opens: epochs, seals: epochs, refuses: [] };
}

/** A node with one peer, driven round by round over a plane and an API in memory. */
class Bench {
  readonly events: string[] = [];
  readonly failpoints: string[] = [];
  again = 0;
  now = 1_000_000;
  plane: Plane = EMPTY_PLANE;
  own: Advertisement | undefined;
  peer = says(THEIRS!, KEY);
  refusesToWrite = false;
  refusesToApply = false;
  readonly epochs = new Epochs({
    failpoint: name => this.failpoints.push(name),
    again: () => this.again++,
    now: () => this.now,
  });

  async round(target: Epoch): Promise<void> {
    const sight: Sight = {
      ...{ incarnation: MINE!, target, able: [KEY, OTHER] },
      advertised: this.own,
      peers: [{ name: 'b', advertised: this.peer }],
      plane: { ...this.plane, probes: this.epochs.probes },
    };
    await this.epochs.step(sight, TIMING, {
      apply: async plane => {
        if (this.refusesToApply) throw new Error('no device');
        this.plane = plane;
        this.events.push(
          `opens ${plane.opens.length} seals ${plane.seals.map(({ epoch }) => epoch.slice(0, 7))}`,
        );
      },
      publish: async advertisement => {
        if (this.refusesToWrite) throw new Error('no API');
        if (advertisement) this.events.push(`says ${advertisement.opens.map(epoch => epoch.slice(0, 7))}`);
        if (advertisement) this.own = advertisement;
        return true;
      },
    });
  }

  /** The peer is heard under all that is open. */
  hear(): void {
    this.plane = {
      ...this.plane,
      opens: this.plane.opens.map(opening => ({ ...opening, heardAt: this.now })),
    };
  }
}

test('it opens, then says so, then seals with what was heard', async () => {
  const bench = new Bench();
  await bench.round(KEY);
  assert.deepEqual(bench.events, ['opens 1 seals ']);
  assert.equal(bench.again, 1);
  await bench.round(KEY);
  await bench.round(KEY);
  assert.deepEqual(bench.events.slice(1), ['opens 1 seals ', 'says ipsec/3', 'opens 1 seals ']);
  assert.deepEqual(
    bench.epochs.probes.map(({ epoch }) => epoch),
    [KEY],
  );
  bench.hear();
  await bench.round(KEY);
  assert.equal(bench.events.at(-1), 'opens 1 seals ipsec/3');
});

test('a rotation passes every step in its order', async () => {
  const bench = new Bench();
  const rounds = async (target: Epoch) => {
    for (let i = 0; i < 6; i++) {
      await bench.round(target);
      bench.hear();
    }
  };
  await rounds(KEY);
  bench.failpoints.length = 0;
  bench.peer = says(THEIRS!, KEY, OTHER);
  await rounds(OTHER);
  bench.peer = says(THEIRS!, OTHER);
  await rounds(OTHER);
  bench.now += 10_000;
  await bench.round(OTHER);
  const steps = ['open', 'advertise', 'probe', 'seal', 'withdraw', 'close'];
  assert.deepEqual(
    bench.failpoints,
    steps.flatMap(step => [`before-${step}`, `after-${step}`]),
  );
  assert.deepEqual(
    bench.plane.opens.map(({ epoch }) => epoch),
    [OTHER],
  );
});

test('an API that is away keeps nothing else from being done, and is told of', async () => {
  const bench = new Bench();
  await bench.round(KEY);
  bench.refusesToWrite = true;
  await assert.rejects(bench.round(KEY), /no API/);
  assert.ok(!bench.events.some(event => event.startsWith('says')));
  bench.refusesToWrite = false;
  await bench.round(KEY);
  assert.deepEqual(bench.own?.opens, [KEY]);
});

test('what keeps failing is tried again at the pauses of who calls', async t => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const bench = new Bench();
  bench.refusesToApply = true;
  await assert.rejects(bench.round(KEY), /no device/);
  await assert.rejects(bench.round(KEY), /no device/);
  bench.again = 0;
  t.mock.timers.tick(3_600_000);
  assert.equal(bench.again, 0);
  bench.refusesToApply = false;
  await bench.round(KEY);
  await bench.round(KEY);
  await bench.round(KEY);
  assert.deepEqual(bench.own?.opens, [KEY]);
});

test('nothing new is no reason for another round', async () => {
  const bench = new Bench();
  for (let i = 0; i < 6; i++) {
    await bench.round(KEY);
    bench.hear();
  }
  bench.again = 0;
  await bench.round(KEY);
  assert.equal(bench.again, 0);
  bench.epochs.stop();
});
