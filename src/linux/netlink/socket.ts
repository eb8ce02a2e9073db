import { constants } from 'node:os';
import { type LinuxAddon, linuxAddon, type Poll, READABLE } from '../addon.ts';
import { NetlinkError } from './error.ts';
import {
  decodeMessages,
  decodeOutcome,
  encodeMessage,
  type Message,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
} from './message.ts';

export const NETLINK_ROUTE = 0;
export const NETLINK_XFRM = 6;
export const NETLINK_GENERIC = 16;

const MAX_DUMP_TRIES = 10;

/** Requests and their answers, one after another, off the event loop. */
export class NetlinkSocket implements Disposable {
  readonly #addon: LinuxAddon;
  readonly #fd: number;
  #sequence = 0;
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  private constructor(addon: LinuxAddon, fd: number) {
    this.#addon = addon;
    this.#fd = fd;
  }

  /** In this process's network namespace, or in the one at the path `netns`. Throws NetlinkError. */
  static open(protocol: number, netns = ''): NetlinkSocket {
    const addon = linuxAddon();
    return new NetlinkSocket(addon, openDescriptor(addon, protocol, [], netns));
  }

  /**
   * Sends one request and resolves to the messages that answer it, the acknowledgement left out. `what` begins the
   * error's text. Rejects with NetlinkError when the kernel refuses.
   */
  async request(what: string, type: number, flags: number, body: Uint8Array): Promise<Message[]> {
    return this.#inTurn(() => this.#exchange(what, type, flags | NLM_F_REQUEST | NLM_F_ACK, body));
  }

  /** Reads a whole table. One that changed underway is read again. */
  async dump(what: string, type: number, body: Uint8Array): Promise<Message[]> {
    return this.#inTurn(async () => {
      for (let tries = 1; ; tries++) {
        const messages = await this.#exchange(what, type, NLM_F_REQUEST | NLM_F_DUMP, body);
        const torn = messages.some(message => message.flags & NLM_F_DUMP_INTR);
        if (!torn) return messages;
        if (tries === MAX_DUMP_TRIES) {
          throw new NetlinkError(what, constants.errno.EAGAIN, 'the table kept changing while it was read');
        }
      }
    });
  }

  /** After what is under way. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    void this.#last.then(() => this.#addon.fdClose(this.#fd));
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closed) throw new Error('the netlink socket is closed');
    const result = this.#last.then(work);
    this.#last = result.catch(() => {});
    return result;
  }

  async #exchange(what: string, type: number, flags: number, body: Uint8Array): Promise<Message[]> {
    this.#sequence = (this.#sequence + 1) >>> 0 || 1;
    const request = encodeMessage({ type, flags, sequence: this.#sequence, body });
    const answer = await this.#addon.netlinkTransact(this.#fd, this.#sequence, request);
    if (typeof answer === 'number') throw new NetlinkError(what, -answer);
    const messages: Message[] = [];
    for (const message of decodeMessages(answer)) {
      if (message.type !== NLMSG_ERROR && message.type !== NLMSG_DONE) {
        messages.push(message);
        continue;
      }
      const { errno, detail } = decodeOutcome(message);
      if (errno !== 0) throw new NetlinkError(what, errno, detail);
      if (message.flags & NLM_F_DUMP_INTR) messages.push(message);
    }
    return messages;
  }
}

/** Listens to multicast groups until closed. Keeps the process alive unless `unref`. */
export class NetlinkEvents implements Disposable {
  readonly #addon: LinuxAddon;
  readonly #fd: number;
  readonly #poll: Poll;
  readonly #buffer = Buffer.alloc(256 * 1024);
  readonly #onMessages: (messages: Message[]) => void;
  readonly #onLost: () => void;
  #closed = false;

  /** `onLost`: the kernel dropped events (ENOBUFS), so that the state has to be read again. Throws NetlinkError. */
  constructor(
    protocol: number,
    groups: number[],
    netns: string,
    onMessages: (messages: Message[]) => void,
    onLost: () => void,
  ) {
    this.#addon = linuxAddon();
    this.#onMessages = onMessages;
    this.#onLost = onLost;
    this.#fd = openDescriptor(this.#addon, protocol, groups, netns);
    this.#poll = new this.#addon.Poll(this.#fd, () => this.#read());
    this.#poll.start(READABLE);
  }

  unref(): void {
    this.#poll.unref();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#poll.close();
    this.#addon.fdClose(this.#fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #read(): void {
    // A storm of events must not starve the event loop: the rest is read at the next turn.
    for (let i = 0; i < 64 && !this.#closed; i++) {
      const size = this.#addon.netlinkReceive(this.#fd, this.#buffer);
      if (size === -constants.errno.EAGAIN) return;
      if (size < 0) this.#onLost();
      else this.#onMessages(decodeMessages(Uint8Array.from(this.#buffer.subarray(0, size))));
    }
  }
}

function openDescriptor(addon: LinuxAddon, protocol: number, groups: number[], netns: string): number {
  const fd = addon.netlinkOpen(protocol, groups, netns);
  if (fd >= 0) return fd;
  const where = netns ? ` in the network namespace ${netns}` : '';
  throw new NetlinkError(`open a netlink socket${where}`, -fd);
}
