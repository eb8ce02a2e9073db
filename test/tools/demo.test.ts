import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { it } from 'node:test';

const demo = join(import.meta.dirname, '../../tools/demo.sh');

for (const [args, message] of [
  [
    ['other'],
    /^LAB=other is not possible: the demo's pods run on kind-worker and kind-worker2; leave LAB out\n$/,
  ],
  [['kind', 'tls'], /^ENCRYPTION=tls is unknown: write wireguard or ipsec\n$/],
] as const)
  it(`the demo refuses ${args.join(' ')} before it makes anything`, () => {
    const { status, stdout, stderr } = spawnSync(demo, args, { encoding: 'utf8' });
    assert.equal(status, 2);
    assert.equal(stdout, '');
    assert.match(stderr, message);
  });
