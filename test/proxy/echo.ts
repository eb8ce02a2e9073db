/** `echo.ts NAME PORT`: says its name and the client's address over TCP and UDP, both families. Prints `up` when it listens. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';

const [name, port] = [process.argv[2], Number(process.argv[3])];
const server = createServer(socket => {
  socket.on('error', () => {});
  socket.end(`${name} ${plain(socket.remoteAddress ?? '')}`);
}).listen(port, '::');
const udp = createSocket({ type: 'udp6' });
udp.on('message', (_, from) => udp.send(`${name} ${plain(from.address)}`, from.port, from.address));
udp.bind(port, '::');
await Promise.all([once(server, 'listening'), once(udp, 'listening')]);
console.log('up');

function plain(address: string): string {
  return address.replace('::ffff:', '');
}
