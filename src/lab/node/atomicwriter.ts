/**
 * Writes a volume's files so that a reader sees all of the old or all of the new: the files stand in a folder of their
 * own, `..data` is a symbolic link to it that is swapped by rename, and each name is a link through `..data`.
 */
import { createHash } from 'node:crypto';
import { chmod, chown, mkdir, readdir, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

export interface VolumeFile {
  data: Buffer;
  mode: number;
}

/** By path relative to the volume. */
export type VolumeFiles = Map<string, VolumeFile>;

/** A file's path inside a volume, as the API accepts it: relative and without `..`. */
export function isSafePath(path: string): boolean {
  return path !== '' && !path.startsWith('/') && !path.startsWith('..') && !path.split('/').includes('..');
}

/** True if something changed. `gid` gets the files (fsGroup). */
export async function writeAtomically(root: string, files: VolumeFiles, gid?: number): Promise<boolean> {
  await mkdir(root, { recursive: true, mode: 0o755 });
  const name = `..${digest(files)}`;
  const current = await readlink(join(root, '..data')).catch(() => undefined);
  if (current === name) return false;
  const folder = join(root, name);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { mode: 0o755 });
  for (const [path, { data, mode }] of files) {
    await mkdir(dirname(join(folder, path)), { recursive: true, mode: 0o755 });
    await writeFile(join(folder, path), data, { mode: 0o600 });
    if (gid !== undefined) await chown(join(folder, path), 0, gid);
    await chmod(join(folder, path), gid === undefined ? mode : mode | ((mode & 0o700) >> 3));
  }
  await symlink(name, join(root, '..data_tmp'));
  await rename(join(root, '..data_tmp'), join(root, '..data'));
  await linkNames(root, files);
  if (current) await rm(join(root, current), { recursive: true, force: true });
  return true;
}

async function linkNames(root: string, files: VolumeFiles): Promise<void> {
  const wanted = new Set([...files.keys()].map(path => path.split('/')[0]!));
  const there = (await readdir(root)).filter(name => !name.startsWith('..'));
  for (const name of wanted) if (!there.includes(name)) await symlink(`..data/${name}`, join(root, name));
  for (const name of there) if (!wanted.has(name)) await rm(join(root, name), { force: true });
}

function digest(files: VolumeFiles): string {
  const hash = createHash('sha256');
  for (const [path, { data, mode }] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(`${path}\0${mode}\0${data.length}\0`).update(data);
  }
  return hash.digest('hex').slice(0, 16);
}
