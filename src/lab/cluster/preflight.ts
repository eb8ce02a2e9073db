/** What a lab needs of the machine, looked at before anything is made. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { standardPath } from './processes.ts';
import type { Project } from './project.ts';

/** Program and the Debian package that brings it. */
const programs: Record<string, string> = {
  crun: 'crun',
  conmon: 'conmon',
  slirp4netns: 'slirp4netns',
  nft: 'nftables',
  ip: 'iproute2',
  unshare: 'util-linux',
  nsenter: 'util-linux',
  mount: 'mount',
  mknod: 'coreutils',
};
const bundles = ['lab-kubelet', 'lab-apiserver', 'lab-controllers', 'lab-dns', 'lab-httpd'];

const native = ['build/linux.node', 'build/engine.node', 'build/cilium-cni'];

/** Sentences with a remedy, empty when the machine is fit. */
export function preflight(project: Project): string[] {
  if (process.platform !== 'linux') return ['the lab needs Linux: it is made of network namespaces'];
  if (process.getuid?.() !== 0)
    return ['the lab makes namespaces and mounts: run it as root, e.g. with sudo'];
  const problems: string[] = [];
  const missing = [
    ...new Set(
      Object.entries(programs)
        .filter(([program]) => !onPath(program))
        .map(([, name]) => name),
    ),
  ];
  if (missing.length > 0) {
    problems.push(`missing programs: install them with 'apt-get install ${missing.join(' ')}'`);
  }
  if (!/\boverlay$/m.test(readFileSync('/proc/filesystems', 'utf8'))) {
    problems.push("this kernel has no overlayfs: load it with 'modprobe overlay'");
  }
  if (!existsSync('/dev/net/tun')) {
    problems.push("there is no /dev/net/tun: load it with 'modprobe tun'");
  }
  const unbuilt = [...bundles.map(name => `dist/${name}.js`), ...native].filter(
    path => !existsSync(join(project.root, path)),
  );
  if (unbuilt.length > 0) {
    problems.push(`${unbuilt.join(', ')} not built yet: run 'make build' in ${project.root}`);
  }
  return problems;
}

function onPath(program: string): boolean {
  return standardPath.split(':').some(folder => existsSync(join(folder, program)));
}
