/** What time does to sessions, with a clock that runs 60 times as fast. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { answered, Pair, type Side, until } from './pair.ts';
import { spawned } from './watched.ts';

const FAST = [process.execPath, join(import.meta.dirname, 'fast-engine.ts')];

/** How many keypairs the side has had so far, as it initiated them or not. */
function watchKeys(side: Side): { count: number } {
  const seen = { count: 0 };
  side.process.stderr?.on('data', chunk => {
    seen.count += String(chunk).split('has new keys').length - 1;
  });
  return seen;
}

describe('time', () => {
  test('brings new keys every two minutes, without a lost packet', async () => {
    await using pair = new Pair();
    const { left, right } = pair;
    await pair.connect(FAST, FAST);
    const keys = watchKeys(left);
    const { status: ping } = spawned(left, 'ping', '-n', '-c', '900', '-i', '0.005', right.inner4);
    await ping.closed;
    assert.equal(answered(ping.output(), 850), 850);
    await until('three keypairs in four and a half minutes', () => keys.count >= 3);
  });

  test('counts in messages, too: a keypair is renewed, and never used beyond its limit', async () => {
    await using pair = new Pair();
    const { left, right } = pair;
    await pair.connect([...FAST, '--few-messages'], FAST);
    const keys = watchKeys(left);
    const { status: ping } = spawned(left, 'ping', '-n', '-c', '450', '-i', '0.002', right.inner4);
    await ping.closed;
    assert.equal(answered(ping.output(), 420), 420);
    await until('it was renewed', () => keys.count >= 3);

    // More at once than a keypair may seal: what is over waits for the next one.
    left.run('ping', '-n', '-q', '-f', '-c', '1000', right.inner4);
    assert.equal((await right.statistics())['drop_expired'], 0);
  });

  test('ends a session that nobody used, and begins another when somebody does', async () => {
    await using pair = new Pair();
    const { left, right } = pair;
    await pair.connect(FAST, FAST);
    const keys = watchKeys(left);
    assert.equal(left.ping(right.inner4, 2), 2);
    // Three minutes and a half: the session is over, and nothing was there to renew it for.
    await delay(3500);
    const before = keys.count;
    assert.equal(left.ping(right.inner4, 2), 2);
    await until('new keys', () => keys.count > before);
  });

  test('makes the side that only receives say that it is there', async () => {
    await using pair = new Pair();
    const { left, right } = pair;
    await pair.connect(FAST, FAST);
    assert.equal(left.ping(right.inner4, 1), 1);
    const listener = right.spawn(
      process.execPath,
      '-e',
      `require('node:dgram').createSocket('udp4').bind(4444, '${right.inner4}', () => console.log('bound'));`,
    );
    try {
      await new Promise(resolve => listener.stdout?.once('data', resolve));
      // New keys may be due meanwhile, whose handshake speaks for the other side: then it is tried again.
      await until(
        'a keepalive, and nothing else',
        async () => {
          await settled(left);
          const before = (await left.peer()).rxBytes;
          left.run('bash', '-c', `echo hello > /dev/udp/${right.inner4}/4444`);
          await settled(left);
          return (await left.peer()).rxBytes === before + 32;
        },
        60,
      );
    } finally {
      listener.kill('SIGKILL');
    }
  });

  test('makes the side that gets no answer begin anew', async () => {
    await using pair = new Pair();
    const { left, right } = pair;
    await pair.connect(FAST, FAST);
    assert.equal(left.ping(right.inner4, 1), 1);
    await right.kill();
    await right.start(FAST);
    // It knows no endpoint and has no keys: the other one has to notice.
    right.configure(left);
    right.bringUp();
    await until('traffic', () => left.ping(right.inner4, 1) === 1);
  });
});

/** Waits until nothing more is to be said about what went before: keepalives are due within 10 s of their time. */
async function settled(side: Side): Promise<void> {
  let before = -1;
  await until('silence', async () => {
    const { rxBytes, txBytes } = await side.peer();
    const isSettled = before === rxBytes + txBytes;
    before = rxBytes + txBytes;
    await delay(300);
    return isSettled;
  });
}
