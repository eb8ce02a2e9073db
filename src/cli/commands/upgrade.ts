/** `cilium upgrade`: the installation's values with changes, brought to the cluster without a break in the traffic. */
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import type { KubeClient } from '../../kube/client.ts';
import { DAEMONSETS, NODES } from '../../kube/types.ts';
import { moveTo } from '../../operator/advertised.ts';
import { aliveNodes } from '../../operator/rotation.ts';
import { type CommandContext, parseWait } from '../context.ts';
import { Failure, usage } from '../failure.ts';
import { applyAll, removeEngines, tryApply } from '../install/apply.ts';
import { configOf } from '../install/config.ts';
import { readFacts, readOr, shapeOf } from '../install/facts.ts';
import { ENGINE } from '../install/labels.ts';
import { allOf, installationObjects, manifestText } from '../install/objects.ts';
import { preflight } from '../install/preflight.ts';
import { readRelease, writeRelease } from '../install/release.ts';
import { announce, checkVersion } from '../install/versions.ts';
import { version } from '../root.ts';
import { asking, slowly } from '../terminal.ts';
import { merge, settingsOf, valuesOfFlags } from '../values/values.ts';
import { readWords } from './encryption-keys.ts';
import type { InstallFlags } from './install.ts';
import { waitForStatus } from './status.ts';

export interface UpgradeFlags extends InstallFlags {
  reuseValues?: boolean;
  resetValues?: boolean;
}

const BETWEEN_LOOKS = 250;
const MOVE_PATIENCE = 60_000;

/**
 * Values given earlier stay unless --reset-values is given: a change of one value must never switch encryption off
 * because it was not repeated.
 */
export async function upgrade(context: CommandContext, flags: UpgradeFlags): Promise<void> {
  const { terminal } = context;
  const { namespace } = context.flags;
  if (flags.reuseValues && flags.resetValues)
    throw usage('--reuse-values and --reset-values contradict each other: give one of them');
  const patience = parseWait(flags.waitDuration);
  const given = valuesOfFlags(flags);
  settingsOf(given);

  const { client, connection } = await context.cluster();
  const [facts, release] = await asking(
    terminal,
    `Asking the cluster at ${client.server}`,
    Promise.all([readFacts(client, connection), readRelease(client, namespace)]),
  );
  if (!release)
    throw new Failure(
      `nothing is installed in namespace ${namespace}: use "cilium install" (or -n NAMESPACE)`,
    );
  const ciliumVersion = flags.version ? checkVersion(flags.version) : release.ciliumVersion;
  const values = flags.resetValues ? given : merge(release.values, given);
  const settings = settingsOf(values);
  const dry = flags.dryRun || flags.dryRunHelmValues;
  announce(dry ? terminal.err : terminal.out, facts, ciliumVersion, settings.cluster.name || facts.cluster);
  const shape = shapeOf(facts, settings);
  const config = configOf(settings, shape);
  const stages = installationObjects({ settings, config, namespace });
  if (flags.dryRunHelmValues) return terminal.out(stringify(values));
  if (flags.dryRun) return terminal.out(manifestText(stages));

  await asking(
    terminal,
    'Checking what the cluster can do',
    preflight(client, facts, shape, settings, { namespace, manifests: allOf(stages) }),
  );
  await asking(terminal, 'Having the API server check the objects', tryApply(client, stages));
  const obsolete = release.configKeys.filter(key => !Object.hasOwn(config, key));
  await slowly(terminal, 'Applying the changes', applyAll(client, stages, terminal.signal, obsolete));
  await writeRelease(client, namespace, {
    values,
    version,
    ciliumVersion,
    state: 'deployed',
    configKeys: Object.keys(config),
  });
  if (stages.engines.length === 0) await dismissEngines(context);
  if (flags.wait) await waitForStatus(context, patience);
}

/** Engines carry what is sealed until no node seals any more. */
async function dismissEngines(context: CommandContext): Promise<void> {
  const { client } = await context.cluster();
  const { terminal } = context;
  const { namespace } = context.flags;
  if (!(await readOr(client, DAEMONSETS, ENGINE, namespace))) return;
  const deadline = performance.now() + MOVE_PATIENCE;
  const left = () => stillSealing(client);
  await slowly(
    terminal,
    'Waiting until no node seals any more',
    (async () => {
      while ((await left()).length > 0 && performance.now() < deadline)
        await sleep(BETWEEN_LOOKS, undefined, { signal: terminal.signal });
    })(),
  );
  const names = await left();
  if (names.length > 0)
    return void terminal.err(
      `⚠️  ${names.join(', ')} still ${names.length === 1 ? 'has' : 'have'} sealed traffic: the engines are left running, "cilium upgrade" takes them away later\n`,
    );
  await slowly(terminal, 'Stopping the engines', removeEngines(client, namespace, terminal.signal));
}

/** Nodes that run and open or seal anything. */
async function stillSealing(client: KubeClient): Promise<string[]> {
  const [words, nodes] = await Promise.all([readWords(client), client.list(NODES)]);
  const alive = aliveNodes(nodes.items);
  const { behind, opening, sealing } = moveTo(
    'none',
    words.filter(({ name }) => alive.has(name)),
  );
  return [...behind, ...opening, ...sealing];
}
