/** Sends a pseudorandom megabytes-long stream over TCP between two sides and compares what arrived, byte for byte. */
import { createHash } from 'node:crypto';
import { type Side, until } from './pair.ts';

const SERVER = `
  const { createServer } = require('node:net');
  const { createHash } = require('node:crypto');
  createServer(socket => {
    const hash = createHash('sha256');
    socket.on('data', chunk => hash.update(chunk));
    socket.on('end', () => socket.end(hash.digest('hex')));
  }).listen(Number(process.argv[1]), process.argv[2], () => console.log('listening'));
`;
const CLIENT = `
  const { connect } = require('node:net');
  const { createCipheriv, createHash } = require('node:crypto');
  const [port, address, seed, megabytes] = process.argv.slice(1);
  const stream = createCipheriv('aes-128-ctr', Buffer.from(seed, 'hex'), Buffer.alloc(16));
  const hash = createHash('sha256');
  const socket = connect({ port: Number(port), host: address, allowHalfOpen: true });
  let left = Number(megabytes);
  const more = () => {
    while (left-- > 0) {
      const piece = stream.update(Buffer.alloc(1 << 20));
      hash.update(piece);
      if (!socket.write(piece)) return;
    }
    socket.end();
  };
  socket.on('connect', more);
  socket.on('drain', more);
  let answer = '';
  socket.on('data', chunk => { answer += chunk; });
  socket.on('end', () => console.log(JSON.stringify({ sent: hash.digest('hex'), received: answer })));
`;

type Place = Pick<Side, 'run' | 'spawn'>;

/** Throws unless the SHA-256 of what was sent is that of what came. */
export async function transfer(from: Place, to: Place, address: string, megabytes: number): Promise<void> {
  const port = '4100';
  const server = to.spawn(process.execPath, '-e', SERVER, port, address);
  try {
    let output = '';
    server.stdout?.on('data', chunk => {
      output += chunk;
    });
    await until('the server listens', () => output.includes('listening'));
    const seed = createHash('md5').update(address).digest('hex');
    const result = JSON.parse(
      from.run(process.execPath, '-e', CLIENT, port, address, seed, String(megabytes)),
    ) as { sent: string; received: string };
    if (result.sent !== result.received) throw new Error(`the stream to ${address} was changed on its way`);
  } finally {
    server.kill('SIGKILL');
  }
}
