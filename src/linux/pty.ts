/** Pseudo-terminals that a container runtime hands over (the console socket of runc and crun). */
import { constants } from 'node:os';
import { Duplex } from 'node:stream';
import { type LinuxAddon, linuxAddon, type Poll, READABLE, WRITABLE } from './addon.ts';
import { systemError } from './system-error.ts';
import { listenUnix, type UnixConnection } from './unix-socket.ts';

const CHUNK = 64 * 1024;

/** A unix socket for `--console-socket`: give `path` to the runtime, then await the terminal that it sends. */
export interface ConsoleSocket extends Disposable {
  readonly path: string;
  /** Rejects after `timeoutMs` (default 10 s) or on close. */
  terminal(timeoutMs?: number): Promise<Terminal>;
  /** Closes and unlinks the socket; a terminal already received lives on. */
  close(): void;
}

export function listenForConsole(path: string): ConsoleSocket {
  const addon = linuxAddon();
  const received = Promise.withResolvers<Terminal>();
  received.promise.catch(() => {}); // nobody may be waiting yet
  const server = listenUnix(path, 0o600, async connection => {
    try {
      received.resolve(await receiveTerminal(addon, connection));
    } catch (error) {
      received.reject(error);
    } finally {
      connection.close();
    }
  });
  const close = () => {
    server.close();
    received.reject(new Error(`the console socket ${path} was closed before a terminal came`));
  };
  const terminal = async (timeoutMs = 10_000) => {
    const timer = setTimeout(
      () => received.reject(new Error(`no terminal came over ${path} within ${timeoutMs} ms`)),
      timeoutMs,
    );
    try {
      return await received.promise;
    } finally {
      clearTimeout(timer);
    }
  };
  return { path, terminal, close, [Symbol.dispose]: close };
}

/**
 * The master side: what is written goes to the program, what the program prints is read. Ends when the last program
 * on the terminal is gone. Owns the descriptor.
 */
export class Terminal extends Duplex {
  readonly #addon: LinuxAddon;
  readonly #fd: number;
  readonly #poll: Poll;
  #wanted = 0;
  #pending: { bytes: Uint8Array; done: (error?: Error | null) => void } | undefined;

  constructor(fd: number) {
    super({ allowHalfOpen: true });
    this.#addon = linuxAddon();
    this.#fd = fd;
    this.#addon.fdNonBlocking(fd);
    this.#poll = new this.#addon.Poll(fd, () => this.#onReady());
  }

  /** The window's size in characters; the programs on the terminal get SIGWINCH. */
  resize(columns: number, rows: number): void {
    if (this.destroyed) return;
    const result = this.#addon.setWindowSize(this.#fd, columns, rows);
    if (result < 0) throw systemError('set the window size of the terminal', result);
  }

  override _read(): void {
    this.#want(this.#wanted | READABLE);
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#pending = { bytes: chunk, done };
    this.#writePending();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#poll.close();
    this.#addon.fdClose(this.#fd);
    this.#pending?.done(error ?? new Error('the terminal is gone'));
    this.#pending = undefined;
    done(error);
  }

  #want(events: number): void {
    if (this.destroyed || events === this.#wanted) return;
    this.#wanted = events;
    if (events === 0) this.#poll.stop();
    else this.#poll.start(events);
  }

  #onReady(): void {
    if (this.#pending) this.#writePending();
    if (!this.destroyed && this.#wanted & READABLE) this.#readSome();
  }

  #readSome(): void {
    const buffer = Buffer.allocUnsafe(CHUNK);
    const size = this.#addon.fdRead(this.#fd, buffer);
    if (size === -constants.errno.EAGAIN) return;
    if (size > 0) {
      if (!this.push(buffer.subarray(0, size))) this.#want(this.#wanted & ~READABLE);
      return;
    }
    this.#want(0);
    // Linux says EIO on the master once nobody has the other side open.
    if (size === 0 || size === -constants.errno.EIO) {
      this.push(null);
      this.end();
    } else this.destroy(systemError('read from the terminal', size));
  }

  #writePending(): void {
    const pending = this.#pending;
    if (!pending) return;
    const size = this.#addon.fdWrite(this.#fd, pending.bytes);
    if (size === -constants.errno.EAGAIN || (size >= 0 && size < pending.bytes.length)) {
      if (size > 0) pending.bytes = pending.bytes.subarray(size);
      this.#want(this.#wanted | WRITABLE);
      return;
    }
    this.#pending = undefined;
    this.#want(this.#wanted & ~WRITABLE);
    if (size < 0 && size !== -constants.errno.EIO) pending.done(systemError('write to the terminal', size));
    else pending.done();
  }
}

async function receiveTerminal(addon: LinuxAddon, connection: UnixConnection): Promise<Terminal> {
  const { fds } = await connection.read(4096); // the bytes are the terminal's name, of no use here
  const [fd, ...more] = fds;
  for (const extra of more) addon.fdClose(extra);
  if (fd === undefined) throw new Error('the container runtime sent no terminal over its console socket');
  return new Terminal(fd);
}
