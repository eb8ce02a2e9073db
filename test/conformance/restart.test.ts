/** What a peer remembers of an engine that was killed, and an engine of itself. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { fromHex, toHex } from '../../src/proto/bytes.ts';
import { encodeTimestamp } from '../../src/proto/wireguard/tai64n.ts';
import { ENGINE, endpointOf, Pair, until } from '../engine/pair.ts';

test('an engine that starts again after the clock was set back is not refused', async () => {
  await using pair = new Pair();
  const { left, right } = pair;
  const file = left.socket.replace(/sock$/, 'timestamp');
  const start = async () => {
    await left.start(ENGINE, '--persist');
    left.configure(right, { endpoint: endpointOf(right) });
    left.bringUp();
  };
  try {
    await right.start(ENGINE);
    right.configure(left);
    right.bringUp();
    // As if the clock had been an hour ahead once, and were right again now.
    const ahead = toHex(encodeTimestamp(Date.now() / 1000 + 3600, 0));
    writeFileSync(file, `${ahead}\n`);
    await start();
    assert.equal(left.ping(right.inner4, 1), 1);
    await until('the label is kept', () => readFileSync(file, 'latin1').trim() > ahead);
    assert.equal(fromHex(readFileSync(file, 'latin1').trim())?.length, 12);

    await left.kill();
    await start();
    assert.equal(left.ping(right.inner4, 1), 1);
    assert.equal((await right.statistics())['handshake_drop_replayedInitiation'], 0);

    // An engine that remembers nothing is refused: that is what the file is for.
    await left.kill();
    rmSync(file);
    await start();
    assert.equal(left.ping(right.inner4, 1), 0);
    await until(
      'it is refused',
      async () => (await right.statistics())['handshake_drop_replayedInitiation']! >= 1,
    );
  } finally {
    rmSync(file, { force: true });
  }
});

test('an engine whose device does not outlive it leaves no file behind', async () => {
  await using pair = new Pair();
  const { left, right } = pair;
  await pair.connect();
  assert.equal(left.ping(right.inner4, 1), 1);
  await left.stop();
  assert.ok(!existsSync(left.socket.replace(/sock$/, 'timestamp')));
});
