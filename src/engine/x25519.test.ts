/** The addon's X25519 beside Node's own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { toHex } from '../proto/bytes.ts';
import { PrivateKey } from '../proto/wireguard/crypto.ts';
import { engineAddon } from './native.ts';

const { KeyPair } = engineAddon();
const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });

test('public keys and secrets are the same as Node’s, for any bytes', () => {
  fc.assert(
    fc.property(bytes32, bytes32, (key, point) => {
      const [native, node] = [new KeyPair(key), new PrivateKey(key)];
      assert.deepEqual(native.publicKey, node.publicKey);
      const [mine, theirs] = [native.agree(point), node.agree(point)];
      assert.equal(mine && toHex(mine), theirs && toHex(theirs));
      // More than once, with other points.
      assert.equal(toHex(native.agree(node.publicKey)!), toHex(node.agree(node.publicKey)!));
    }),
  );
});

test('a point of low order gives no secret, and a wiped key nothing at all', () => {
  const pair = new KeyPair(new Uint8Array(32).fill(7));
  assert.equal(pair.agree(new Uint8Array(32)), undefined);
  assert.equal(pair.agree(Uint8Array.of(1, ...new Array(31).fill(0))), undefined);
  assert.equal(pair.agree(new Uint8Array(31)), undefined);
  pair.wipe();
  pair.wipe();
  assert.throws(() => pair.agree(new Uint8Array(32).fill(9)), /wiped/);
  assert.throws(() => pair.reveal(), /wiped/);
  assert.throws(() => new KeyPair(new Uint8Array(31)), /32 bytes/);
});
