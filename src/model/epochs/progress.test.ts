import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Advertisement, EPOCHS_ANNOTATION, parseAdvertisement } from './advertisement.ts';
import type { Epoch } from './epoch.ts';
import { progress, settledOn } from './progress.ts';
import { calmRound } from './testcluster.ts';
import { Explorer } from './testexplorer.ts';
import { freshWorld, nameOf, TICK, type World } from './testworld.ts';

const third: Epoch = 'ipsec/3/defabc0123456789';
const fourth: Epoch = 'ipsec/4/ef0123456789abcd';

function says(name: string, opens: Epoch[], seals: Epoch[], refuses: Epoch[] = []) {
  const advertised: Advertisement = { incarnation: name, serial: 1, opens, seals, refuses };
  return { name, advertised };
}

describe('the progress of a rotation', () => {
  test('waits first for the nodes that lack the key', () => {
    const members = [says('a', [third, fourth], [third, fourth]), says('b', [third], [third]), { name: 'c' }];
    assert.deepEqual(progress(members, fourth), {
      target: fourth,
      stage: 'distribute',
      has: ['a'],
      lacks: ['b'],
      moved: [],
      older: [{ epoch: third, opens: ['a', 'b'], seals: ['a', 'b'], refuses: [] }],
      silent: ['c'],
    });
  });

  test('waits then for those that seal with the old one', () => {
    const members = [says('a', [third, fourth], [fourth]), says('b', [third, fourth], [third, fourth])];
    const { stage, has, moved, older } = progress(members, fourth);
    assert.deepEqual([stage, has, moved, older[0]?.seals], ['switch', ['a', 'b'], ['a'], ['b']]);
  });

  test('waits last for those that open the old one', () => {
    const { stage, older } = progress(
      [says('a', [third, fourth], [fourth]), says('b', [fourth], [fourth])],
      fourth,
    );
    assert.deepEqual([stage, older[0]?.opens], ['drain', ['a']]);
  });

  test('names who refuses what somebody seals with', () => {
    const members = [says('a', [fourth], [fourth], [third]), says('b', [third], [third])];
    const { stage, older } = progress(members, fourth);
    assert.deepEqual(
      [stage, older],
      ['distribute', [{ epoch: third, opens: ['b'], seals: ['b'], refuses: ['a'] }]],
    );
  });

  test('ends when nobody has to do with anything else', () => {
    const members = [says('a', [fourth], [fourth]), says('b', [fourth], [fourth]), { name: 'c' }];
    assert.equal(progress(members, fourth).stage, 'settled');
    assert.equal(settledOn(members), fourth);
    assert.equal(progress(members, third).stage, 'distribute');
  });

  test('has not begun while nobody says anything', () => {
    assert.equal(progress([{ name: 'a' }], third).stage, 'distribute');
    assert.equal(settledOn([{ name: 'a' }]), undefined);
    assert.equal(settledOn([]), undefined);
  });

  test('goes forward alone, from stage to stage, and ends', () => {
    const rules = { timing: { drain: TICK }, grain: 'decision', crashes: false } as const;
    const membersOf = ({ api }: World) => api.map((advertised, i) => ({ name: nameOf(i), advertised }));
    let world: World = { ...new Explorer(rules).settle(freshWorld(3, third)), target: fourth };
    assert.equal(settledOn(membersOf(world)), third);
    const stages = [progress(membersOf(world), fourth).stage];
    for (let round = 0; round < 20; round++) {
      world = calmRound(world, rules);
      stages.push(progress(membersOf(world), fourth).stage);
    }
    const order = ['distribute', 'switch', 'drain', 'settled'];
    const places = stages.map(stage => order.indexOf(stage));
    assert.deepEqual(
      places,
      places.toSorted((a, b) => a - b),
    );
    assert.equal(stages.at(-1), 'settled');
    assert.equal(settledOn(membersOf(world)), fourth);
  });

  test('reads what nodes write in the API', () => {
    const incarnation = '7c3e2c1e-0d0a-4d5e-9f3a-0123456789ab';
    const annotations = { [EPOCHS_ANNOTATION]: `serial=4 opens=${fourth} seals=${fourth}` };
    const advertised = parseAdvertisement(incarnation, annotations[EPOCHS_ANNOTATION]);
    assert.equal(settledOn([{ name: 'a', advertised }]), fourth);
  });
});
