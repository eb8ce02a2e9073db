/** Nodes as sets of processes: booted, and joined to the underlay. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nodeCommand, nodeScript } from './init.ts';
import type { LabNode, LabOptions, LabPaths } from './layout.ts';
import { writePrivate } from './pki.ts';
import { findLab, startDetached } from './processes.ts';
import type { Project } from './project.ts';
import { attachNode, detachNode } from './underlay.ts';
import { until } from './wait.ts';

export interface Lab {
  options: LabOptions;
  paths: LabPaths;
  project: Project;
}

/** Boots a node unless it runs, and sees that it is on the underlay. */
export async function ensureNode(lab: Lab, node: LabNode, holder: number): Promise<void> {
  const { paths } = lab;
  const find = () => findLab(paths.state, paths.slirpSocket).nodes.get(node.name);
  let init = find();
  if (init === undefined) {
    await until('the disks of the nodes', 5_000, () => hasDisks(holder, paths));
    await detachNode(holder, node);
    const script = join(paths.state, `${node.name}.sh`);
    await writePrivate(script, nodeScript(lab, node));
    const [program, ...args] = nodeCommand(paths, node, holder, script);
    const { failed } = startDetached(program!, args, { log: join(paths.logs, node.name, 'init.log') });
    init = await appears(failed, find);
    await appears(failed, () => existsSync(`/proc/${init}/root/run/pellicle-lab/ready`) || undefined);
  }
  await attachNode(holder, init, node);
}

function hasDisks(holder: number, { disks }: LabPaths): boolean {
  return readFileSync(`/proc/${holder}/mounts`, 'utf8').includes(` ${disks} `);
}

/** Waits for a namespace's init; if the program that starts it ends first, that is told. */
export async function appears<T>(failed: Promise<Error>, find: () => T | undefined): Promise<T> {
  let problem: Error | undefined;
  void failed.then(error => {
    problem = error;
  });
  return await until('a namespace to be made', 20_000, () => {
    if (problem) throw problem;
    return find();
  });
}
