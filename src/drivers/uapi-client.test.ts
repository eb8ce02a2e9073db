import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { DriverUnavailable } from './driver.ts';
import { UapiError, uapiGet, uapiSet } from './uapi-client.ts';
import { publicKeyOf } from './wireguard-keys.ts';

const folder = mkdtempSync(join(tmpdir(), 'uapi-'));
const path = join(folder, 'wg0.sock');
after(() => rmSync(folder, { recursive: true }));

const STATE = `private_key=${'07'.repeat(32)}
listen_port=51871
fwmark=3584
public_key=${'0a'.repeat(32)}
preshared_key=${'00'.repeat(32)}
endpoint=[fd00::3]:51871
last_handshake_time_sec=1700000000
last_handshake_time_nsec=500000000
tx_bytes=10
rx_bytes=20
persistent_keepalive_interval=25
allowed_ip=10.244.1.0/24
allowed_ip=fd00:1::/64
public_key=${'0b'.repeat(32)}
last_handshake_time_sec=0
last_handshake_time_nsec=0
protocol_version=1
errno=0

`;

test('a state is read, the private key only as its public half', async () => {
  await served(STATE, async () => {
    const state = await uapiGet(path);
    assert.deepEqual(state, {
      publicKey: publicKeyOf(Buffer.alloc(32, 7)),
      listenPort: 51_871,
      mark: 0xe00,
      peers: [
        {
          publicKey: Buffer.alloc(32, 10).toString('base64'),
          endpoint: { address: 'fd00::3', port: 51_871 },
          allowedIPs: ['10.244.1.0/24', 'fd00:1::/64'],
          persistentKeepalive: 25,
          lastHandshake: 1_700_000_000_500,
          sentBytes: 10,
          receivedBytes: 20,
        },
        {
          publicKey: Buffer.alloc(32, 11).toString('base64'),
          ...{ allowedIPs: [], persistentKeepalive: 0, receivedBytes: 0, sentBytes: 0 },
        },
      ],
    });
  });
});

test('an answer may come in pieces', async () => {
  await served(
    socket => {
      for (const [i, byte] of [...STATE].entries()) setTimeout(() => socket.write(byte), i / 20);
    },
    async () => assert.equal((await uapiGet(path)).peers.length, 2),
  );
});

test('a refusal is an error with its number', async () => {
  await served('errno=22\n\n', async () => {
    await assert.rejects(
      uapiSet(path, ['listen_port=x']),
      (error: UapiError) => error instanceof UapiError && error.errno === 22,
    );
    await assert.rejects(uapiGet(path), UapiError);
  });
});

test('an answer without errno is a refusal', async () => {
  await served('listen_port=1\n\n', () => assert.rejects(uapiGet(path), UapiError));
});

test('nobody there, nobody answering, hanging up: unavailable, with what happened', async () => {
  await assert.rejects(uapiGet(path), unavailable(/is not there \(ENOENT\)/));
  await served(
    () => {},
    () => assert.rejects(uapiGet(path, { timeoutMs: 50 }), unavailable(/did not answer within 50 ms/)),
  );
  await served(
    socket => socket.end('listen_port=1\n'),
    () => assert.rejects(uapiGet(path), unavailable(/hung up/)),
  );
});

test('no lines, no request', async () => {
  await uapiSet('/nonexistent', []);
});

function unavailable(says: RegExp) {
  return (error: unknown) => error instanceof DriverUnavailable && says.test(error.message);
}

async function served(
  answer: string | ((socket: Socket) => void),
  use: () => Promise<unknown>,
): Promise<void> {
  const server = createServer(socket => {
    socket.on('error', () => {});
    socket.once('data', () => (typeof answer === 'string' ? socket.write(answer) : answer(socket)));
  });
  await new Promise<void>(resolve => server.listen(path, resolve));
  try {
    await use();
  } finally {
    server.close();
    await new Promise(resolve => setImmediate(resolve));
    rmSync(path, { force: true });
  }
}
