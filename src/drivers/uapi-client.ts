/** A client of WireGuard's cross-platform UAPI: one request, one answer over a unix socket. */
import { connect } from 'node:net';
import { addressOf } from '../model/net.ts';
import { DriverUnavailable, type ObservedPeer, type WireGuardObserved } from './driver.ts';
import { hexToBase64, publicKeyOf } from './wireguard-keys.ts';

/** The engine refused. `errno` is positive, as in its answer. */
export class UapiError extends Error {
  override readonly name = 'UapiError';
  readonly errno: number;

  constructor(operation: string, errno: number) {
    super(`the WireGuard engine refused to ${operation} (errno ${errno})`);
    this.errno = errno;
  }
}

export interface UapiOptions {
  /** For connecting and for the whole answer; default 5000. */
  timeoutMs?: number;
}

/** Throws DriverUnavailable when there is no engine or no answer, UapiError when it refuses. */
export async function uapiGet(socket: string, options: UapiOptions = {}): Promise<WireGuardObserved> {
  const answer = await exchange(socket, 'get=1\n\n', options);
  checkErrno(answer, 'tell its state');
  return parseState(answer);
}

/** As uapiGet. Lines without the leading `set=1`. Nothing is sent for no lines. */
export async function uapiSet(socket: string, lines: string[], options: UapiOptions = {}): Promise<void> {
  if (lines.length === 0) return;
  checkErrno(await exchange(socket, `set=1\n${lines.join('\n')}\n\n`, options), 'take its configuration');
}

const MOST_BYTES = 64 << 20;
const EOPNOTSUPP_LIKE = new Set(['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'EACCES']);

function exchange(path: string, request: string, { timeoutMs = 5000 }: UapiOptions): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect({ path });
  const chunks: Buffer[] = [];
  let bytes = 0;
  const fail = (reason: string) => {
    socket.destroy();
    reject(new DriverUnavailable(`the WireGuard engine at ${path} ${reason}`));
  };
  const timer = setTimeout(() => fail(`did not answer within ${timeoutMs} ms`), timeoutMs);
  socket.on('connect', () => socket.write(request));
  socket.on('data', chunk => {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > MOST_BYTES) fail('sent an answer without end');
    else if (endsAnswer(chunks)) {
      socket.destroy();
      resolve(Buffer.concat(chunks).toString('latin1'));
    }
  });
  socket.on('end', () => fail('hung up before it had answered'));
  socket.on('error', (error: NodeJS.ErrnoException) => {
    if (EOPNOTSUPP_LIKE.has(error.code ?? '')) fail(`is not there (${error.code})`);
    else fail(`cannot be asked (${error.message})`);
  });
  return promise.finally(() => clearTimeout(timer));
}

function endsAnswer(chunks: Buffer[]): boolean {
  const tail = Buffer.concat(chunks.slice(-2)).subarray(-2);
  return tail.length === 2 && tail[0] === 0x0a && tail[1] === 0x0a;
}

function checkErrno(answer: string, operation: string): void {
  const found = /(?:^|\n)errno=(-?\d+)\n\n$/.exec(answer);
  const errno = found ? Math.abs(Number(found[1])) : Number.NaN;
  if (errno !== 0) throw new UapiError(operation, errno);
}

function parseState(answer: string): WireGuardObserved {
  const state: WireGuardObserved = { listenPort: 0, mark: 0, peers: [] };
  let peer: ObservedPeer | undefined;
  let seconds = 0;
  for (const line of answer.split('\n')) {
    const equals = line.indexOf('=');
    const key = line.slice(0, equals);
    const value = line.slice(equals + 1);
    if (key === 'public_key') {
      peer = {
        publicKey: hexToBase64(value),
        allowedIPs: [],
        persistentKeepalive: 0,
        receivedBytes: 0,
        sentBytes: 0,
      };
      state.peers.push(peer);
    } else if (!peer) {
      if (key === 'private_key' && /[1-9a-f]/.test(value))
        state.publicKey = publicKeyOf(Buffer.from(value, 'hex'));
      else if (key === 'listen_port') state.listenPort = Number(value);
      else if (key === 'fwmark') state.mark = Number(value);
    } else if (key === 'endpoint') {
      const endpoint = parseEndpoint(value);
      if (endpoint) peer.endpoint = endpoint;
    } else if (key === 'allowed_ip') peer.allowedIPs.push(value);
    else if (key === 'persistent_keepalive_interval') peer.persistentKeepalive = Number(value);
    else if (key === 'last_handshake_time_sec') seconds = Number(value);
    else if (key === 'last_handshake_time_nsec') {
      const at = seconds * 1000 + Math.floor(Number(value) / 1e6);
      if (at > 0) peer.lastHandshake = at;
    } else if (key === 'rx_bytes') peer.receivedBytes = Number(value);
    else if (key === 'tx_bytes') peer.sentBytes = Number(value);
  }
  return state;
}

function parseEndpoint(text: string): { address: string; port: number } | undefined {
  const found = /^\[?([^\]]+)\]?:(\d+)$/.exec(text);
  const address = found && addressOf(found[1]!);
  return address ? { address, port: Number(found![2]) } : undefined;
}
