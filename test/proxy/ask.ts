/** `ask.ts tcp|udp ADDRESS PORT TIMES [SOURCE-PORT]`: prints what each try was answered, or the code of its error, one a line. */
import { createSocket } from 'node:dgram';
import { connect, isIPv6 } from 'node:net';

const [protocol, address = '', port, times, sourcePort] = process.argv.slice(2);
for (let index = 0; index < Number(times); index++)
  console.log(await (protocol === 'udp' ? overUdp() : overTcp()).catch(error => error.code ?? String(error)));

function overTcp(): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port: Number(port), timeout: 2000 });
    let text = '';
    socket.on('data', chunk => {
      text += chunk;
    });
    socket.on('end', () => resolve(text));
    socket.on('timeout', () => reject(new Error('timeout')));
    socket.on('error', reject);
  });
}

function overUdp(): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    const timer = setTimeout(() => done(() => reject(new Error('timeout'))), 2000);
    const done = (tell: () => void) => {
      clearTimeout(timer);
      socket.close();
      tell();
    };
    socket.on('message', message => done(() => resolve(message.toString())));
    socket.on('error', error => done(() => reject(error)));
    socket.bind(Number(sourcePort), () => socket.connect(Number(port), address, () => socket.send('?')));
  });
}
