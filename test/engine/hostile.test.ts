/** What strangers, and somebody on the path, can do. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { ENGINE, Pair, type Side, until } from './pair.ts';
import { transfer } from './transfer.ts';

const FAST = [process.execPath, join(import.meta.dirname, 'fast-engine.ts')];

/** May load no BPF program: what the kernel drops elsewhere comes to the engine. */
const WITHOUT_BPF = [
  'setpriv',
  '--bounding-set',
  '-bpf,-sys_admin',
  '--inh-caps',
  '-bpf,-sys_admin',
  ...ENGINE,
];

async function helper(side: Side, file: string, ...args: string[]): Promise<ChildProcess> {
  const child = side.spawn(process.execPath, join(import.meta.dirname, file), ...args);
  await once(child.stdout!, 'data');
  return child;
}

describe('on the outside', () => {
  for (const [where, program] of [
    ['by the kernel', ENGINE],
    ['by the engine', WITHOUT_BPF],
  ] as const)
    test(`garbage is dropped, counted, and harms nobody: ${where}`, async () => {
      await using pair = new Pair();
      const { left, right } = pair;
      await pair.connect(ENGINE, program);
      assert.equal(left.ping(right.inner4, 1), 1);
      const script = `
        const socket = require('node:dgram').createSocket('udp4');
        const { randomBytes } = require('node:crypto');
        const types = [0, 1, 2, 3, 4, 5, 255];
        let left = 2000;
        const next = () => {
          if (left-- === 0) return socket.close();
          const bytes = randomBytes([0, 1, 4, 15, 16, 31, 32, 33, 64, 92, 148, 149, 1452, 9000][left % 14]);
          if (bytes.length > 3) bytes.set([types[left % types.length], 0, 0, 0]);
          socket.send(bytes, ${right.port}, '${right.outer4}', next);
        };
        next();`;
      left.run(process.execPath, '-e', script);
      await until('it is counted', async () => {
        const counts = await right.statistics();
        const {
          drop_malformed: malformed = 0,
          drop_unknownIndex: unknown = 0,
          drop_badMac1: macs = 0,
        } = counts;
        return malformed > 1000 && unknown > 50 && macs > 10;
      });
      assert.equal(left.ping(right.inner4, 2), 2);
    });

  test('replays and changed datagrams are told apart from real ones', async () => {
    await using pair = new Pair();
    const { left, right } = pair;
    await Promise.all([left.start(FAST), right.start(FAST)]);
    const relay = await helper(
      left,
      'relay.ts',
      '51850',
      `${left.outer4}:${left.port}`,
      `${right.outer4}:${right.port}`,
    );
    for (const [side, other] of [
      [left, right],
      [right, left],
    ] as const) {
      side.configure(other, { endpoint: `${left.outer4}:51850` });
      side.bringUp();
    }
    assert.equal(left.ping(right.inner4, 20, { size: 1000 }), 20);
    await transfer(left, right, right.inner4, 1);
    left.run(
      'ping',
      '-c',
      '3',
      '-i',
      '0.05',
      '-p',
      Buffer.from('PELLICLE-MARKER!').toString('hex'),
      right.inner4,
    );
    const [mine, theirs] = await Promise.all([left.statistics(), right.statistics()]);
    for (const counts of [mine, theirs]) {
      assert.ok(counts['drop_replayed']! > 20, JSON.stringify(counts));
      assert.ok(counts['drop_badTag']! > 20);
    }
    let output = '';
    relay.stdout?.on('data', chunk => {
      output += chunk;
    });
    const closed = once(relay, 'close');
    relay.kill('SIGTERM');
    await closed;
    const { passed, markers } = JSON.parse(output) as { passed: number; markers: number };
    assert.ok(passed > 100, output);
    assert.equal(markers, 0);
  });

  test('a flood of initiations costs their senders a cookie, and the real peer gets through', async () => {
    await using pair = new Pair();
    const { left, right } = pair;
    await Promise.all([left.start(FAST), right.start(FAST)]);
    right.configure(left);
    right.bringUp();
    const publicKey = Buffer.from(right.keys.publicKey, 'base64').toString('hex');
    const flood = await helper(left, 'flood.ts', right.outer4, String(right.port), publicKey);
    try {
      await until('cookies are asked for', async () => {
        return ((await right.statistics())['handshake_drop_cookieRequired'] ?? 0) > 100;
      });
      left.configure(right, { endpoint: `${right.outer4}:${right.port}` });
      left.bringUp();
      await until('the real peer gets through', () => left.ping(right.inner4, 1) === 1);
    } finally {
      flood.kill('SIGKILL');
    }
  });
});
