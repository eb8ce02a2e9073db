/** Configurations that are big, odd or replaced, and answers that do not fit into one piece. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { makeKeys, until, wg } from '../engine/pair.ts';
import { type Interface, type Place, World } from './world.ts';

const count = (length: number) => Array.from({ length }, (_, i) => i);

/** By `wg setconf`, as a person does it. */
function configure(engine: Interface, lines: readonly string[]): void {
  const folder = mkdtempSync(join(tmpdir(), 'pellicle-conformance-'));
  try {
    writeFileSync(join(folder, 'wg.conf'), `${lines.join('\n')}\n`, { mode: 0o600 });
    wg('setconf', engine.device, join(folder, 'wg.conf'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The allowed IPs that wg shows, by peer. */
function shown(engine: Interface): Map<string, string[]> {
  const lines = wg('show', engine.device, 'allowed-ips').trim().split('\n');
  return new Map(lines.map(line => [line.split('\t')[0]!, line.split('\t')[1]!.split(' ')]));
}

describe('wg shows all of', () => {
  test('one peer with 130,560 allowed IPs', async () => {
    await using world = new World();
    const engine = await world.engine(world.place());
    const { publicKey } = makeKeys();
    const lines = count(255).flatMap(a =>
      count(256).map(
        b => `AllowedIPs = ${a + 1}.${b}.0.0/16, ${(a + 1).toString(16)}::${b.toString(16)}/128`,
      ),
    );
    configure(engine, [
      '[Interface]',
      `PrivateKey = ${makeKeys().privateKey}`,
      '[Peer]',
      `PublicKey = ${publicKey}`,
      ...lines,
    ]);
    const ranges = shown(engine).get(publicKey);
    assert.equal(ranges?.length, 255 * 256 * 2);
    assert.equal(new Set(ranges).size, 255 * 256 * 2);
  });

  test('forty peers with 52 each; thirty with none but the last; and one with 197 beside one with none', async () => {
    await using world = new World();
    const engine = await world.engine(world.place());
    const forty = count(40).map(
      a => [makeKeys().publicKey, count(52).map(b => `${a + 1}.${b + 1}.0.0/16`)] as const,
    );
    const peers = (all: readonly (readonly [string, readonly string[]])[]) =>
      all.flatMap(([publicKey, ranges]) => [
        '[Peer]',
        `PublicKey = ${publicKey}`,
        ...ranges.map(range => `AllowedIPs = ${range}`),
      ]);
    configure(engine, ['[Interface]', ...peers(forty)]);
    assert.deepEqual(shown(engine), new Map(forty.map(([key, ranges]) => [key, [...ranges]])));

    const thirty = count(30).map(
      i => [makeKeys().publicKey, i < 29 ? [] : ['255.2.3.4/32', 'abcd::255/128']] as const,
    );
    configure(engine, peers(thirty));
    const after = shown(engine);
    assert.equal(after.size, 30);
    assert.deepEqual(after.get(thirty[29]![0]), ['255.2.3.4/32', 'abcd::255/128']);
    assert.deepEqual(after.get(thirty[0]![0]), ['(none)']);
    assert.equal(wg('showconf', engine.device).split('[Peer]').length, 31);

    const [bare, many] = [makeKeys().publicKey, makeKeys().publicKey];
    const ranges = count(197).map(i => `abcd::${(i + 1).toString(16)}/128`);
    configure(
      engine,
      peers([
        [bare, []],
        [many, ranges],
      ]),
    );
    assert.deepEqual(
      shown(engine),
      new Map([
        [bare, ['(none)']],
        [many, ranges],
      ]),
    );
  });
});

test('an interface that is not there cannot be shown', () => {
  assert.throws(() => wg('show', 'wgc-nowhere'), /Unable to access interface/);
});

test('an endpoint with a scope can be shown in every namespace, and when its interface is gone', async () => {
  await using world = new World();
  const [place, elsewhere] = [world.place(), world.place()];
  world.join('scoped', place, elsewhere);
  const engine = await world.engine(place);
  const { publicKey } = makeKeys();
  await engine.set({ peers: [{ publicKey, endpoint: '[fe80::2%scoped]:1000' }] });
  const endpoint = (at: Place) => at.run('wg', 'show', engine.device, 'endpoints').trim().split('\t')[1];
  assert.equal(endpoint(place), '[fe80::2%scoped]:1000');
  assert.match(endpoint(elsewhere)!, /^\[fe80::2%\w+\]:1000$/);
  place.ip('link', 'del', 'scoped');
  for (const at of [place, elsewhere]) assert.equal(endpoint(at), '[fe80::2]:1000');
});

describe('allowed IPs', () => {
  test('that overlap are all kept, and go when others take their place', async () => {
    await using world = new World();
    const engine = await world.engine(world.place());
    const { publicKey } = makeKeys();
    for (const [ranges, next] of [
      [['0.0.0.0/0', '10.0.0.0/8', '100.0.0.0/10', '172.16.0.0/12', '192.168.0.0/16'], '0.0.0.0/0'],
      [['::/0', '1700::/111', '5000::/4', 'e000::/37', '9000::/75'], '::/0'],
    ] as const) {
      await engine.set({ peers: [{ publicKey, allowedIps: [...ranges] }] });
      assert.deepEqual(new Set(shown(engine).get(publicKey)), new Set(ranges));
      await engine.set({ peers: [{ publicKey, allowedIps: [next] }] });
      assert.deepEqual(shown(engine).get(publicKey), [next]);
    }
    await engine.set({ peers: [{ publicKey, remove: true }] });
    assert.equal(wg('show', engine.device, 'peers'), '');
  });

  test('lead to the most exact of many peers, and move whole between them', async () => {
    await using world = new World();
    const place = world.place();
    const sender = await world.engine(place);
    await sender.set({ privateKey: sender.keys.privateKey, listenPort: 1000 });
    place.ip('address', 'add', '10.9.0.1/32', 'dev', sender.device);
    place.ip('link', 'set', sender.device, 'up');
    place.ip('route', 'add', '10.0.0.0/8', 'dev', sender.device);
    // Whom a packet is for tells who is asked for a handshake: each peer listens at a port of its own.
    const peers = [makeKeys(), makeKeys(), makeKeys()].map((keys, i) => ({
      publicKey: keys.publicKey,
      endpoint: `127.0.0.1:${2001 + i}`,
    }));
    const [wide, middle, narrow] = peers as [(typeof peers)[0], (typeof peers)[0], (typeof peers)[0]];
    await sender.set({
      peers: [
        { ...wide, allowedIps: ['10.0.0.0/8'] },
        { ...middle, allowedIps: ['10.1.0.0/16'] },
        { ...narrow, allowedIps: ['10.1.1.0/24'] },
      ],
    });
    for (const [address, expected] of [
      ['10.1.1.1', [false, false, true]],
      ['10.1.2.1', [false, true, true]],
      ['10.2.1.1', [true, true, true]],
    ] as const) {
      place.ping(address, { wait: 0.1 });
      await until(`one peer more is asked, for ${address}`, async () => {
        const status = await Promise.all(peers.map(({ publicKey }) => sender.peer(publicKey)));
        return isDeepStrictEqual(
          status.map(({ txBytes }) => txBytes > 0),
          expected,
        );
      });
    }
    await sender.set({ peers: [{ publicKey: wide.publicKey, allowedIps: ['10.1.1.0/24'] }] });
    assert.deepEqual([...shown(sender).values()], [['10.1.1.0/24'], ['10.1.0.0/16'], ['(none)']]);
  });
});
