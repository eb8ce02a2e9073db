import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Fate, isData, isInClear, nonceOf, SimulatedNetwork, type SimulatedNode } from './testlink.ts';

type Command =
  | { readonly type: 'say'; readonly who: 0 | 1 }
  | { readonly type: 'roam'; readonly who: 0 | 1 }
  | { readonly type: 'restart'; readonly who: 0 | 1 }
  | { readonly type: 'wait'; readonly milliseconds: number }
  | { readonly type: 'replay'; readonly which: number };

const who = fc.constantFrom<0 | 1>(0, 1);
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ type: fc.constant('say' as const), who }) },
  { weight: 5, arbitrary: fc.record({ type: fc.constant('wait' as const), milliseconds: fc.nat(40_000) }) },
  { weight: 5, arbitrary: fc.record({ type: fc.constant('wait' as const), milliseconds: fc.nat(50) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('replay' as const), which: fc.nat(1000) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('roam' as const), who }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('restart' as const), who }) },
);

/** Lost, late, out of order, twice. */
const fate: fc.Arbitrary<Fate> = fc.oneof(
  { weight: 3, arbitrary: fc.constant([]) },
  { weight: 6, arbitrary: fc.nat(100).map(delay => [delay]) },
  { weight: 1, arbitrary: fc.nat(8000).map(delay => [delay]) },
  { weight: 1, arbitrary: fc.tuple(fc.nat(100), fc.nat(8000)) },
);

const story = fc.record({
  seed: fc.string(),
  commands: fc.array(command, { minLength: 1, maxLength: 60 }),
  fates: fc.array(fate, { minLength: 1, maxLength: 40 }),
});

test('whatever the network does: no packet twice, none in clear, no nonce again, and in the end a session', () => {
  fc.assert(
    fc.property(story, ({ seed, commands, fates }) => {
      const network = new SimulatedNetwork();
      const { a, b } = network.pair(seed);
      const nodes = [a, b] as const;
      let count = 0;
      network.fateOf = () => fates[count++ % fates.length]!;
      const said: [string[], string[]] = [[], []];
      const say = (from: 0 | 1) => {
        const text = `packet ${from}/${said[from].length}.`;
        said[from].push(text);
        network.say(nodes[from], nodes[1 - from]!, text);
      };

      for (const step of commands) {
        if (step.type === 'say') say(step.who);
        else if (step.type === 'wait') network.advance(step.milliseconds);
        else if (step.type === 'roam')
          nodes[step.who].endpoint = { ...nodes[step.who].endpoint, port: 1000 + count };
        else if (step.type === 'restart') network.restart(nodes[step.who]);
        else replayOne(network, step.which);
      }

      network.fateOf = () => [10];
      a.device.peer(b.device.publicKey!)!.setEndpoint(b.endpoint, network.now);
      settleDown(network, say);
      const lately = said.map(texts => texts.at(-1)!) as [string, string];
      assert.ok(b.received.includes(lately[0]), 'a reaches b');
      assert.ok(a.received.includes(lately[1]), 'b reaches a');
      assertKeysMatch(a, b);
      assertKeysMatch(b, a);
      for (const [i, node] of nodes.entries()) {
        assert.equal(new Set(node.received).size, node.received.length, 'no packet twice');
        for (const text of node.received) assert.ok(said[1 - i]!.includes(text), 'nothing that was not said');
      }
      assert.ok(!isInClear(network, 'packet'));
      assertNoncesOnce(network);
    }),
    { numRuns: 200 },
  );
});

/** The network is well again: both talk, for long enough that whatever was lost is found out. */
function settleDown(network: SimulatedNetwork, say: (from: 0 | 1) => void): void {
  for (let second = 0; second < 60; second++) {
    say(0);
    network.advance(500);
    say(1);
    network.advance(500);
  }
}

/** An attacker sends what was seen, from elsewhere. */
function replayOne(network: SimulatedNetwork, which: number): void {
  const seen = network.wire[which % Math.max(1, network.wire.length)];
  if (!seen) return;
  network.inject({ from: { address: '203.0.113.66', port: 666 }, to: seen.to, bytes: seen.bytes });
  network.wire.pop();
}

/** After a lost packet at the wrong moment the two may seal with different keypairs, but each opens the other's. */
function assertKeysMatch(from: SimulatedNode, to: SimulatedNode): void {
  const [there, back] = [from.device.peer(to.device.publicKey!)!, to.device.peer(from.device.publicKey!)!];
  const sealing = from.loop.currentKeypair(there)!;
  const opening = to.loop.keypairs(back).find(keypair => keypair.localIndex === sealing.remoteIndex)!;
  assert.deepEqual([sealing.sendKey, sealing.receiveKey], [opening.receiveKey, opening.sendKey]);
  assert.notEqual(sealing.initiator, opening.initiator);
  assert.ok(there.lastHandshake && back.lastHandshake);
}

function assertNoncesOnce(network: SimulatedNetwork): void {
  const nonces = network.wire.filter(isData).map(nonceOf);
  assert.equal(new Set(nonces).size, nonces.length, 'a nonce was used twice');
}
