/** hostPath volumes: folders, files, sockets and devices of the node. */
import { mkdir, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Checks and makes what `type` asks. Throws a sentence in the kubelet's words. */
export async function prepareHostPath(path: string, type = ''): Promise<void> {
  if (!path.startsWith('/') || path.split('/').includes('..'))
    throw new Error(`hostPath ${path} is not absolute`);
  const there = await stat(path).catch(() => undefined);
  switch (type) {
    case '':
      if (!there) await mkdir(path, { recursive: true, mode: 0o755 });
      return;
    case 'DirectoryOrCreate':
      if (!there) await mkdir(path, { recursive: true, mode: 0o755 });
      else if (!there.isDirectory()) throw wrong(path, 'a directory');
      return;
    case 'FileOrCreate':
      if (!there) {
        await mkdir(dirname(path), { recursive: true, mode: 0o755 });
        await writeFile(path, '', { mode: 0o644 });
      } else if (!there.isFile()) throw wrong(path, 'a file');
      return;
    case 'Directory':
      if (!there?.isDirectory()) throw wrong(path, 'a directory');
      return;
    case 'File':
      if (!there?.isFile()) throw wrong(path, 'a file');
      return;
    case 'Socket':
      if (!there?.isSocket()) throw wrong(path, 'a socket');
      return;
    case 'CharDevice':
      if (!there?.isCharacterDevice()) throw wrong(path, 'a character device');
      return;
    case 'BlockDevice':
      if (!there?.isBlockDevice()) throw wrong(path, 'a block device');
      return;
    default:
      throw new Error(`unknown hostPath type ${type}`);
  }
}

function wrong(path: string, what: string): Error {
  return new Error(`hostPath type check failed: ${path} is not ${what}`);
}
