/**
 * Floods a WireGuard port until it is killed, from many source addresses of this namespace.
 * Arguments: `initiations` that look right from outside (their mac1 is) or `garbage`; address, port and public key (hex) of
 * the victim; and the source addresses, separated by commas.
 */
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { MacSigner } from '../../src/proto/wireguard/cookie.ts';
import { encodeInitiation } from '../../src/proto/wireguard/messages.ts';

const BURST = 64;
const [kind, address, port, publicKey, sources] = process.argv.slice(2);
const signer = new MacSigner(Buffer.from(publicKey!, 'hex'));
const messages = Array.from({ length: 256 }, (_, i) => (kind === 'garbage' ? garbage(i) : initiation(i)));
const sockets = await Promise.all(
  sources!.split(',').map(async source => {
    const socket = createSocket('udp4');
    // Nobody reads the cookies that come back.
    socket.setMaxListeners(0).on('error', () => {});
    socket.bind(0, source);
    await once(socket, 'listening');
    return socket;
  }),
);
process.stdout.write('ready\n');
for (let turn = 0; ; turn++) {
  const socket = sockets[turn % sockets.length]!;
  for (let i = 0; i < BURST; i++)
    socket.send(messages[(turn * BURST + i) % messages.length]!, Number(port), address!);
  await new Promise(resolve => setImmediate(resolve));
}

function initiation(senderIndex: number): Uint8Array {
  const message = encodeInitiation({
    senderIndex,
    ephemeral: randomBytes(32),
    encryptedStatic: randomBytes(48),
    encryptedTimestamp: randomBytes(28),
  });
  signer.sign(message, 0);
  return message;
}

/** Every type there is and some there are not, at every kind of length; data messages for indexes of nobody. */
function garbage(number: number): Uint8Array {
  const bytes = randomBytes([4, 16, 32, 64, 92, 148, 600, 1452][number % 8]!);
  bytes.set([number % 6, 0, 0, 0]);
  return bytes;
}
