import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Node } from '../kube/types.ts';
import type { Epoch } from '../model/epochs/epoch.ts';
import { newMasterKey, PROFILES } from '../proto/keys/generate.ts';
import { keyIdsInUse, moveText, moveTo, type NodeWord } from './advertised.ts';
import { KEY_SECRET, type KeySecret, newKeySecret, readKeySecret } from './keysecret.ts';
import { aliveNodes, judgeRotation, type RotationSight, SHORTEST_LIFE } from './rotation.ts';

const CREATED = Date.parse('2026-01-01T00:00:00Z');
const DAY = 86_400_000;
const key = newMasterKey(3, PROFILES['rfc4106-gcm-aes'], bytes =>
  Uint8Array.from({ length: bytes }, (_, i) => i),
);
const secret = readKeySecret(newKeySecret(KEY_SECRET, 'kube-system', key, new Date(CREATED)));
const bad: KeySecret = {
  name: KEY_SECRET,
  namespace: 'kube-system',
  uid: '',
  resourceVersion: '1',
  problem: 'line 1: bad',
};
const NEW: Epoch = `ipsec/3/${key.fingerprint}`;
const OLD: Epoch = 'ipsec/2/0123456789abcdef';

function node(name: string, opens: Epoch[], seals = opens, keyDue?: Epoch): NodeWord {
  const advertised = { incarnation: 'i'.repeat(36), serial: 1, opens, seals, refuses: [] };
  return { name, advertised, ...(keyDue && { keyDue }) };
}

function sight(change: Partial<RotationSight> = {}): RotationSight {
  const words = change.words ?? [node('a', [NEW]), node('b', [NEW])];
  const alive = new Set(words.map(({ name }) => name));
  return { now: CREATED + DAY, interval: 0, secret, words, alive, ...change };
}

describe('when to rotate', () => {
  it('never without a reason', () => {
    assert.deepEqual(judgeRotation(sight()), { what: 'rest' });
    assert.deepEqual(judgeRotation(sight({ interval: 2 * DAY })), { what: 'rest' });
    assert.deepEqual(judgeRotation(sight({ secret: undefined, interval: 1 })), { what: 'rest' });
    assert.deepEqual(judgeRotation(sight({ now: CREATED - DAY, interval: 1 })), { what: 'rest' });
  });

  it('by age', () => {
    const verdict = judgeRotation(sight({ interval: DAY }));
    assert.deepEqual(verdict, {
      what: 'rotate',
      cause: 'age',
      why: 'the key is 86400 s old, of 86400 at the most',
      id: 4,
    });
  });

  it('by use, of the current key only', () => {
    const words = [node('a', [NEW]), node('b', [NEW], [NEW], NEW)];
    const verdict = judgeRotation(sight({ words }));
    assert.deepEqual(verdict, { what: 'rotate', cause: 'use', why: 'an SA of b comes to its end', id: 4 });
    assert.deepEqual(judgeRotation(sight({ words: [node('a', [NEW], [NEW], OLD)] })), { what: 'rest' });
  });

  it('not while the nodes move, unless those that do not run', () => {
    const words = [node('a', [NEW], [NEW], NEW), node('b', [OLD, NEW], [NEW])];
    const held = judgeRotation(sight({ words }));
    assert.equal(held.what, 'hold');
    assert.match(
      held.what === 'hold' ? held.obstacle : '',
      /the nodes still move \(key 3: .*waiting for b\)/,
    );
    const verdict = judgeRotation(sight({ words, alive: new Set(['a']) }));
    assert.equal(verdict.what === 'rotate' && verdict.id, 4);
    assert.equal(judgeRotation(sight({ words, alive: new Set() })).what, 'hold');
  });

  it('to an id that nobody has in use, or not at all', () => {
    const dead = node('dead', ['ipsec/4/0123456789abcdef', OLD]);
    const words = [node('a', [NEW], [NEW], NEW), dead];
    const verdict = judgeRotation(sight({ words, alive: new Set(['a']) }));
    assert.equal(verdict.what === 'rotate' && verdict.id, 5);
    const all = Array.from({ length: 15 }, (_, i): Epoch => `ipsec/${i + 1}/0123456789abcdef`);
    const full = judgeRotation(
      sight({ words: [node('a', [NEW], [NEW], NEW), node('dead', all)], alive: new Set(['a']) }),
    );
    assert.equal(full.what, 'hold');
  });

  it('leaves a bad or missing Secret alone', () => {
    const words = [node('a', [OLD], [OLD], OLD)];
    for (const [found, obstacle] of [
      [bad, /no key that can be used: line 1: bad/],
      [undefined, /is not there/],
    ] as const) {
      const verdict = judgeRotation(sight({ words, secret: found }));
      assert.ok(verdict.what === 'hold' && !verdict.transient);
      assert.match(verdict.obstacle, obstacle);
    }
  });

  it('lets a key live for a while', () => {
    const words = [node('a', [NEW], [NEW], NEW)];
    assert.equal(judgeRotation(sight({ words, now: CREATED + SHORTEST_LIFE - 1 })).what, 'hold');
    assert.equal(judgeRotation(sight({ words, now: CREATED + SHORTEST_LIFE })).what, 'rotate');
    // A clock that was set back must not put it off for good.
    assert.equal(judgeRotation(sight({ words, now: CREATED - DAY })).what, 'rotate');
  });

  it('whatever nodes say: only when all that run have one epoch, and never to an id in use', () => {
    const epoch = fc.constantFrom<Epoch>('none', 'wireguard', OLD, NEW, 'ipsec/4/00000000000000ff');
    const word = fc
      .record({
        name: fc.constantFrom('a', 'b', 'c'),
        opens: fc.uniqueArray(epoch),
        seals: fc.uniqueArray(epoch),
        due: fc.option(epoch),
      })
      .map(({ name, opens, seals, due }) => node(name, opens, seals, due ?? undefined));
    const words = fc.uniqueArray(word, { selector: ({ name }) => name });
    const alive = fc.subarray(['a', 'b', 'c']).map(names => new Set(names));
    fc.assert(
      fc.property(words, alive, fc.constantFrom(0, DAY), (said, running, interval) => {
        const verdict = judgeRotation(sight({ words: said, alive: running, interval }));
        if (verdict.what !== 'rotate') return;
        const those = said.filter(({ name }) => running.has(name));
        assert.ok(those.length > 0);
        for (const { advertised } of those) {
          assert.deepEqual(advertised?.opens, [NEW]);
          assert.ok(advertised?.seals.every(each => each === NEW));
        }
        assert.ok(!keyIdsInUse(said).includes(verdict.id));
      }),
    );
  });
});

describe('a move', () => {
  it('tells who is how far', () => {
    const words = [
      node('a', [OLD]),
      node('b', [OLD, NEW]),
      node('c', [OLD, NEW], [NEW]),
      node('d', [NEW]),
      { name: 'e' },
    ];
    const move = moveTo(NEW, words);
    assert.deepEqual(move, {
      target: NEW,
      behind: ['a'],
      opening: ['b'],
      sealing: ['c'],
      done: ['d'],
      settled: false,
    });
    assert.equal(
      moveText(move),
      'key 3: 3/4 nodes open it, 2/4 seal with it alone, 1/4 have given up what was before; waiting for a',
    );
    assert.ok(moveTo(NEW, [node('d', [NEW])]).settled);
    assert.ok(moveTo(NEW, [node('alone', [NEW], [])]).settled);
    assert.ok(!moveTo(NEW, [{ name: 'e' }]).settled);
  });

  it('does not wait for nodes that do not run', () => {
    const ready = (name: string, status: 'True' | 'Unknown'): Node => ({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name },
      spec: {},
      status: { conditions: [{ type: 'Ready', status }] },
    });
    assert.deepEqual(
      [...aliveNodes([ready('a', 'True'), ready('b', 'Unknown'), { ...ready('c', 'True'), status: {} }])],
      ['a'],
    );
  });
});
