/** lab.json: what a lab was made with. Pids stand in it for readers; we ourselves trust /proc alone. */
import { readFileSync } from 'node:fs';
import type { LabOptions, LabPaths } from './layout.ts';
import { writePrivate } from './pki.ts';
import { type LabProcesses, startTime } from './processes.ts';

export interface LabRecord {
  apiVersion: 'lab.pellicle.dev/v1';
  kind: 'Lab';
  options: LabOptions;
  /** Port on 127.0.0.1 where the API server answers. */
  port: number;
  createdAt: string;
  kubeconfig?: KubeconfigRecord;
  processes?: Record<string, { pid: number; startTime: number | undefined }>;
}

export interface KubeconfigRecord {
  path: string;
  /** The file was made by us, and can go when nothing else is in it. */
  created: boolean;
  /** The topmost of the folders made for it. */
  createdFolder?: string;
  /** current-context before ours. */
  previousContext?: string;
}

export function readRecord(paths: LabPaths): LabRecord | undefined {
  try {
    const record = JSON.parse(readFileSync(paths.record, 'utf8')) as LabRecord;
    return record.kind === 'Lab' && typeof record.options?.name === 'string' ? record : undefined;
  } catch {
    return undefined;
  }
}

export async function writeRecord(paths: LabPaths, record: LabRecord, found: LabProcesses): Promise<void> {
  const entry = (pid: number) => ({ pid, startTime: startTime(pid) });
  const processes = {
    ...(found.holder !== undefined && { network: entry(found.holder) }),
    ...(found.slirp !== undefined && { slirp4netns: entry(found.slirp) }),
    ...Object.fromEntries([...found.nodes].map(([name, pid]) => [name, entry(pid)])),
  };
  await writePrivate(paths.record, JSON.stringify({ ...record, processes }, null, 2) + '\n');
}
