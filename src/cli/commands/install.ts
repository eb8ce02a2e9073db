/** `cilium install`: everything is checked first, then made; what cannot be finished is taken back. */
import { stringify } from 'yaml';
import { DAEMONSETS } from '../../kube/types.ts';
import { type CommandContext, parseWait } from '../context.ts';
import { Failure } from '../failure.ts';
import { applyAll, tryApply } from '../install/apply.ts';
import { configOf } from '../install/config.ts';
import { type Facts, installedElsewhere, readFacts, readOr, shapeOf } from '../install/facts.ts';
import { AGENT, MANAGED_BY, MANAGER } from '../install/labels.ts';
import { allOf, installationObjects, manifestText } from '../install/objects.ts';
import { preflight } from '../install/preflight.ts';
import { deleteRelease, type Release, readRelease, writeRelease } from '../install/release.ts';
import { announce, checkVersion, listVersions } from '../install/versions.ts';
import { version } from '../root.ts';
import { asking, slowly } from '../terminal.ts';
import { merge, settingsOf, type ValueFlags, valuesOfFlags } from '../values/values.ts';
import { waitForStatus } from './status.ts';

export interface InstallFlags extends ValueFlags {
  version?: string;
  listVersions?: boolean;
  dryRun?: boolean;
  dryRunHelmValues?: boolean;
  wait?: boolean;
  waitDuration: string;
}

export async function install(context: CommandContext, flags: InstallFlags): Promise<void> {
  const { terminal } = context;
  const { namespace } = context.flags;
  if (flags.listVersions) return terminal.out(listVersions());
  const patience = parseWait(flags.waitDuration);
  const ciliumVersion = checkVersion(flags.version);
  const values = valuesOfFlags(flags);
  // Mistakes in what was typed are told before any cluster is asked.
  const settings = settingsOf(values);

  const { client, connection } = await context.cluster();
  const facts = await asking(
    terminal,
    `Asking the cluster at ${client.server}`,
    readFacts(client, connection),
  );
  const dry = flags.dryRun || flags.dryRunHelmValues;
  announce(dry ? terminal.err : terminal.out, facts, ciliumVersion, settings.cluster.name || facts.cluster);
  const shape = shapeOf(facts, settings);
  const config = configOf(settings, shape);
  const stages = installationObjects({ settings, config, namespace });
  if (flags.dryRunHelmValues) {
    const chosen = {
      cluster: { name: shape.clusterName },
      ipam: { mode: shape.ipam },
      clusterPodCIDRs: shape.podCIDRs,
    };
    return terminal.out(stringify(merge(chosen, values)));
  }
  if (flags.dryRun) return terminal.out(manifestText(stages));

  const earlier = await refuseSecond(context, facts);
  await asking(
    terminal,
    'Checking what the cluster can do',
    preflight(client, facts, shape, settings, { namespace, manifests: allOf(stages) }),
  );
  await asking(terminal, 'Having the API server check the objects', tryApply(client, stages));
  const release = { values, version, ciliumVersion, configKeys: Object.keys(config) };
  await writeRelease(client, namespace, { ...release, state: 'pending' });
  try {
    await slowly(terminal, 'Creating the objects', applyAll(client, stages, terminal.signal));
  } catch (error) {
    // All that was made is taken back, so there is nothing to go on with.
    if (!earlier) await deleteRelease(client, namespace).catch(() => {});
    throw error;
  }
  await writeRelease(client, namespace, { ...release, state: 'deployed' });
  if (flags.wait) await waitForStatus(context, patience);
}

/** Returns what an installation that broke off has left, if there is any. */
async function refuseSecond(context: CommandContext, { daemonSets }: Facts): Promise<Release | undefined> {
  const { client } = await context.cluster();
  const { namespace } = context.flags;
  const elsewhere = installedElsewhere(daemonSets, namespace);
  if (elsewhere !== undefined)
    throw new Failure(
      `it is installed already, in namespace ${elsewhere}, and a cluster has room for one: change that with "cilium upgrade -n ${elsewhere}", or remove it with "cilium uninstall -n ${elsewhere}" first`,
    );
  const release = await readRelease(client, namespace);
  const agents = await readOr(client, DAEMONSETS, AGENT, namespace);
  const ours = agents?.metadata.labels?.[MANAGED_BY] === MANAGER;
  if (release?.state === 'deployed' && ours)
    throw new Failure(
      `it is installed already (Pellicle ${release.version} in namespace ${namespace}): change it with "cilium upgrade", or remove it with "cilium uninstall" first`,
    );
  return release;
}
