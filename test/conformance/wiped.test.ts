/** Keys that are no longer needed are nowhere in the engine's memory, where they were as long as they were in use. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { toBase64 } from '../../src/proto/bytes.ts';
import { EspSide, stateIn, stateOut } from '../engine/esp-pair.ts';
import { Pair, until } from '../engine/pair.ts';
import { Liar } from './liar.ts';
import { inMemoryOf } from './memory.ts';
import { World } from './world.ts';

describe('when their peer is removed', () => {
  for (const initiator of ['liar', 'engine'] as const)
    test(`the keys of a session that ${initiator === 'engine' ? 'the engine' : 'the peer'} began`, async () => {
      await using world = new World();
      await using liar = await Liar.open(world, initiator);
      const { engine, core, keypair } = liar;
      const keys = { sending: keypair.receiveKey, receiving: keypair.sendKey };
      const pid = engine.process.pid!;
      assert.deepEqual(inMemoryOf(pid, keys).toSorted(), ['receiving', 'sending']);
      await engine.set({ peers: [{ publicKey: toBase64(core.device.publicKey!), remove: true }] });
      assert.deepEqual(inMemoryOf(pid, keys), []);
    });
});

test('when their state is deleted: the keys of ESP', async () => {
  await using namespaces = new Pair();
  await using left = new EspSide(namespaces.left);
  await using right = new EspSide(namespaces.right);
  await left.start();
  const keys = { out: randomBytes(36), in: randomBytes(36) };
  const algorithm = (key: Buffer) => `aead rfc4106(gcm(aes)) 0x${key.toString('hex')} 128`;
  await left.change(stateOut(left, right, algorithm(keys.out)), stateIn(left, right, algorithm(keys.in)));
  const pid = left.process.pid!;
  assert.deepEqual(inMemoryOf(pid, keys).toSorted(), ['in', 'out']);
  await left.change('state flush');
  await until('they are gone', () => inMemoryOf(pid, keys).length === 0);
});
