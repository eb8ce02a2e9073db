/** `lab down`: ends a lab and removes all that it left on the machine. */
import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { removeContext } from './kubeconfig.ts';
import { type LabPaths, labPaths } from './layout.ts';
import { withLabLocked } from './lock.ts';
import { findLab, killAndWait } from './processes.ts';
import { readRecord } from './record.ts';

/** True if there was a lab. Idempotent; needs no lab that is whole. */
export async function down(name: string): Promise<boolean> {
  const paths = labPaths(name);
  const there = existsSync(paths.state) || findLab(paths.state, paths.slirpSocket).holder !== undefined;
  if (!there) return false;
  await withLabLocked(paths.state, () => tearDown(paths));
  return true;
}

/** The caller holds the lock. The holder's PID namespace takes every process of the lab with it. */
export async function tearDown(paths: LabPaths): Promise<void> {
  const found = findLab(paths.state, paths.slirpSocket);
  if (found.holder !== undefined) await killAndWait(found.holder);
  for (const pid of [...found.nodes.values(), found.slirp]) if (pid !== undefined) await killAndWait(pid);
  const record = readRecord(paths);
  if (record?.kubeconfig) {
    const authority = await readFile(join(paths.pki, 'ca.crt'), 'utf8').catch(() => undefined);
    await removeContext(record.kubeconfig, `kind-${record.options.name}`, authority);
  }
  await rm(paths.state, { recursive: true, force: true, maxRetries: 3 });
}
