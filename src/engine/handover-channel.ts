/**
 * Messages with open files between two engines over a unix socket (unix(7), SCM_RIGHTS). Every call of a channel blocks: while
 * engines follow each other there is nothing else to be done, and nothing else may happen. Only the first message is waited
 * for beside other work, as anything may connect and say half a word.
 */
import { type LinuxAddon, linuxAddon, READABLE, WRITABLE } from '../linux/addon.ts';
import { systemError } from '../linux/system-error.ts';
import type { UnixConnection } from '../linux/unix-socket.ts';

/** In front of a message: "Plch", its length, how many descriptors come along. */
const MAGIC = 0x68636c50;
const HEADER_BYTES = 12;
const MAX_BYTES = 1 << 30;
const MAX_FIRST_BYTES = 4096;
/** That the kernel takes at once (SCM_MAX_FD is 253). */
const FDS_AT_ONCE = 250;
const MAX_FDS = 4 * FDS_AT_ONCE;

export interface Message {
  readonly bytes: Buffer;
  /** The receiver's to close. */
  readonly fds: number[];
}

/** The first message on a connection, without descriptors; undefined for what is none. Rejects when that is closed. */
export async function firstMessage(connection: UnixConnection): Promise<Buffer | undefined> {
  const header = await readWhole(connection, HEADER_BYTES);
  const { length, count } = (header && sizesOf(header)) ?? { length: 0, count: 1 };
  return count === 0 && length <= MAX_FIRST_BYTES ? readWhole(connection, length) : undefined;
}

/** Undefined at the end of the stream. */
async function readWhole(connection: UnixConnection, length: number): Promise<Buffer | undefined> {
  const whole = Buffer.alloc(length);
  for (let at = 0; at < length; ) {
    const { bytes, fds } = await connection.read(length - at);
    for (const fd of fds) linuxAddon().fdClose(fd);
    if (bytes.length === 0) return undefined;
    whole.set(bytes, at);
    at += bytes.length;
  }
  return whole;
}

/** Undefined for what is no header. */
function sizesOf(header: Buffer): { length: number; count: number } | undefined {
  const [length, count] = [header.readUInt32LE(4), header.readUInt32LE(8)];
  if (header.readUInt32LE() !== MAGIC || length > MAX_BYTES || count > MAX_FDS) return undefined;
  return { length, count };
}

export class Channel {
  readonly #addon: LinuxAddon = linuxAddon();
  readonly #fd: number;
  #isClosed = false;

  /** Takes a connected socket that does not block. */
  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Undefined when nobody listens there. Throws a system error. */
  static connect(path: string): Channel | undefined {
    const fd = linuxAddon().unixConnect(path);
    if (fd >= 0) return new Channel(fd);
    const failure = systemError(`connect to ${path}`, fd);
    if (failure.code === 'ENOENT' || failure.code === 'ECONNREFUSED') return undefined;
    throw failure;
  }

  /** Who is at the other end, by the kernel's word: the user of the process when it connected, or listened. */
  get uid(): number | undefined {
    const peer = this.#addon.unixPeer(this.#fd);
    return typeof peer === 'number' ? undefined : peer[1];
  }

  /** Throws when the other end is gone, or does not take it in time: `deadline` is of performance.now(). */
  send(bytes: Uint8Array, fds: readonly number[], deadline: number): void {
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt32LE(MAGIC);
    header.writeUInt32LE(bytes.length, 4);
    header.writeUInt32LE(fds.length, 8);
    this.#write(header, [], deadline);
    for (let at = 0; at < fds.length; at += FDS_AT_ONCE) {
      this.#write(Buffer.of(0), fds.slice(at, at + FDS_AT_ONCE), deadline);
    }
    this.#write(bytes, [], deadline);
  }

  /** Undefined at the end of the stream. Throws as `send` does. */
  receive(deadline: number): Message | undefined {
    const header = Buffer.alloc(HEADER_BYTES);
    const fds: number[] = [];
    if (!this.#read(header, fds, deadline)) return undefined;
    const sizes = sizesOf(header);
    if (!sizes) throw new Error('what came is no message of an engine');
    const { length, count } = sizes;
    const chunks = Buffer.alloc(Math.ceil(count / FDS_AT_ONCE));
    const bytes = Buffer.alloc(length);
    const isWhole = this.#read(chunks, fds, deadline) && this.#read(bytes, fds, deadline);
    if (isWhole && fds.length === count) return { bytes, fds };
    bytes.fill(0);
    for (const fd of fds) this.#addon.fdClose(fd);
    throw new Error('a message has no end');
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#addon.fdClose(this.#fd);
  }

  #write(bytes: Uint8Array, fds: number[], deadline: number): void {
    this.#mustBeOpen();
    for (let at = 0; at < bytes.length; ) {
      const sent = this.#addon.unixSend(this.#fd, bytes.subarray(at), at === 0 ? fds : []);
      if (sent >= 0) at += sent;
      else this.#waitAfter(sent, WRITABLE, 'send', deadline);
    }
  }

  /** False at the end of the stream. */
  #read(into: Buffer, fds: number[], deadline: number): boolean {
    this.#mustBeOpen();
    for (let at = 0; at < into.length; ) {
      const received = this.#addon.unixReceive(this.#fd, into.subarray(at), fds);
      if (received === 0) return false;
      if (received > 0) at += received;
      else this.#waitAfter(received, READABLE, 'read', deadline);
    }
    return true;
  }

  #mustBeOpen(): void {
    if (this.#isClosed) throw new Error('the other engine is not listened to any more');
  }

  #waitAfter(error: number, events: number, what: string, deadline: number): void {
    const failure = systemError(`${what} a message`, error);
    if (failure.code === 'EINTR') return;
    if (failure.code === 'ECONNRESET' || failure.code === 'EPIPE')
      throw new Error('the other engine has gone');
    if (failure.code !== 'EAGAIN') throw failure;
    const left = Math.ceil(deadline - performance.now());
    if (left <= 0) throw new Error(`the other engine did not let us ${what} in time`);
    this.#addon.fdWait(this.#fd, events, Math.min(left, 0x7fffffff));
  }
}
