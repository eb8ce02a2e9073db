/** Unix stream sockets whose messages may bring open files along, unix(7) SCM_RIGHTS, which Node's own do not. */
import { lstatSync, rmSync } from 'node:fs';
import { constants } from 'node:os';
import { type LinuxAddon, linuxAddon, type Poll, READABLE, WRITABLE } from './addon.ts';
import { systemError } from './system-error.ts';

export interface UnixServer extends Disposable {
  readonly path: string;
  /** Closes the listener and removes its file, unless another server has taken the path over. */
  close(): void;
  /** Closes the listener alone: the path is for another process's server, which may be there already. */
  leave(): void;
}

/**
 * Listens at `path`, with that mode from the first moment. A file left behind by another process is replaced. Throws
 * system errors (EACCES, ENAMETOOLONG above 107 bytes, …).
 */
export function listenUnix(
  path: string,
  mode: number,
  onConnection: (connection: UnixConnection) => void,
): UnixServer {
  const addon = linuxAddon();
  removeSocket(path);
  const fd = addon.unixListen(path, mode);
  if (fd < 0) throw systemError(`listen on ${path}`, fd);
  const { ino } = lstatSync(path);
  const poll = new addon.Poll(fd, () => {
    const peer = addon.unixAccept(fd);
    if (peer >= 0) onConnection(new UnixConnection(addon, peer));
  });
  poll.start(READABLE);
  let closed = false;
  const leave = () => {
    if (closed) return;
    closed = true;
    poll.close();
    addon.fdClose(fd);
  };
  const close = () => {
    if (closed) return;
    // As long as it listens, no other file has the number.
    const isOwn = lstatSync(path, { throwIfNoEntry: false })?.ino === ino;
    leave();
    if (isOwn) removeSocket(path);
  };
  return { path, close, leave, [Symbol.dispose]: close };
}

/** One accepted connection. Descriptors that arrive are the reader's to close. */
export class UnixConnection implements Disposable {
  readonly #addon: LinuxAddon;
  readonly #fd: number;
  readonly #poll: Poll;
  #ready: (() => void) | undefined;
  #closed = false;

  constructor(addon: LinuxAddon, fd: number) {
    this.#addon = addon;
    this.#fd = fd;
    this.#poll = new addon.Poll(fd, () => {
      this.#poll.stop();
      this.#ready?.();
    });
  }

  /** Process, user and group of the other end when it connected. */
  get peer(): { pid: number; uid: number; gid: number } | undefined {
    const peer = this.#addon.unixPeer(this.#fd);
    return typeof peer === 'number' ? undefined : { pid: peer[0], uid: peer[1], gid: peer[2] };
  }

  /** The next bytes, none at the end of the stream. Rejects with a system error, or when closed. */
  async read(maximum: number): Promise<{ bytes: Buffer; fds: number[] }> {
    const buffer = Buffer.alloc(maximum);
    const fds: number[] = [];
    const size = await this.#retry(READABLE, 'read from', () =>
      this.#addon.unixReceive(this.#fd, buffer, fds),
    );
    return { bytes: buffer.subarray(0, size), fds };
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      at += await this.#retry(WRITABLE, 'write to', () => this.#addon.fdWrite(this.#fd, bytes.subarray(at)));
    }
  }

  /** The socket itself: the caller's to close. Throws when it is closed already. */
  giveAway(): number {
    if (this.#closed) throw systemError('read from the unix socket', -constants.errno.EBADF);
    this.#closed = true;
    this.#poll.close();
    return this.#fd;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#poll.close();
    this.#addon.fdClose(this.#fd);
    this.#ready?.();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #retry(events: number, what: string, call: () => number): Promise<number> {
    for (;;) {
      if (this.#closed) throw systemError(`${what} the unix socket`, -constants.errno.EBADF);
      const result = call();
      if (result >= 0) return result;
      if (result !== -constants.errno.EAGAIN) throw systemError(`${what} the unix socket`, result);
      await new Promise<void>(resolve => {
        this.#ready = resolve;
        this.#poll.start(events);
      });
    }
  }
}

function removeSocket(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket()) rmSync(path, { force: true });
}
