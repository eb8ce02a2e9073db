/** The program as a person or a script calls it. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { ENGINE, exited, Pair, type Side, until, wg } from './pair.ts';
import { spawned } from './watched.ts';

const [NODE, PROGRAM] = ENGINE as [string, string];

function call(side: Side, ...args: string[]): { status: number | null; output: string; error: string } {
  const { status, stdout, stderr } = spawnSync('ip', ['netns', 'exec', side.netns, NODE, PROGRAM, ...args], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  return { status, output: stdout, error: stderr };
}

function hasDevice(side: Side): boolean {
  return side.run('ip', '-o', 'link').includes(` ${side.device}:`);
}

/** Ended with the side, if a test does not end it. */
async function startForeground(side: Side, ...args: string[]): Promise<ChildProcess> {
  await side.start(ENGINE, ...args);
  return side.process;
}

describe('pellicle-engine', () => {
  test('tells what it is and how it is called', () => {
    const run = (...args: string[]) => execFileSync(NODE, [PROGRAM, ...args], { encoding: 'utf8' });
    assert.match(run('--help'), /^Usage: pellicle-engine \[-f\]/);
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    assert.equal(run('--version'), `pellicle-engine ${version}\n`);
  });

  test('returns when device and socket are there, and ends when the socket is removed', async () => {
    await using pair = new Pair();
    const { left } = pair;
    assert.deepEqual(call(left, left.device), { status: 0, output: '', error: '' });
    assert.ok(hasDevice(left));
    assert.equal(statSync(left.socket).mode & 0o777, 0o600);
    assert.equal(wg('show', left.device, 'public-key'), '(none)\n');
    rmSync(left.socket);
    await until('the device is gone', () => !hasDevice(left));
  });

  test('in the background lets go of the output of whoever called it, unless a log is asked for', async () => {
    await using pair = new Pair();
    const { left } = pair;
    const outputOf = (level: string) => {
      const start = `LOG_LEVEL=${level} exec ip netns exec ${left.netns} ${NODE} ${PROGRAM} ${left.device}`;
      execFileSync('sh', ['-c', `${start} > ${log} 2>&1`], { timeout: 20_000 });
      const [pid] = left.run('ip', 'netns', 'pids', left.netns).trim().split('\n');
      const output = readlinkSync(`/proc/${pid}/fd/2`);
      rmSync(left.socket);
      return output;
    };
    const folder = mkdtempSync(join(tmpdir(), 'pellicle-engine-'));
    const log = join(folder, 'log');
    try {
      for (const [level, output] of [
        ['', '/dev/null'],
        ['silent', '/dev/null'],
        ['error', log],
      ] as const) {
        assert.equal(outputOf(level), output, level);
        await until('the device is gone', () => !hasDevice(left));
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('ends when the device is deleted, and on SIGTERM, and leaves nothing', async () => {
    await using pair = new Pair();
    const { left } = pair;
    const deleted = await startForeground(left);
    left.run('ip', 'link', 'del', left.device);
    assert.equal(await exited(deleted), 0);
    assert.ok(!existsSync(left.socket));

    const ended = await startForeground(left);
    ended.kill('SIGTERM');
    assert.equal(await exited(ended), 0);
    assert.ok(!existsSync(left.socket));
    assert.ok(!hasDevice(left));
  });

  test('leaves a persistent device, and takes it over again as it is', async () => {
    await using pair = new Pair();
    const { left } = pair;
    const first = await startForeground(left, '--persist');
    left.run('ip', 'address', 'add', '10.7.0.1/24', 'dev', left.device);
    left.run('ip', 'link', 'set', left.device, 'mtu', '1300', 'up');
    first.kill('SIGTERM');
    await exited(first);
    assert.match(left.run('ip', '-o', 'address', 'show', 'dev', left.device), /10\.7\.0\.1/);
    assert.match(left.run('ip', 'route', 'get', '10.7.0.9'), new RegExp(`dev ${left.device}`));

    const second = await startForeground(left);
    assert.match(left.run('ip', '-o', 'link', 'show', left.device), /mtu 1300/);
    await until('the port', () => !/listening port: 0|^$/.test(wg('show', left.device, 'listen-port')));
    second.kill('SIGKILL');
    await exited(second);
    assert.ok(hasDevice(left));
    const third = await startForeground(left);
    left.run('ip', 'link', 'del', left.device);
    assert.equal(await exited(third), 0);
  });

  test('says in one sentence what is wrong', async () => {
    await using pair = new Pair();
    const { left } = pair;
    const problems: [string[], RegExp][] = [
      [[], /one interface name is needed/],
      [['a', 'b'], /one interface name is needed/],
      [['a-name-of-sixteen'], /no interface name: 1 to 15/],
      [['wg%d'], /no interface name/],
      [['../wg0'], /no interface name/],
      [['--mtu', '10', 'wg0'], /--mtu has to be/],
      [['--nonsense', 'wg0'], /Unknown option '--nonsense'/],
      [[left.veth], /exists and is not a single-queue TUN device: delete it/],
      [['-f', left.veth], /exists and is not a single-queue TUN device: delete it/],
    ];
    for (const [args, expected] of problems) {
      const { status, error } = call(left, ...args);
      assert.equal(status, 1, args.join(' '));
      assert.match(error, expected);
      assert.equal(error.trim().split('\n').length, 1, error);
    }
    const running = await startForeground(left);
    const { status, error } = call(left, left.device);
    assert.equal(status, 1);
    assert.match(error, /in use by another process/);
    assert.ok(existsSync(left.socket));
    running.kill('SIGTERM');
    await exited(running);
  });

  test('says so when it may not, or cannot, have a TUN device', async () => {
    await using pair = new Pair();
    const { left } = pair;
    const bounded = spawnSync(
      'ip',
      ['netns', 'exec', left.netns, 'setpriv', '--bounding-set=-net_admin', NODE, PROGRAM, '-f', left.device],
      { encoding: 'utf8' },
    );
    assert.match(bounded.stderr, /CAP_NET_ADMIN/);
    const withDevice = (mount: string) => {
      const start = `exec ip netns exec ${left.netns} ${NODE} ${PROGRAM} -f ${left.device}`;
      return spawnSync('unshare', ['--mount', 'sh', '-c', `${mount} && ${start}`], { encoding: 'utf8' });
    };
    const hidden = withDevice('mount -t tmpfs none /dev/net');
    assert.match(hidden.stderr, /There is no \/dev\/net\/tun/);
    const fake = withDevice('mount -t tmpfs none /dev/net && touch /dev/net/tun');
    assert.match(fake.stderr, /\/dev\/net\/tun is not the TUN device: load the kernel module tun/);
    for (const { status } of [bounded, hidden, fake]) assert.equal(status, 1);
  });

  test('stays alive when its port is taken, says so, and takes the port when it is free', async () => {
    await using pair = new Pair();
    const { left } = pair;
    const engine = await startForeground(left);
    let log = '';
    engine.stderr?.on('data', chunk => {
      log += chunk;
    });
    const taker = left.spawn(
      NODE,
      '-e',
      `require('node:dgram').createSocket('udp4').bind(51777, () => console.log('bound'));`,
    );
    await new Promise(resolve => taker.stdout?.once('data', resolve));
    assert.throws(() => wg('set', left.device, 'listen-port', '51777'), /Address already in use/);
    left.bringUp();
    assert.throws(() => wg('set', left.device, 'listen-port', '51777'), /Address already in use/);
    await until('the log tells', () => log.includes('UDP port 51777 is taken by another program'));
    assert.notEqual(wg('show', left.device, 'listen-port').trim(), '51777');
    taker.kill('SIGKILL');
    await exited(taker);
    wg('set', left.device, 'listen-port', '51777', 'fwmark', '0xe00');
    assert.equal(wg('show', left.device, 'listen-port').trim(), '51777');
    assert.equal(wg('show', left.device, 'fwmark').trim(), '0xe00');
    engine.kill('SIGTERM');
    await exited(engine);
  });

  test('is quiet by itself: a new link sends nothing', async () => {
    await using pair = new Pair();
    const { left } = pair;
    const engine = await startForeground(left);
    const { status: dump } = spawned(left, 'tcpdump', '-n', '-l', '-i', 'any');
    left.run('sysctl', '-qw', 'net.ipv6.conf.all.forwarding=1');
    await until('tcpdump listens', () => dump.errors().includes('listening on'));
    left.bringUp();
    assert.equal(left.ping('10.9.0.99', 1), 0);
    await until('the ping is seen', () => dump.output().includes('10.9.0.99'));
    dump.process.kill('SIGTERM');
    await dump.closed;
    const ours = dump
      .output()
      .split('\n')
      .filter(line => line.includes(left.device));
    assert.ok(ours.length > 0);
    assert.deepEqual(
      ours.filter(line => !line.includes('ICMP echo request')),
      [],
    );
    engine.kill('SIGTERM');
    await exited(engine);
  });
});
