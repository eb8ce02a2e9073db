/** Reads and writes of /proc/sys, in this network namespace or another one. Keys are with slashes:
 * `net/ipv4/conf/eth0.100/rp_filter`. */
import { linuxAddon } from './addon.ts';
import { systemError } from './system-error.ts';

/** The value without its line end. Throws ENOENT when the kernel has no such key. */
export async function readSysctl(key: string, options: { netns?: string } = {}): Promise<string> {
  const path = pathOf(key);
  const buffer = Buffer.alloc(4096);
  const size = linuxAddon().readFile(options.netns ?? '', path, buffer);
  if (size < 0) throw systemError(`read ${path}`, size);
  return buffer.toString('utf8', 0, size).trimEnd();
}

/** Throws ENOENT when the kernel has no such key, EINVAL when it refuses the value. */
export async function writeSysctl(
  key: string,
  value: string | number,
  options: { netns?: string } = {},
): Promise<void> {
  const path = pathOf(key);
  const result = await linuxAddon().writeFile(options.netns ?? '', path, `${value}\n`);
  if (result < 0) throw systemError(`write ${value} to ${path}`, result);
}

function pathOf(key: string): string {
  const parts = key.split('/');
  const wrong = parts.some(part => part === '.' || part === '..' || !/^[\w.@:-]+$/.test(part));
  if (wrong) throw new TypeError(`not a sysctl key: ${JSON.stringify(key)} (write net/ipv4/ip_forward)`);
  return `/proc/sys/${key}`;
}
