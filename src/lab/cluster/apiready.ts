/** Waiting for a lab's API server. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { KubeClient } from '../../kube/client.ts';
import type { LabNode, LabPaths } from './layout.ts';
import { until } from './wait.ts';

/** Rejects with the end of its log when it does not get ready. */
export async function apiReady(
  client: KubeClient,
  paths: LabPaths,
  master: LabNode,
  signal?: AbortSignal,
): Promise<void> {
  const log = join(paths.logs, master.name, 'lab-apiserver.log');
  const init = join(paths.logs, master.name, 'init.log');
  try {
    await until(
      'the API server',
      30_000,
      () =>
        client.raw('GET', '/readyz').then(
          answer => answer.status === 200,
          () => undefined,
        ),
      signal,
    );
  } catch (error) {
    signal?.throwIfAborted();
    const lines = await lastLines(log).then(text => text || lastLines(init));
    throw new Error(`the API server does not get ready; the end of ${log}:\n${lines}`, { cause: error });
  }
}

async function lastLines(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return text.trimEnd().split('\n').slice(-5).join('\n');
}
