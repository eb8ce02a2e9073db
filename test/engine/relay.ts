/**
 * Somebody on the path: passes datagrams between two sides, plays them again, and changes copies of them.
 * Arguments: the port to listen at, and the two ends as address:port. Prints what it counted at SIGTERM.
 */
import { createSocket } from 'node:dgram';

const [port, ...ends] = process.argv.slice(2);
const [left, right] = ends.map(end => {
  const [address, endPort] = end.split(':');
  return { address: address!, port: Number(endPort) };
});
const marker = Buffer.from('PELLICLE-MARKER!');
const counted = { passed: 0, markers: 0 };
const socket = createSocket('udp4');
let earlier: Buffer = Buffer.alloc(0);

socket.on('message', (datagram, from) => {
  const to = from.port === left!.port && from.address === left!.address ? right! : left!;
  const send = (bytes: Uint8Array) => socket.send(bytes, to.port, to.address);
  counted.passed++;
  if (datagram.includes(marker)) counted.markers++;
  const changed = Buffer.from(datagram);
  changed[Math.floor(Math.random() * changed.length)]! ^= 1 << Math.floor(Math.random() * 8);
  send(changed);
  send(datagram);
  send(datagram);
  if (earlier.length > 0) send(earlier);
  send(datagram.subarray(0, Math.floor(Math.random() * datagram.length)));
  earlier = datagram;
});
socket.bind(Number(port), () => process.stdout.write('ready\n'));
process.once('SIGTERM', () => {
  process.stdout.write(`${JSON.stringify(counted)}\n`, () => process.exit(0));
});
