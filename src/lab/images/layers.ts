/**
 * Image layers on disk. A container's root is an overlay of, from the top: a writable folder of its own, the image's
 * layer, the base layer, the mask, and the machine's root. The mask holds whiteouts (overlayfs: character device 0/0)
 * for what containers must not see of the machine; the base puts empty folders in their places.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { chmod, copyFile, mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { type Image, imageFolder, images } from './catalog.ts';

const run = promisify(execFile);

/** What of the machine's root is hidden from containers: its users, logs, keys and state … */
const hiddenPaths = [
  ...['/root', '/home', '/tmp', '/var/tmp', '/var/log', '/run', '/var/spool', '/var/mail', '/var/backups'],
  ...['/etc/ssh', '/etc/ssl/private', '/etc/shadow', '/etc/shadow-', '/etc/gshadow', '/etc/gshadow-'],
  ...['/etc/resolv.conf', '/etc/hosts', '/etc/hostname', '/etc/kubernetes', '/etc/cni', '/etc/sudoers.d'],
  ...['/var/lib/pellicle', '/var/lib/kubelet', '/var/lib/docker', '/var/lib/containerd', '/var/lib/cni'],
  '/opt/cni',
];
/** … and whatever stands in its root beside the folders that every system has. */
const systemFolders = /^(bin|dev|etc|lib|lib32|lib64|libx32|opt|proc|sbin|sys|usr|var)$/;

function hidden(): string[] {
  const foreign = readdirSync('/').filter(name => !systemFolders.test(name));
  return [...new Set([...hiddenPaths, ...foreign.map(name => `/${name}`)])].sort();
}

const folders: Record<string, number> = {
  ...{
    '/root': 0o700,
    '/home': 0o755,
    '/tmp': 0o1777,
    '/var/tmp': 0o1777,
    '/run': 0o755,
    '/run/lock': 0o1777,
  },
  ...{ '/var/log/apt': 0o755, '/srv': 0o755, '/mnt': 0o755, '/media': 0o755, '/opt/cni/bin': 0o755 },
  ...{ '/var/spool': 0o755, '/var/backups': 0o755, '/etc/cni/net.d': 0o755 },
};

const busybox = '/bin/busybox';
const applets = [
  'nslookup',
  'wget',
  'nc',
  'telnet',
  'traceroute',
  'traceroute6',
  'vi',
  'httpd',
  'tftp',
  'ftpget',
  'less',
];

/** Those that busybox has and the machine has not. */
async function missingApplets(): Promise<string[]> {
  if (!existsSync(busybox)) return [];
  const { stdout } = await run(busybox, ['--list']);
  const there = ['/bin', '/sbin', '/usr/bin', '/usr/sbin'];
  return applets.filter(
    name => stdout.split('\n').includes(name) && !there.some(folder => existsSync(join(folder, name))),
  );
}

/**
 * A node's copy of the layers, on its own tmpfs: overlayfs takes no lower folder that stands inside another, and the
 * originals stand inside the machine's root.
 */
export class LayerStore {
  readonly #source: string;
  readonly #local: string;
  readonly #copies = new Map<string, Promise<void>>();

  constructor(source: string, local: string) {
    this.#source = source;
    this.#local = local;
  }

  /** Lower folders of an image, topmost first, without the machine's root. */
  async layers(image: Image): Promise<string[]> {
    const version = (await readFile(join(this.#source, 'current'), 'utf8')).trim();
    const copy = this.#copies.get(version) ?? this.#copy(version);
    this.#copies.set(version, copy);
    await copy;
    return [imageFolder(image), 'base', 'mask'].map(name => join(this.#local, version, name));
  }

  async #copy(version: string): Promise<void> {
    const target = join(this.#local, version);
    if (existsSync(target)) return;
    await mkdir(this.#local, { recursive: true });
    await rm(`${target}.new`, { recursive: true, force: true });
    await run('cp', ['-a', join(this.#source, version), `${target}.new`]);
    await rename(`${target}.new`, target);
  }
}

/**
 * Writes all layers into a folder of their own below `root`, unless they are there, and points `current` to it.
 * Layers in use are never changed: containers that run keep theirs.
 */
export async function ensureLayers(root: string, project: { root: string; node: string }): Promise<void> {
  const version = await layersVersion(project);
  const folder = join(root, version);
  if (!existsSync(folder)) {
    const fresh = `${folder}.new`;
    await rm(fresh, { recursive: true, force: true });
    await mkdir(fresh, { recursive: true, mode: 0o755 });
    await writeMask(join(fresh, 'mask'));
    await writeBase(join(fresh, 'base'));
    for (const image of images) await writeLayer(join(fresh, imageFolder(image)), image, project);
    await rename(fresh, folder);
  }
  await writeFile(join(root, 'current.new'), version);
  await rename(join(root, 'current.new'), join(root, 'current'));
}

/** Changes with whatever the layers are made from. */
async function layersVersion(project: { root: string; node: string }): Promise<string> {
  const hash = createHash('sha256').update(
    JSON.stringify([images, hidden(), folders, project, await missingApplets()]),
  );
  hash.update(await readFile('/etc/passwd'));
  for (const source of new Set(images.flatMap(each => Object.values(each.layer.copies)))) {
    hash.update(await readFile(join(project.root, source)).catch(() => 'none'));
  }
  return hash.digest('hex').slice(0, 12);
}

async function writeMask(root: string): Promise<void> {
  const paths = hidden();
  for (const path of paths) await mkdir(dirname(join(root, path)), { recursive: true });
  const script = 'cd "$1"; shift; for path; do mknod ".$path" c 0 0; done';
  await run('sh', ['-ec', script, 'sh', root, ...paths]);
}

async function writeBase(root: string): Promise<void> {
  for (const [path, mode] of Object.entries(folders)) {
    await mkdir(join(root, path), { recursive: true });
    await chmod(join(root, path), mode);
  }
  await mkdir(join(root, 'etc'), { recursive: true });
  for (const name of ['resolv.conf', 'hosts', 'hostname']) await writeFile(join(root, 'etc', name), '');
  const users = (await readFile('/etc/passwd', 'utf8')).split('\n').filter(line => line.includes(':'));
  const locked = users.map(line => `${line.split(':')[0]}:*:19000:0:99999:7:::\n`).join('');
  await writeFile(join(root, 'etc/shadow'), locked, { mode: 0o640 });
}

async function writeLayer(
  root: string,
  { layer }: Image,
  project: { root: string; node: string },
): Promise<void> {
  const place = async (path: string) => {
    await mkdir(dirname(join(root, path)), { recursive: true });
    return join(root, path);
  };
  await mkdir(root, { recursive: true });
  for (const path of layer.folders) await mkdir(join(root, path), { recursive: true });
  for (const [path, text] of Object.entries(layer.files)) await writeFile(await place(path), text);
  for (const [path, text] of Object.entries(layer.scripts)) {
    await writeFile(await place(path), `#!/bin/sh\n${text}`, { mode: 0o755 });
  }
  for (const [path, program] of Object.entries(layer.programs)) {
    const [name, ...args] = program.split(' ');
    const command = [
      ...[project.node, '--disable-warning=ExperimentalWarning'],
      ...[join(project.root, 'dist', `${name}.js`), ...args],
    ];
    const quoted = command.map(word => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
    await writeFile(await place(path), `#!/bin/sh\nexec ${quoted} "$@"\n`, { mode: 0o755 });
  }
  for (const name of layer.applets ? await missingApplets() : []) {
    await symlink(busybox, await place(`/usr/bin/${name}`));
  }
  for (const [path, source] of Object.entries(layer.copies)) {
    const from = join(project.root, source);
    if (existsSync(from)) {
      await copyFile(from, await place(path));
      await chmod(join(root, path), 0o755);
    }
  }
}
