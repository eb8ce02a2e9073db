/** Named network namespaces, as ip-netns(8) keeps them: a bind mount on a file in a shared directory. */
import { mkdirSync, statfsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { linuxAddon } from './addon.ts';
import { systemError } from './system-error.ts';

const NSFS_MAGIC = 0x6e736673;

/** Makes a network namespace with its loopback up, pinned at `path` (/run/netns/NAME). Throws if the path exists. */
export async function createNetns(path: string): Promise<void> {
  prepareDirectory(path);
  const result = await linuxAddon().netnsCreate(path);
  if (result < 0) throw systemError(`make the network namespace ${path}`, result);
}

/** Pins the network namespace of a process (`/proc/PID/ns/net`) or of any such file at `path`. */
export async function pinNetns(source: string, path: string): Promise<void> {
  prepareDirectory(path);
  const result = await linuxAddon().netnsPin(source, path);
  if (result < 0) throw systemError(`pin the network namespace ${source} at ${path}`, result);
}

/** Unpins it and removes the file. False if there was none. The kernel ends it when nothing uses it any more. */
export async function deleteNetns(path: string): Promise<boolean> {
  const result = await linuxAddon().netnsDelete(path);
  if (result === 0) return true;
  const error = systemError(`delete the network namespace ${path}`, result);
  if (error.code === 'ENOENT') return false;
  throw error;
}

/** A network namespace without a name: `path` leads to it, for this process and its children, until it is closed. */
export interface ScratchNetns extends Disposable {
  readonly path: string;
  close(): void;
}

export async function scratchNetns(): Promise<ScratchNetns> {
  const addon = linuxAddon();
  const fd = await addon.netnsScratch();
  if (fd < 0) throw systemError('make a network namespace', fd);
  let closed = false;
  const close = () => {
    if (!closed) addon.fdClose(fd);
    closed = true;
  };
  return { path: `/proc/${process.pid}/fd/${fd}`, close, [Symbol.dispose]: close };
}

/** A text that is the same for two paths to the same namespace, undefined if `path` leads to none. */
export function netnsIdentity(path: string): string | undefined {
  try {
    if (statfsSync(path).type !== NSFS_MAGIC) return undefined;
    const { dev, ino } = statSync(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}

/** Shared, so that other mount namespaces see what comes and goes. */
function prepareDirectory(path: string): void {
  const directory = dirname(path);
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  const result = linuxAddon().makeShared(directory);
  if (result < 0) throw systemError(`share the mounts of ${directory}`, result);
}
