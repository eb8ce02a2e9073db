/** ESP between two engines: every suite, over both families, in IP itself and in UDP. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, statSync } from 'node:fs';
import { describe, test } from 'node:test';
import { suiteName } from '../../src/proto/esp/suite.ts';
import { PROFILES_UNDER_TEST } from '../../src/proto/esp/testsuites.ts';
import { ENCAPSULATED, EspPair, EspSide, GCM, makeEspKeys, outer, stateIn, stateOut } from './esp-pair.ts';
import { Pair, until } from './pair.ts';
import { transfer } from './transfer.ts';

describe('packets cross', () => {
  test('with every suite, over both families, in IP and in UDP', async () => {
    await using pair = await EspPair.connect();
    const { left, right } = pair;
    let spi = 100;
    for (const [index, suite] of PROFILES_UNDER_TEST.entries()) {
      for (const words of ['', ENCAPSULATED]) {
        const family = (index + (words ? 1 : 0)) % 2 === 0 ? 4 : 6;
        const options = { suite, spi: ++spi, family, words } as const;
        const what = `${suiteName(suite)} over IPv${family}${words && ' in UDP'}`;
        await pair.open(options);
        await pair.seal(options);
        for (const address of [right.side.inner4, right.side.inner6]) {
          assert.equal(left.side.ping(address, 3), 3, `${what}: ${address}`);
        }
        assert.equal(left.side.ping(right.side.inner4, 2, { size: 1345 }), 2, `${what}: 1373 bytes`);
        assert.equal((await right.state('in', spi)).packets >= 8, true, what);
      }
    }
    for (const side of [left, right]) assert.deepEqual((await side.list()).drops, {});
  });

  test('streams arrive as they were sent, both ways, in super-packets', async () => {
    await using pair = await EspPair.connect();
    const { left, right } = pair;
    let spi = 10;
    for (const words of ['', ENCAPSULATED]) {
      const options = { spi: ++spi, words };
      await pair.open(options);
      await pair.seal(options);
      await transfer(left.side, right.side, right.side.inner4, 30);
      await transfer(right.side, left.side, left.side.inner6, 30);
    }
    assert.deepEqual(
      (await right.list()).states.flatMap(({ drops }) => Object.keys(drops)),
      [],
    );
  });

  test('packets larger than the path arrive in fragments', async () => {
    await using pair = await EspPair.connect();
    const { left, right } = pair;
    for (const side of [left, right]) side.side.run('ip', 'link', 'set', side.device, 'mtu', '8000');
    assert.equal(left.side.ping(right.side.inner4, 2, { size: 7000 }), 2);
    assert.equal(left.side.ping(right.side.inner6, 2, { size: 7000 }), 2);
  });

  test('what the wire carries is ESP and nothing else', async () => {
    await using pair = await EspPair.connect();
    const { left, right } = pair;
    const capture = right.side.spawn('tcpdump', '-n', '-U', '-i', right.side.veth, '-c', '6', 'ip');
    let lines = '';
    let ready = '';
    capture.stdout?.on('data', chunk => {
      lines += chunk;
    });
    capture.stderr?.on('data', chunk => {
      ready += chunk;
    });
    await until('tcpdump listens', () => ready.includes('listening'));
    assert.equal(left.side.ping(right.side.inner4, 3), 3);
    await until('six packets', () => lines.split('\n').length > 6);
    for (const line of lines.trim().split('\n')) {
      assert.match(
        line,
        /192\.0\.2\.[12] > 192\.0\.2\.[12]: ESP\(spi=0x00000003,seq=0x[0-9a-f]+\), length \d+$/,
      );
    }
  });
});

describe('keys and counters', () => {
  test('a new key takes over in the middle of traffic: nothing is lost', async () => {
    await using pair = await EspPair.connect();
    const { left, right } = pair;
    const PINGS = 400;
    let output = '';
    const ping = left.side.spawn(
      'ping',
      '-n',
      '-i',
      '0.005',
      '-c',
      String(PINGS),
      '-W',
      '2',
      right.side.inner4,
    );
    ping.stdout?.on('data', chunk => {
      output += chunk;
    });
    const ended = once(ping, 'close');
    await until('pings go', () => output.includes('icmp_seq='));
    for (let spi = 4; spi < 14; spi++) {
      await pair.open({ spi });
      await pair.seal({ spi });
      // What was sealed with the old key has arrived when later pings were answered.
      const seen = output.split('\n').length;
      await until(
        'pings go on',
        () => output.split('\n').length > seen + 10 || output.includes('statistics'),
      );
      for (const [side, other] of [
        [left, right],
        [right, left],
      ] as const) {
        await side.change(
          `state delete src ${outer(side)} dst ${outer(other)} spi ${spi - 1} dir out`,
          `state delete src ${outer(other)} dst ${outer(side)} spi ${spi - 1} dir in`,
        );
      }
    }
    await ended;
    assert.match(output, new RegExp(`${PINGS} packets transmitted, ${PINGS} received, 0% packet loss`));
    for (const side of [left, right]) assert.deepEqual((await side.list()).drops, {});
  });

  test('a group of receivers is no peer, and no error', async () => {
    await using pair = await EspPair.connect({ words: '' });
    const { left } = pair;
    left.side.run('ip', 'route', 'add', '239.1.1.1/32', 'dev', left.device);
    left.side.ping('239.1.1.1', 2);
    const { drops } = await left.list();
    assert.ok(drops['multicast']! >= 2, 'among those that the kernel sends by itself');
    assert.equal(drops['XfrmOutNoStates'], undefined);
  });

  test('a state that comes back with its key goes on where it stopped', async () => {
    await using pair = await EspPair.connect();
    const { left, right } = pair;
    const keys = await pair.open({ spi: 7 });
    await pair.seal({ spi: 7 });
    assert.equal(left.side.ping(right.side.inner4, 5), 5);
    const before = await left.state('out', 7);
    const opened = await right.state('in', 7);
    await left.change(`state delete src ${outer(left)} dst ${outer(right)} spi 7 dir out`);
    left.side.ping(right.side.inner4, 1);
    assert.ok(((await left.list()).drops['XfrmOutNoStates'] ?? 0) > 0, 'nothing leaves without a state');
    // Not even by another SPI does a key start again.
    await left.change(stateOut(left, right, keys.leftToRight, { spi: 8, words: 'replay-oseq 1' }));
    assert.equal((await left.state('out', 8)).sequence, before.sequence);
    await left.change(`state delete src ${outer(left)} dst ${outer(right)} spi 8 dir out`);
    await left.change(stateOut(left, right, keys.leftToRight, { spi: 7 }));
    await right.change(
      `state delete src ${outer(left)} dst ${outer(right)} spi 7 dir in`,
      stateIn(right, left, keys.leftToRight, { spi: 7 }),
    );
    assert.ok((await right.state('in', 7)).sequence >= opened.sequence);
    assert.equal(left.side.ping(right.side.inner4, 3), 3);
    assert.ok((await left.state('out', 7)).sequence > before.sequence);
    assert.deepEqual((await right.state('in', 7)).drops, {});
  });

  test('at its limit a state stops and says so; before it, it says that a new key is due', async () => {
    await using pair = await EspPair.connect();
    const { left, right } = pair;
    const keys = await pair.open({ spi: 7 });
    await pair.seal({ spi: 7 });
    const limited = (limit: string) =>
      left.change(stateOut(left, right, keys.leftToRight, { spi: 7, words: limit }));
    await limited('limit packet-soft 3 packet-hard 8');
    assert.equal(left.side.ping(right.side.inner4, 2), 2);
    await until('due', async () => (await left.state('out', 7)).due);
    left.side.ping(right.side.inner4, 10);
    const stopped = await left.state('out', 7);
    assert.deepEqual([stopped.sequence, stopped.packets, stopped.expired], [8, 8, true]);
    assert.ok((stopped.drops['XfrmOutStateSeqError'] ?? 0) > 0);
    assert.equal((await right.state('in', 7)).packets, 8);
    await limited('limit byte-soft 100 byte-hard 100');
    left.side.ping(right.side.inner4, 1);
    assert.ok(((await left.state('out', 7)).drops['XfrmOutStateExpired'] ?? 0) > 0);
    await limited('');
    assert.equal(left.side.ping(right.side.inner4, 2), 2);
  });

  test('a probe is heard, and nothing else of it comes out', async () => {
    await using pair = await EspPair.connect();
    const { left, right } = pair;
    const before = await right.state('in');
    await left.change(`probe src ${outer(left)} dst ${outer(right)} spi 3`);
    await until('heard', async () => (await right.state('in')).packets > before.packets);
    const { lastUsed, bytes } = await right.state('in');
    assert.ok(Math.abs(lastUsed - Date.now()) < 5000);
    assert.equal(bytes, before.bytes);
    assert.deepEqual((await right.list()).drops, {});
  });
});

describe('the control socket', () => {
  test('a request is carried out whole or not at all', async () => {
    await using pair = await EspPair.connect();
    const { left, right } = pair;
    const before = await left.list();
    const keys = makeEspKeys(GCM);
    const refused = await left.request(
      stateOut(left, right, keys.leftToRight, { spi: 9 }),
      `policy set dst ${right.side.inner4}/32 src ${outer(left)} spi 9 to ${outer(right)}`,
      'local',
      `state delete src ${outer(left)} dst ${outer(right)} spi 77 dir in`,
    );
    assert.deepEqual(refused, {
      error: { line: 4, message: 'there is no state dir in src 192.0.2.1 dst 192.0.2.2 spi 0x4d' },
    });
    const { states, policies, local, run } = await left.list();
    assert.deepEqual([states.length, policies, local, run], [2, before.policies, before.local, before.run]);
    assert.equal(left.side.ping(right.side.inner4, 2), 2);
  });

  test('keys are shown to who asks for them, and to nobody else', async () => {
    await using pair = await EspPair.connect();
    const key = /0x([0-9a-f]{40})/.exec(JSON.stringify(await pair.left.request('list keys')));
    assert.ok(key);
    assert.ok(!JSON.stringify(await pair.left.list()).includes(key[1]!));
    assert.equal(statSync(pair.left.socket).mode & 0o777, 0o600);
    assert.equal(statSync('/var/run/pellicle').mode & 0o777, 0o700);
  });

  test('a port that is taken is said, and nothing changes', async () => {
    await using pair = await EspPair.connect();
    const { left, right } = pair;
    const server = left.side.spawn('nc', '-u', '-l', '-p', '4500', '-s', '0.0.0.0');
    await until('the port is taken', () => left.side.run('ss', '-uln').includes(':4500'));
    const refused = (await left.request(
      stateOut(left, right, makeEspKeys().leftToRight, { spi: 9, words: ENCAPSULATED }),
    )) as { error: { message: string } };
    assert.match(refused.error.message, /UDP port 4500: Address already in use/);
    assert.equal((await left.list()).states.length, 2);
    server.kill('SIGKILL');
  });
});

describe('the device', () => {
  test('outlives the engine, and drops what is sent to it while there is none', async () => {
    await using namespaces = new Pair();
    await using left = new EspSide(namespaces.left);
    await using right = new EspSide(namespaces.right);
    await Promise.all([left.start('--persist'), right.start()]);
    const keys = makeEspKeys();
    const configure = async (side: EspSide, other: EspSide, out: string, back: string) =>
      side.change(
        stateOut(side, other, out),
        stateIn(side, other, back),
        `policy set dst ${other.side.inner4}/32 src ${outer(side)} spi 3 to ${outer(other)}`,
        `local ${side.side.inner4}/32`,
      );
    await configure(left, right, keys.leftToRight, keys.rightToLeft);
    await configure(right, left, keys.rightToLeft, keys.leftToRight);
    assert.equal(left.side.ping(right.side.inner4, 2), 2);
    const { run } = await left.list();
    await left.kill();
    assert.match(left.side.run('ip', 'route', 'get', right.side.inner4), new RegExp(`dev ${left.device}`));
    assert.equal(left.side.ping(right.side.inner4, 1), 0);
    await left.start('--persist');
    assert.notEqual((await left.list()).run, run);
    const fresh = makeEspKeys();
    await configure(left, right, fresh.leftToRight, fresh.rightToLeft);
    await right.change('state flush');
    await configure(right, left, fresh.rightToLeft, fresh.leftToRight);
    assert.equal(left.side.ping(right.side.inner4, 2), 2);
    await left.stop();
    left.side.run('ip', 'link', 'del', left.device);
  });

  test('stands beside one for WireGuard; the engine ends when either goes', async () => {
    await using namespaces = new Pair();
    await using left = new EspSide(namespaces.left);
    await left.start(left.side.device);
    assert.ok(existsSync(left.side.socket));
    const { process: engine } = left;
    left.side.run('ip', 'link', 'del', left.device);
    await until('the engine ends', () => engine.exitCode === 0);
    assert.ok(!existsSync(left.side.socket) && !existsSync(left.socket));
  });
});
