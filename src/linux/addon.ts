/** The native half of this room: build/linux.node (native/linux). Errors are negative errno numbers. */
import { endianness } from 'node:os';
import { loadAddon } from './project.ts';

export const READABLE = 1;
export const WRITABLE = 2;

/** Readiness of a descriptor on the event loop. `close` it before the descriptor. */
export interface Poll {
  start(events: number): number;
  stop(): void;
  close(): void;
  ref(): void;
  unref(): void;
}

export interface LinuxAddon {
  /** With groups the socket does not block. `netns` is a path, empty for ours. */
  netlinkOpen(protocol: number, groups: number[], netns: string): number;
  netlinkTransact(fd: number, sequence: number, request: Uint8Array): Promise<Buffer | number>;
  netlinkReceive(fd: number, into: Uint8Array): number;

  netnsCreate(path: string): Promise<number>;
  netnsScratch(): Promise<number>;
  netnsPin(source: string, path: string): Promise<number>;
  netnsDelete(path: string): Promise<number>;
  makeShared(directory: string): number;
  writeFile(netns: string, path: string, text: string): Promise<number>;
  readFile(netns: string, path: string, into: Uint8Array): number;

  unixListen(path: string, mode: number): number;
  unixConnect(path: string): number;
  unixAccept(fd: number): number;
  /** Pushes descriptors that came along to `fds`; they are the caller's to close. */
  unixReceive(fd: number, into: Uint8Array, fds: number[]): number;
  /** The descriptors, 253 at most, go with the first byte. */
  unixSend(fd: number, bytes: Uint8Array, fds: number[]): number;
  unixPeer(fd: number): [pid: number, uid: number, gid: number] | number;
  /** 1 when one of the events came, 0 when the time was over. Blocks the thread. */
  fdWait(fd: number, events: number, milliseconds: number): number;
  fdRead(fd: number, into: Uint8Array): number;
  fdWrite(fd: number, bytes: Uint8Array): number;
  fdClose(fd: number): number;
  fdNonBlocking(fd: number): number;

  setWindowSize(fd: number, columns: number, rows: number): number;
  tunFeatures(): number;

  Poll: new (fd: number, onEvent: (events: number, error: number) => void) => Poll;
}

let loaded: LinuxAddon | undefined;

/** Loads the addon at the first call. Throws when it is not built. */
export function linuxAddon(): LinuxAddon {
  loaded ??= load();
  return loaded;
}

function load(): LinuxAddon {
  if (endianness() !== 'LE') throw new Error('Pellicle runs on little-endian machines only (x86-64, arm64)');
  return loadAddon<LinuxAddon>('linux');
}
