/** What makes the kubelet find the plugin: the binary in /opt/cni/bin, then the configuration in /etc/cni/net.d. */
import { chmod, copyFile, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CNI_SOCKET } from './server.ts';

export interface InstallPaths {
  /** Default /etc/cni/net.d/05-cilium.conflist. */
  conflist?: string;
  /** Default /opt/cni/bin/cilium-cni. */
  binary?: string;
  /** Where the shim is copied from. */
  shim: string;
  /** Default /var/run/cilium/cni.sock; in the configuration as `agent-socket`, as the shim sees it. */
  socketPath?: string;
}

export const CONFLIST = '/etc/cni/net.d/05-cilium.conflist';
export const CNI_BINARY = '/opt/cni/bin/cilium-cni';

/**
 * Installs the shim, then writes the conflist, each by a temporary file and rename: the kubelet, which goes Ready on
 * the conflist, never sees half of either. Idempotent. Throws system errors.
 */
export async function installCni(paths: InstallPaths): Promise<void> {
  const binary = paths.binary ?? CNI_BINARY;
  await replaceFile(binary, async temporary => {
    await copyFile(paths.shim, temporary);
    await chmod(temporary, 0o755);
  });
  const text = conflistText(basename(binary), paths.socketPath ?? CNI_SOCKET);
  const conflist = paths.conflist ?? CONFLIST;
  if ((await readFile(conflist, 'utf8').catch(() => undefined)) === text) return;
  await replaceFile(conflist, async temporary => {
    const file = await open(temporary, 'w', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
  });
}

/** Removes the conflist, then the shim. Idempotent. */
export async function removeCni(paths: Omit<InstallPaths, 'shim'> = {}): Promise<void> {
  await rm(paths.conflist ?? CONFLIST, { force: true });
  await rm(paths.binary ?? CNI_BINARY, { force: true });
}

/**
 * One network of one plugin; `ips` and `mac` may be asked for by the runtime. Runtimes that know CNI 1.1 take the
 * newest of `cniVersions`, older ones `cniVersion`.
 */
export function conflistText(type: string, socketPath: string): string {
  const plugin = {
    type,
    'agent-socket': socketPath,
    capabilities: { ips: true, mac: true },
  };
  const versions = { cniVersion: '1.0.0', cniVersions: ['0.3.1', '0.4.0', '1.0.0', '1.1.0'] };
  const conflist = { ...versions, name: 'cilium', plugins: [plugin] };
  return `${JSON.stringify(conflist, null, 2)}\n`;
}

async function replaceFile(path: string, write: (temporary: string) => Promise<void>): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o755 });
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
  try {
    await write(temporary);
    await rename(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
}
