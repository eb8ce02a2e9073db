/** `lab reboot`: a node loses what a machine loses when its power is cut, and boots again. */
import { readFile } from 'node:fs/promises';
import { connect, type KubeClient } from '../../kube/client.ts';
import { NODES, type Node } from '../../kube/types.ts';
import { apiReady } from './apiready.ts';
import { type LabNode, type LabPaths, labNodes, labPaths } from './layout.ts';
import { withLabLocked } from './lock.ts';
import { ensureNode } from './nodes.ts';
import { adminIdentity } from './pki.ts';
import { preflight } from './preflight.ts';
import { findLab, killAndWait } from './processes.ts';
import { findProject } from './project.ts';
import { readRecord, writeRecord } from './record.ts';
import { until } from './wait.ts';

export interface RebootRun {
  /** Of the lab. */
  name: string;
  /** A node's name; the lab's name and the dash in front of it may be left out. */
  node: string;
  /** Called with each step that is done. */
  progress: (step: string) => void;
}

export interface RebootResult {
  node: string;
  /** The new one, as the node's kernel and its Node object have it. */
  bootId: string;
}

/** Throws a sentence. Returns when the kubelet has reported the new boot ID; pods may still be starting. */
export async function reboot({ name, node: wanted, progress }: RebootRun): Promise<RebootResult> {
  const paths = labPaths(name);
  const record = readRecord(paths);
  if (!record) throw new Error(`there is no lab '${name}': make it with 'pellicle lab up'`);
  const nodes = labNodes(record.options);
  const node = nodeNamed(nodes, name, wanted);
  const project = findProject();
  const problems = preflight(project);
  if (problems.length > 0) throw new Error(problems.join('\n'));

  return withLabLocked(paths.state, async () => {
    const found = findLab(paths.state, paths.slirpSocket);
    if (found.holder === undefined || found.slirp === undefined) {
      throw new Error(`lab '${name}' does not run: repair it with 'pellicle lab up --name ${name}'`);
    }
    const init = found.nodes.get(node.name);
    if (init !== undefined) await killAndWait(init);
    progress(`${node.name} is off`);
    await ensureNode({ options: record.options, paths, project }, node, found.holder);
    const after = findLab(paths.state, paths.slirpSocket);
    await writeRecord(paths, record, after);
    const bootId = await bootIdOf(after.nodes.get(node.name));
    progress(`${node.name} has booted: ${bootId}`);

    const server = `https://127.0.0.1:${record.port}`;
    const client = connect({ server, ...(await adminIdentity(paths.pki)) }, { timeout: 5_000 });
    if (node.role === 'control-plane') {
      await apiReady(client, paths, node);
      progress('the API server answers again');
    }
    await reported(client, paths, node, bootId);
    progress('its kubelet has reported');
    return { node: node.name, bootId };
  });
}

function nodeNamed(nodes: LabNode[], lab: string, wanted: string): LabNode {
  const node = nodes.find(each => each.name === wanted || each.name === `${lab}-${wanted}`);
  if (node) return node;
  throw new Error(`lab '${lab}' has no node '${wanted}': it has ${nodes.map(each => each.name).join(', ')}`);
}

async function bootIdOf(init: number | undefined): Promise<string> {
  if (init === undefined) throw new Error('the node ended as soon as it had booted');
  return (await readFile(`/proc/${init}/root/proc/sys/kernel/random/boot_id`, 'utf8')).trim();
}

async function reported(client: KubeClient, paths: LabPaths, { name }: LabNode, bootId: string) {
  await until(`the kubelet of ${name} to report (see ${paths.logs}/${name}/lab-kubelet.log)`, 60_000, () =>
    client.get<Node>(NODES, name).then(
      ({ status }) => status?.nodeInfo?.bootID === bootId,
      () => false,
    ),
  );
}
