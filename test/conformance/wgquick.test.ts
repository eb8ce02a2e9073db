/** wg-quick(8), as people use it, with the engine where it would call wireguard-go. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeKeys, until } from '../engine/pair.ts';
import { type Place, World } from './world.ts';

const PROGRAM = join(import.meta.dirname, '../../bin/pellicle-engine');

/** Then wg-quick takes that. */
function kernelHasWireguard(place: Place): boolean {
  try {
    place.ip('link', 'add', 'probe', 'type', 'wireguard');
    place.ip('link', 'del', 'probe');
    return true;
  } catch {
    return false;
  }
}

test('wg-quick brings an interface up that all goes through, keeps what it learned, and takes it down again', async () => {
  await using world = new World();
  const [place, outside] = [world.place(), world.place()];
  world.join('veth', place, outside);
  place.ip('address', 'add', '192.0.2.1/24', 'dev', 'veth');
  outside.ip('address', 'add', '192.0.2.2/24', 'dev', 'veth');
  place.ip('route', 'add', 'default', 'via', '192.0.2.2');
  const keys = makeKeys();
  const peer = await world.engine(outside);
  await peer.set({
    privateKey: peer.keys.privateKey,
    listenPort: 2000,
    peers: [{ publicKey: keys.publicKey, allowedIps: ['10.9.0.1/32', 'fd09::1/128'] }],
  });
  outside.ip('link', 'set', peer.device, 'up');
  outside.ip('route', 'add', '10.9.0.1/32', 'dev', peer.device);
  outside.ip('-6', 'route', 'add', 'fd09::1/128', 'dev', peer.device);
  for (const address of ['203.0.113.5/32', '2001:db8:5::5/128'])
    outside.ip('address', 'add', address, 'dev', 'lo');

  const folder = mkdtempSync(join(tmpdir(), 'pellicle-wg-quick-'));
  const device = `wgq${process.pid}`;
  const socket = `/var/run/wireguard/${device}.sock`;
  const file = join(folder, `${device}.conf`);
  const quick = (verb: string) => {
    const environment = `WG_QUICK_USERSPACE_IMPLEMENTATION=${PROGRAM}`;
    return place.run('sh', '-c', `${environment} wg-quick ${verb} ${file} 2>&1`);
  };
  const rules = () =>
    place.run('ip', 'rule') + place.run('ip', '-6', 'rule') + place.run('nft', 'list', 'ruleset');
  const before = rules();
  try {
    const lines = [
      '[Interface]',
      `PrivateKey = ${keys.privateKey}`,
      'Address = 10.9.0.1/24, fd09::1/64',
      'MTU = 1380',
      'SaveConfig = true',
      '[Peer]',
      `PublicKey = ${peer.keys.publicKey}`,
      'AllowedIPs = 0.0.0.0/0, ::/0',
      'Endpoint = 192.0.2.2:2000',
      'PersistentKeepalive = 25',
    ];
    writeFileSync(file, `${lines.join('\n')}\n`, { mode: 0o600 });
    for (let turn = 0; turn < 2; turn++) {
      quick('up');
      assert.equal(existsSync(socket), !kernelHasWireguard(place));
      assert.match(place.run('ip', 'link', 'show', device), /mtu 1380/);
      assert.equal(place.ping('203.0.113.5'), 1);
      assert.equal(place.ping('2001:db8:5::5'), 1);
      assert.equal(
        await peer.whereIs(keys.publicKey),
        `192.0.2.1 ${place.run('wg', 'show', device, 'listen-port').trim()}`,
      );
      quick('down');
      await until('the engine is gone', () => !existsSync(socket));
      assert.equal(rules(), before);
      assert.match(readFileSync(file, 'utf8'), /ListenPort = \d+\nFwMark = 0x/);
    }
  } finally {
    if (existsSync(socket)) quick('down');
    rmSync(folder, { recursive: true });
  }
});
