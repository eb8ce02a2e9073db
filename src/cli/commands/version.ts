/** `cilium version`. */
import { DAEMONSETS } from '../../kube/types.ts';
import type { CommandContext } from '../context.ts';
import { readOr } from '../install/facts.ts';
import { AGENT } from '../install/labels.ts';
import { CILIUM_VERSION, version } from '../root.ts';
import { asking, Interrupted } from '../terminal.ts';

export async function printVersion(context: CommandContext, flags: { client?: boolean }): Promise<void> {
  const { terminal } = context;
  terminal.out(
    `cilium-cli: v${version} (Pellicle) running on Node.js ${process.version} on ${process.platform}/${process.arch}\n` +
      `cilium image (default): v${version}\n` +
      `answers to Cilium: v${CILIUM_VERSION}\n`,
  );
  if (!flags.client) terminal.out(`cilium image (running): ${await runningVersion(context)}\n`);
}

async function runningVersion(context: CommandContext): Promise<string> {
  try {
    const { client } = await context.cluster();
    const agents = await asking(
      context.terminal,
      `Asking the cluster at ${client.server}`,
      readOr(client, DAEMONSETS, AGENT, context.flags.namespace),
    );
    if (!agents) return 'unknown. Nothing is installed in this cluster';
    return agents.spec.template.spec.containers[0]?.image?.split(':').at(-1) ?? 'unknown';
  } catch (error) {
    if (error instanceof Interrupted) throw error;
    return `unknown. Unable to obtain cilium version, ${error instanceof Error ? error.message : String(error)}`;
  }
}
