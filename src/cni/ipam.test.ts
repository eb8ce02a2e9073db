import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AddressPool } from './ipam.ts';

test('gives every address of a /24 but .0, the gateway and .255', () => {
  const pool = new AddressPool('10.244.1.0/24', ['10.244.1.1']);
  const given = allocateAll(pool);
  assert.equal(given.length, 253);
  assert.equal(given[0], '10.244.1.2');
  assert.equal(given.at(-1), '10.244.1.254');
  assert.equal(new Set(given).size, 253);
});

test('an address that was released comes after every other one, in the order of release', () => {
  const pool = new AddressPool('10.0.0.0/29', ['10.0.0.1']);
  const [a, b] = [pool.allocate()!, pool.allocate()!];
  pool.release(b);
  pool.release(a);
  assert.deepEqual(allocateAll(pool), ['10.0.0.4', '10.0.0.5', '10.0.0.6', b, a]);
});

test('after a restart it goes on above what is in use', () => {
  const pool = new AddressPool('10.0.0.0/29', ['10.0.0.1'], ['10.0.0.4', '10.9.9.9']);
  assert.equal(pool.used, 1);
  pool.release('10.0.0.4');
  assert.deepEqual(allocateAll(pool), ['10.0.0.5', '10.0.0.6', '10.0.0.2', '10.0.0.3', '10.0.0.4']);
});

test('takes a wanted address once', () => {
  const pool = new AddressPool('10.0.0.0/24', ['10.0.0.1']);
  assert.ok(pool.take('10.0.0.9'));
  for (const address of ['10.0.0.9', '10.0.0.1', '10.0.0.0', '10.0.0.255', '10.0.1.5', 'fd00::1', 'x']) {
    assert.ok(!pool.take(address), address);
  }
});

test('a /64 costs nothing, wherever its addresses are', () => {
  const pool = new AddressPool('fd00:10:244:1::/64', ['fd00:10:244:1::1'], ['fd00:10:244:1:8000::']);
  assert.equal(pool.family, 6);
  assert.equal(pool.allocate(), 'fd00:10:244:1:8000::1');
  assert.ok(pool.take('fd00:10:244:1:ffff::'));
  assert.ok(!pool.take('fd00:10:244:1::'));
});

test('refuses what is no CIDR', () => {
  assert.throws(() => new AddressPool('10.244.1.0/33'), TypeError);
});

test('never gives an address twice, never loses one, and takes the longest free one', () => {
  const step = fc.oneof(fc.constant('allocate' as const), fc.nat(13));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), steps => {
      const pool = new AddressPool('10.0.0.0/28', ['10.0.0.1']);
      const used: string[] = [];
      const freed: string[] = [];
      for (const each of steps) {
        if (each === 'allocate') {
          const address = pool.allocate();
          assert.equal(address === undefined, used.length === 13);
          if (address === undefined) continue;
          assert.ok(!used.includes(address));
          if (freed.includes(address)) {
            assert.equal(address, freed.shift());
            assert.equal(used.length + freed.length, 12);
          }
          used.push(address);
        } else if (each < used.length) {
          const [address] = used.splice(each, 1);
          pool.release(address!);
          freed.push(address!);
        }
        assert.equal(pool.used, used.length);
      }
    }),
  );
});

function allocateAll(pool: AddressPool): string[] {
  const given: string[] = [];
  for (let address = pool.allocate(); address !== undefined; address = pool.allocate()) given.push(address);
  return given;
}
