import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { overlap } from '../model/net.ts';
import { nextPodCIDR, type Pool, poolsOf } from './pool.ts';

const pool = (networks: string[], maskSize: number, family: 4 | 6 = 4): Pool => ({
  family,
  networks,
  maskSize,
});

describe('pod CIDR pool', () => {
  it('hands out the first free piece', () => {
    const ten = pool(['10.0.0.0/8'], 24);
    assert.equal(nextPodCIDR(ten, []), '10.0.0.0/24');
    assert.equal(nextPodCIDR(ten, ['10.0.0.0/24', '10.0.2.0/24']), '10.0.1.0/24');
    assert.equal(nextPodCIDR(ten, ['10.0.0.0/16', '10.1.0.128/25']), '10.1.1.0/24');
    assert.equal(nextPodCIDR(ten, ['10.0.0.5/32', 'fd00::/8', '192.168.0.0/16', 'garbage']), '10.0.1.0/24');
    assert.equal(nextPodCIDR(pool(['fd00::/104'], 120, 6), ['fd00::/120']), 'fd00::100/120');
  });

  it('goes on in the next network, and ends when all are used up', () => {
    const small = pool(['10.0.0.0/25', '10.1.0.0/24', '10.2.0.0/23'], 24);
    assert.equal(nextPodCIDR(small, []), '10.1.0.0/24');
    assert.equal(nextPodCIDR(small, ['10.1.0.0/24', '10.2.0.0/24']), '10.2.1.0/24');
    assert.equal(nextPodCIDR(small, ['10.1.0.0/24', '10.2.0.0/23']), undefined);
  });

  it('reads the configuration', () => {
    assert.deepEqual(
      poolsOf({ 'cluster-pool-ipv4-cidr': '10.0.0.0/8, 11.0.0.0/8', 'cluster-pool-ipv4-mask-size': '25' }),
      [{ family: 4, networks: ['10.0.0.0/8', '11.0.0.0/8'], maskSize: 25 }],
    );
    assert.deepEqual(poolsOf({}), []);
  });

  it('never hands out what overlaps, and uses up every piece', () => {
    const networks = fc.constantFrom<string[]>(['10.0.0.0/26'], ['10.0.0.0/27', '10.9.0.0/27']);
    const used = fc.array(
      fc
        .tuple(fc.integer({ min: 0, max: 63 }), fc.integer({ min: 26, max: 32 }))
        .map(([host, prefix]) => `10.0.0.${host}/${prefix}`),
      { maxLength: 6 },
    );
    fc.assert(
      fc.property(networks, used, (given, first) => {
        const taken = [...first];
        for (;;) {
          const next = nextPodCIDR(pool(given, 29), taken);
          if (!next) break;
          assert.ok(!taken.some(other => overlap(next, other)), `${next} overlaps ${taken}`);
          taken.push(next);
        }
        for (const whole of given)
          for (let host = 0; host < (whole.endsWith('/26') ? 64 : 32); host += 8) {
            const piece = whole.replace(/\d+\/\d+$/, `${host}/29`);
            assert.ok(
              taken.some(other => overlap(piece, other)),
              `${piece} was never handed out`,
            );
          }
      }),
    );
  });
});
