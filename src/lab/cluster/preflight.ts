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

/** What is looked at, so that a test may say what is there. */
export interface Machine {
  platform: string;
  root: boolean;
  exists(path: string): boolean;
  /** /proc/filesystems */
  filesystems: string;
}

/** Sentences with a remedy, empty when the machine is fit. */
export function preflight(project: Project, machine: Machine = thisMachine()): string[] {
  if (machine.platform !== 'linux') return ['the lab needs Linux: it is made of network namespaces'];
  if (!machine.root) return ['the lab makes namespaces and mounts: run it as root, e.g. with sudo'];
  const problems: string[] = [];
  const onPath = (program: string) =>
    standardPath.split(':').some(folder => machine.exists(join(folder, program)));
  const lacking = Object.keys(programs).filter(program => !onPath(program));
  if (lacking.length > 0) {
    const packages = [...new Set(lacking.map(program => programs[program]))];
    problems.push(
      `the programs ${lacking.join(', ')} are missing: install them with 'apt-get install ${packages.join(' ')}'`,
    );
  }
  if (!/\boverlay$/m.test(machine.filesystems)) {
    problems.push("this kernel has no overlayfs: load it with 'modprobe overlay'");
  }
  if (!machine.exists('/dev/net/tun')) {
    problems.push("there is no /dev/net/tun: load it with 'modprobe tun'");
  }
  const unbuilt = [...bundles.map(name => `dist/${name}.js`), ...native].filter(
    path => !machine.exists(join(project.root, path)),
  );
  if (unbuilt.length > 0) {
    problems.push(`not built yet: ${unbuilt.join(', ')}; run 'make build' in ${project.root}`);
  }
  return problems;
}

function thisMachine(): Machine {
  return {
    platform: process.platform,
    root: process.getuid?.() === 0,
    exists: existsSync,
    filesystems: process.platform === 'linux' ? readFileSync('/proc/filesystems', 'utf8') : '',
  };
}
