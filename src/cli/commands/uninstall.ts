/** `cilium uninstall`: the agents clean their nodes, then everything that was installed goes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isNotFound, type KubeClient } from '../../kube/client.ts';
import {
  CILIUMENDPOINTS,
  CILIUMNODES,
  CONFIGMAPS,
  type ConfigMap,
  DAEMONSETS,
  DEPLOYMENTS,
  type KubeObject,
  LEASES,
  NODES,
  PODS,
  type ResourceType,
} from '../../kube/types.ts';
import { UNINSTALL_KEY } from '../../model/config.ts';
import { CLEANED_UP_ANNOTATION } from '../../model/node.ts';
import { type CommandContext, parseWait } from '../context.ts';
import { Failure } from '../failure.ts';
import { podsGone, removeAll, removeEngines } from '../install/apply.ts';
import { CONFIG_NAME } from '../install/config.ts';
import { installedElsewhere, readOr } from '../install/facts.ts';
import { AGENT, MANAGED_BY, MANAGER, OPERATOR } from '../install/labels.ts';
import { allOf, everyObject, type Manifest } from '../install/objects.ts';
import { deleteRelease, readRelease } from '../install/release.ts';
import { asking, slowly } from '../terminal.ts';

export interface UninstallFlags {
  wait?: boolean;
  waitDuration: string;
}

const PATIENCE = 30_000;

export async function uninstall(context: CommandContext, flags: UninstallFlags): Promise<void> {
  const { terminal } = context;
  const { namespace } = context.flags;
  const patience = flags.wait ? parseWait(flags.waitDuration) : PATIENCE;
  const { client } = await context.cluster();
  const [installed, { items: daemonSets }] = await asking(
    terminal,
    `Asking the cluster at ${client.server}`,
    Promise.all([installedObjects(client, namespace), client.list(DAEMONSETS)]),
  );
  // Its cluster-wide objects are not those of this namespace.
  const elsewhere = installedElsewhere(daemonSets, namespace);
  if (elsewhere !== undefined)
    throw new Failure(
      `nothing is changed: the installation is in namespace ${elsewhere}, write -n ${elsewhere}`,
    );
  if (installed.length === 0 && !(await readRelease(client, namespace).catch(() => true)))
    throw new Failure(`nothing is installed in namespace ${namespace} (look elsewhere with -n NAMESPACE)`);
  terminal.out('⌛ Uninstalling Cilium\n');
  const left = await slowly(
    terminal,
    'Waiting for the agents to clean their nodes',
    cleanNodes(client, namespace, patience, terminal.signal),
  );
  if (left.length > 0)
    terminal.err(
      `⚠️  ${left.join(', ')} did not say that they are clean: interfaces, rules and routes named cilium_* may be left there; a restart of the node removes them\n`,
    );
  await slowly(
    terminal,
    'Deleting the programs',
    removePrograms(client, namespace, patience, terminal.signal),
  );
  await deleteCustomResources(client);
  await slowly(terminal, 'Deleting the objects', removeAll(client, installed));
  await client.delete(LEASES, OPERATOR, namespace).catch(ignoreMissing);
  await deleteRelease(client, namespace).catch(ignoreMissing);
  terminal.out('🔥 Cilium was successfully uninstalled.\n');
}

/** What is there of all that any installation consists of, and bears our label. */
async function installedObjects(client: KubeClient, namespace: string): Promise<Manifest[]> {
  const wanted = allOf(everyObject(namespace));
  const found = await Promise.all(
    wanted.map(({ type, object }) => readOr(client, type, object.metadata.name, object.metadata.namespace)),
  );
  return wanted.filter((_, index) => found[index]?.metadata.labels?.[MANAGED_BY] === MANAGER);
}

/** Asks every agent to take off what it made; returns the nodes that did not do it in time. */
async function cleanNodes(
  client: KubeClient,
  namespace: string,
  patience: number,
  signal: AbortSignal,
): Promise<string[]> {
  const deadline = performance.now() + patience;
  const [config, agents] = await Promise.all([
    readOr(client, CONFIGMAPS, CONFIG_NAME, namespace),
    readOr(client, DAEMONSETS, AGENT, namespace),
  ]);
  if (!config || !agents) return [];
  await removeEngines(client, namespace, signal, patience);
  const data = { [UNINSTALL_KEY]: 'true' };
  await client.patch<ConfigMap>(CONFIGMAPS, CONFIG_NAME, namespace, { data }, 'merge');
  for (;;) {
    const left = await uncleanNodes(client, namespace);
    if (left.length === 0 || performance.now() > deadline) return left;
    await sleep(250, undefined, { signal });
  }
}

/** Nodes with an agent that has not yet told that it is done. */
async function uncleanNodes(client: KubeClient, namespace: string): Promise<string[]> {
  const [pods, ciliumNodes, nodes] = await Promise.all([
    client.list(PODS, { namespace, labelSelector: `k8s-app=${AGENT}` }),
    client.list(CILIUMNODES).catch(error => {
      if (isNotFound(error)) return { items: [] };
      throw error;
    }),
    client.list(NODES),
  ]);
  const existing = new Set(nodes.items.map(node => node.metadata.name));
  const clean = new Set(
    ciliumNodes.items
      .filter(({ metadata }) => metadata.annotations?.[CLEANED_UP_ANNOTATION])
      .map(({ metadata }) => metadata.name),
  );
  const withAgent = pods.items.map(pod => pod.spec.nodeName).filter(name => name !== undefined);
  return [...new Set(withAgent)].filter(name => existing.has(name) && !clean.has(name)).sort();
}

async function removePrograms(
  client: KubeClient,
  namespace: string,
  patience: number,
  signal: AbortSignal,
): Promise<void> {
  const background = { propagationPolicy: 'Background' } as const;
  await Promise.all([
    client.delete(DAEMONSETS, AGENT, namespace, background).catch(ignoreMissing),
    client.delete(DEPLOYMENTS, OPERATOR, namespace, background).catch(ignoreMissing),
  ]);
  await Promise.all([
    podsGone(client, namespace, `k8s-app=${AGENT}`, signal, patience),
    podsGone(client, namespace, 'io.cilium/app=operator', signal, patience),
  ]);
}

async function deleteCustomResources(client: KubeClient): Promise<void> {
  const types: ResourceType<KubeObject>[] = [CILIUMENDPOINTS, CILIUMNODES];
  for (const type of types) {
    const list = await client.list(type).catch(error => {
      if (isNotFound(error)) return { items: [] };
      throw error;
    });
    for (const { metadata } of list.items)
      await client.delete(type, metadata.name, metadata.namespace).catch(ignoreMissing);
  }
}

function ignoreMissing(error: unknown): void {
  if (!isNotFound(error)) throw error;
}
