/** `cilium config`: looks at and changes the ConfigMap cilium-config. */
import type { KubeClient } from '../../kube/client.ts';
import { CONFIGMAPS, type ConfigMap, DAEMONSETS, DEPLOYMENTS } from '../../kube/types.ts';
import type { CommandContext } from '../context.ts';
import { didYouMean, Failure, usage } from '../failure.ts';
import { CONFIG_NAME, refuseProblems } from '../install/config.ts';
import { readOr } from '../install/facts.ts';
import { AGENT, OPERATOR } from '../install/labels.ts';
import { tabulate } from '../status/format.ts';
import { asking } from '../terminal.ts';

export interface ChangeFlags {
  restart: boolean;
}

/** Switching these takes more than a key: the installation's objects differ. */
const INSTALLED_WITH = ['enable-wireguard', 'enable-ipsec'];

export async function configView(context: CommandContext): Promise<void> {
  const config = await readConfig(context);
  const rows = Object.entries(config.data ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  context.terminal.out(tabulate(rows));
}

export async function configSet(
  context: CommandContext,
  key: string,
  value: string,
  flags: ChangeFlags,
): Promise<void> {
  if (!/^[-._a-zA-Z0-9]{1,253}$/.test(key))
    throw usage(`"${key}" is no key of a ConfigMap: write for instance debug`);
  if (INSTALLED_WITH.includes(key))
    throw usage(
      `${key} comes with the installation: use "cilium upgrade --set encryption.enabled=… --set encryption.type=…"`,
    );
  const { terminal } = context;
  const config = await readConfig(context);
  refuseProblems({ ...config.data, [key]: value });
  terminal.out(`✨ Patching ConfigMap ${CONFIG_NAME} with ${key}=${value}...\n`);
  await change(context, { [key]: value }, flags);
}

export async function configDelete(context: CommandContext, key: string, flags: ChangeFlags): Promise<void> {
  const { terminal } = context;
  const data = (await readConfig(context)).data ?? {};
  if (!Object.hasOwn(data, key)) {
    const meant = didYouMean(key, Object.keys(data));
    throw new Failure(
      `there is no key "${key}" in ConfigMap ${CONFIG_NAME}${meant ? `: did you mean "${meant}"?` : ''}`,
    );
  }
  if (INSTALLED_WITH.includes(key))
    throw usage(`${key} comes with the installation: use "cilium upgrade --set encryption.enabled=false"`);
  const { [key]: _, ...rest } = data;
  refuseProblems(rest);
  terminal.out(`✨ Removing key ${key} from ConfigMap ${CONFIG_NAME}...\n`);
  await change(context, { [key]: null }, flags);
}

async function change(
  context: CommandContext,
  data: Record<string, string | null>,
  { restart }: ChangeFlags,
): Promise<void> {
  const { client } = await context.cluster();
  const { terminal } = context;
  const { namespace } = context.flags;
  await client.patch<ConfigMap>(CONFIGMAPS, CONFIG_NAME, namespace, { data }, 'merge');
  if (!restart) return terminal.out('⚠️  Restart Cilium pods for configmap changes to take effect\n');
  await restartPods(client, namespace);
  terminal.out('♻️  Restarted Cilium pods\n');
}

/** As `kubectl rollout restart` does it. */
async function restartPods(client: KubeClient, namespace: string): Promise<void> {
  const annotations = { 'kubectl.kubernetes.io/restartedAt': new Date().toISOString() };
  const body = { spec: { template: { metadata: { annotations } } } };
  await client.patch(DAEMONSETS, AGENT, namespace, body, 'strategic');
  await client.patch(DEPLOYMENTS, OPERATOR, namespace, body, 'strategic');
}

async function readConfig(context: CommandContext): Promise<ConfigMap> {
  const { client } = await context.cluster();
  const { namespace } = context.flags;
  const config = await asking(
    context.terminal,
    `Asking the cluster at ${client.server}`,
    readOr(client, CONFIGMAPS, CONFIG_NAME, namespace),
  );
  if (!config)
    throw new Failure(
      `there is no ConfigMap ${CONFIG_NAME} in namespace ${namespace}: install with "cilium install" first, or name the namespace with -n`,
    );
  return config;
}
