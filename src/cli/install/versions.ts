/** Versions: that of Cilium, which people ask for, and that of Pellicle, which they get. */
import { usage } from '../failure.ts';
import { CILIUM_VERSION, version } from '../root.ts';
import type { Facts } from './facts.ts';

/** The version of Cilium whose commands and names are asked for. */
export function checkVersion(asked: string | undefined): string {
  if (asked === undefined) return CILIUM_VERSION;
  const match = /^v?(\d+)\.(\d+)\.(\d+)(?:-[0-9A-Za-z.-]+)?$/.exec(asked);
  if (!match) throw usage(`--version "${asked}" is no version: write for instance ${CILIUM_VERSION}`);
  const bare = asked.replace(/^v/, '');
  const [, major, minor] = match;
  if (bare === version) return CILIUM_VERSION;
  if (major !== '1' || Number(minor) < 10)
    throw usage(
      `--version ${asked}: Pellicle ${version} answers to Cilium 1.10 and later, such as ${CILIUM_VERSION}; leave --version out to get that`,
    );
  return bare;
}

export function listVersions(): string {
  return `v${CILIUM_VERSION} (default; answered by Pellicle ${version})\n`;
}

/** The lines with which installing and upgrading begin. */
export function announce(
  print: (text: string) => void,
  facts: Facts,
  ciliumVersion: string,
  clusterName: string,
): void {
  const { kind, lab, nodes, serverVersion, kubeProxy } = facts;
  if (kind) print(`🔮 Auto-detected Kubernetes kind: ${kind}\n`);
  if (kind === 'kind') print('✨ Running "kind" validation checks\n');
  if (lab) print(`✅ Detected Pellicle lab with ${nodes.length} nodes, Kubernetes ${serverVersion}\n`);
  else if (kind === 'kind')
    print(`✅ Detected kind with ${nodes.length} nodes, Kubernetes ${serverVersion}\n`);
  print(`ℹ️  Using Cilium version ${ciliumVersion}\n`);
  print(`ℹ️  Pellicle ${version} answers to that version\n`);
  print(`🔮 Auto-detected cluster name: ${clusterName}\n`);
  print(`🔮 Auto-detected kube-proxy has ${kubeProxy ? '' : 'not '}been installed\n`);
}
