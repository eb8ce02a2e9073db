import assert from 'node:assert/strict';
import { createCipheriv, randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { engineAddon } from './native.ts';

const { seal, open } = engineAddon();
const FRONT = Buffer.alloc(64, 0xee);
const BACK = Buffer.alloc(80, 0xee);

/** By OpenSSL's ready-made ChaCha20-Poly1305. */
function reference(key: Uint8Array, counter: bigint, plain: Uint8Array): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeBigUInt64LE(counter, 4);
  const cipher = createCipheriv('chacha20-poly1305', key, nonce, { authTagLength: 16 });
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const counter = fc.bigInt(0n, 2n ** 64n - 1n);

describe('sealing and opening', () => {
  test('packets of every length, as OpenSSL does, and leaves what is around them', () => {
    const key = randomBytes(32);
    for (let length = 0; length < 2100; length++) {
      const plain = randomBytes(length);
      const sealed = reference(key, BigInt(length), plain);
      assert.deepEqual(seal(key, BigInt(length), plain), Buffer.concat([FRONT, sealed]));
      assert.deepEqual(open(key, BigInt(length), sealed), [
        Buffer.concat([FRONT, sealed, BACK]),
        Buffer.concat([FRONT, plain]),
      ]);
    }
  });

  test('with any key and counter, up to the longest packet', () => {
    const plain = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.constantFrom(randomBytes(65_535), randomBytes(9000)),
    );
    fc.assert(
      fc.property(bytes(32), counter, plain, (key, count, packet) => {
        assert.deepEqual(seal(key, count, packet), Buffer.concat([FRONT, reference(key, count, packet)]));
      }),
    );
  });

  test('nothing opens that was changed, or is too short', () => {
    fc.assert(
      fc.property(
        bytes(32),
        counter,
        fc.uint8Array({ maxLength: 200 }),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (key, count, plain, where, change) => {
          const sealed = reference(key, count, plain);
          assert.ok(open(key, count, sealed));
          assert.equal(open(key, count ^ 1n, sealed), undefined);
          assert.equal(open(key, count, sealed.subarray(0, where % sealed.length)), undefined);
          sealed[where % sealed.length]! ^= change;
          assert.equal(open(key, count, sealed), undefined);
        },
      ),
    );
  });
});
