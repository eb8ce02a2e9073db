import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { DriverUnavailable, type WireGuardDesired } from './driver.ts';
import { WireGuardEngine } from './wireguard-engine.ts';

const folder = mkdtempSync(join(tmpdir(), 'engine-'));
/** What the engine answers to a `get`, and to a `set`. */
const answers = { get: '', set: '' };
const requests: string[] = [];
const server = createServer(socket => {
  socket.on('error', () => {});
  socket.once('data', data => {
    requests.push(String(data).split('\n')[0]!);
    socket.write(String(data).startsWith('get') ? answers.get : answers.set);
  });
});
before(() => new Promise<void>(resolve => server.listen(join(folder, 'wg0.sock'), resolve)));
after(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

const desired: WireGuardDesired = {
  ...{ device: 'wg0', listenPort: 51_871, mark: 0xe00, privateKey: Buffer.alloc(32, 7) },
  peers: [
    {
      name: 'b',
      publicKey: Buffer.alloc(32, 10).toString('base64'),
      endpoint: { address: '172.18.0.4', port: 51_871 },
      allowedIPs: ['10.244.2.0/24'],
      persistentKeepalive: 0,
    },
  ],
};
const KEY = `private_key=${'07'.repeat(32)}\n`;
const DEVICE = 'listen_port=51871\nfwmark=3584\n';
const PEER = `public_key=${'0a'.repeat(32)}\nendpoint=172.18.0.4:51871\nallowed_ip=10.244.2.0/24\n`;
const OK = 'errno=0\n\n';

test('a taken port is named with the remedy, and is worth trying again', async () => {
  Object.assign(answers, { get: OK, set: 'errno=-98\n\n' });
  await assert.rejects(engine().apply(desired), (error: DriverUnavailable) => {
    assert.ok(error instanceof DriverUnavailable);
    assert.equal(error.reason, 'PortTaken');
    const said = "UDP port 51871 of this node is taken: stop what listens on it (ss -lunp 'sport = :51871')";
    assert.equal(error.message, said);
    return true;
  });
});

test('drift is what somebody changed since, found by one question', async () => {
  const driver = engine();
  Object.assign(answers, { get: OK, set: OK });
  assert.equal(await driver.drifted(), false, 'before anything was applied');
  await driver.apply(desired);

  requests.length = 0;
  const drifted = (state: string) => {
    answers.get = state + OK;
    return driver.drifted();
  };
  assert.equal(await drifted(KEY + DEVICE + PEER), false);
  assert.deepEqual(requests, ['get=1']);
  assert.equal(await drifted(KEY + DEVICE), true, 'no peer');
  assert.equal(await drifted(DEVICE + PEER), true, 'no key');
  assert.equal(await drifted(KEY + DEVICE + PEER.replace('.4:', '.9:')), false, 'a peer that roamed');
});

function engine(): WireGuardEngine {
  return new WireGuardEngine({ device: 'wg0', directory: folder });
}
