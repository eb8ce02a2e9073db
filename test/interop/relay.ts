/**
 * A UDP socket inside a network namespace, held by a process of its own and driven over Node's IPC: the namespace is that
 * of the process. Messages in: `bind`, `send`, `close`. Messages out: `bound`, `datagram`.
 */
import { createSocket, type Socket } from 'node:dgram';

export type ToRelay =
  | { readonly type: 'bind'; readonly family: 4 | 6; readonly port: number }
  /** Bytes are base64; sent `times` times. */
  | {
      readonly type: 'send';
      readonly bytes: string;
      readonly address: string;
      readonly port: number;
      readonly times: number;
    };

export type FromRelay =
  | { readonly type: 'bound' }
  | { readonly type: 'datagram'; readonly bytes: string; readonly address: string; readonly port: number };

let socket: Socket | undefined;

process.on('message', (message: ToRelay) => {
  if (message.type === 'bind') bind(message.family, message.port);
  else {
    const bytes = Buffer.from(message.bytes, 'base64');
    for (let i = 0; i < message.times; i++) socket?.send(bytes, message.port, message.address);
  }
});
process.on('disconnect', () => process.exit());

function bind(family: 4 | 6, port: number): void {
  socket?.close();
  socket = createSocket(family === 4 ? 'udp4' : 'udp6');
  socket.on('message', (bytes, from) => {
    tell({ type: 'datagram', bytes: bytes.toString('base64'), address: from.address, port: from.port });
  });
  socket.bind(port, () => tell({ type: 'bound' }));
}

function tell(message: FromRelay): void {
  process.send?.(message);
}
