/** `exec` and `attach` over a WebSocket: a program's streams to and from the client. */
import { type WebSocket, WebSocketServer } from 'ws';
import { channel, exitStatus, failureStatus, frame, parseMessage, protocol } from './channels.ts';
import type { ExecSession } from './execute.ts';

/** Answers an upgrade request; the client must offer v5.channel.k8s.io. */
export function remoteCommands(): WebSocketServer {
  return new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: 16 << 20,
    handleProtocols: offered => (offered.has(protocol) ? protocol : false),
  });
}

/** When this much waits for a slow client, the program's output is no longer read. */
const mostBuffered = 1 << 20;

/** Until the program ends or the client goes; then both are ended. */
export async function serveSession(
  socket: WebSocket,
  session: ExecSession,
  wants: { stdin: boolean },
): Promise<void> {
  const { stdin, stdout, stderr, terminal } = session;
  let gone = false;
  socket.on('message', (data, isBinary) => {
    const message = parseMessage(isBinary ? (data as Buffer) : Buffer.from(data.toString()));
    if (message.kind === 'stdin' && wants.stdin) {
      if (stdin && !stdin.write(message.data)) {
        socket.pause();
        stdin.once('drain', () => socket.resume());
      }
    } else if (message.kind === 'stdinClosed' && wants.stdin) {
      if (terminal) terminal.write(Buffer.of(4));
      else stdin?.end();
    } else if (message.kind === 'resize') {
      terminal?.resize(message.columns, message.rows);
    }
  });
  socket.resume();
  const left = new Promise<void>(resolve => {
    socket.on('close', () => {
      gone = true;
      session.kill();
      resolve();
    });
  });
  socket.on('error', () => socket.terminate());
  const pumped = [pump(socket, stdout, channel.stdout), stderr && pump(socket, stderr, channel.stderr)];
  const code = await Promise.race([session.ended, left]);
  if (gone || code === undefined) return;
  await Promise.race([Promise.all(pumped), left]);
  finish(socket, exitStatus(code));
}

/** Tells a failure on the status channel. */
export function refuse(socket: WebSocket, message: string): void {
  socket.resume();
  finish(socket, failureStatus(message));
}

function finish(socket: WebSocket, status: object): void {
  socket.send(frame(channel.status, JSON.stringify(status)));
  socket.close(1000);
}

function pump(socket: WebSocket, stream: NodeJS.ReadableStream, number: number): Promise<void> {
  return new Promise(resolve => {
    stream.on('data', (chunk: Buffer) => {
      socket.send(frame(number, chunk), () => {
        if (socket.bufferedAmount < mostBuffered) stream.resume();
      });
      if (socket.bufferedAmount > mostBuffered) stream.pause();
    });
    stream.on('end', resolve).on('close', resolve).on('error', resolve);
  });
}
