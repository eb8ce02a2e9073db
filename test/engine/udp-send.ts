/** Sends datagrams in order. Arguments: own address and port, address and port to send to, then the datagrams in hex. */
import { createSocket } from 'node:dgram';

const [address, port, toAddress, toPort, ...datagrams] = process.argv.slice(2);
const socket = createSocket('udp4');
socket.bind(Number(port), address!, async () => {
  for (const hex of datagrams) {
    await new Promise(resolve => socket.send(Buffer.from(hex, 'hex'), Number(toPort), toAddress!, resolve));
  }
  socket.close();
});
