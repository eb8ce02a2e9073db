/**
 * Shakes hands with a responder on 127.0.0.1 as fast as it answers, a few at a time, each as another peer.
 * Arguments: port and public key (hex) of the responder; the private keys (hex) come by standard input, one a line.
 * Prints the seconds that all answers took, or nothing if some never came.
 */
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { text } from 'node:stream/consumers';
import { MacSigner } from '../../src/proto/wireguard/cookie.ts';
import { PrivateKey } from '../../src/proto/wireguard/crypto.ts';
import { encodeInitiation, MESSAGE_RESPONSE, messageType } from '../../src/proto/wireguard/messages.ts';
import { writeInitiation } from '../../src/proto/wireguard/noise.ts';
import { encodeTimestamp } from '../../src/proto/wireguard/tai64n.ts';

/** Below what responders take for an attack. */
const OUTSTANDING = 8;
const STALL_MS = 2_000;

const [port, publicKeyHex] = process.argv.slice(2);
const publicKey = Buffer.from(publicKeyHex!, 'hex');
const keys = (await text(process.stdin)).trim().split('\n');
const signer = new MacSigner(publicKey);
const messages = keys.map((key, senderIndex) => {
  const local = new PrivateKey(Buffer.from(key, 'hex'));
  const written = writeInitiation({
    local,
    remote: { publicKey, staticStatic: local.agree(publicKey) },
    ephemeral: new PrivateKey(randomBytes(32)),
    payload: encodeTimestamp(Date.now() / 1000, 0),
  });
  if (!written) throw new Error('the responder has a key of low order');
  const { ephemeral, encryptedStatic, encryptedPayload: encryptedTimestamp } = written.message;
  const message = encodeInitiation({ senderIndex, ephemeral, encryptedStatic, encryptedTimestamp });
  signer.sign(message, 0);
  return message;
});

const socket = createSocket('udp4');
let sent = 0;
let answered = 0;
const send = () => {
  const message = messages[sent++];
  if (message) socket.send(message, Number(port), '127.0.0.1');
};
const stalled = setTimeout(() => socket.close(), STALL_MS);
socket.on('message', message => {
  if (messageType(message) !== MESSAGE_RESPONSE) return;
  answered++;
  stalled.refresh();
  send();
  if (answered < messages.length) return;
  clearTimeout(stalled);
  console.log(Number(process.hrtime.bigint() - began) / 1e9);
  socket.close();
});
const began = process.hrtime.bigint();
for (let i = 0; i < OUTSTANDING; i++) send();
