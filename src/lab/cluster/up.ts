/** `lab up`: makes a lab, or repairs the one that is there, keeping its API's state. */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { connect, type KubeClient } from '../../kube/client.ts';
import { CONFIGMAPS, NODES, type ResourceType, SERVICEACCOUNTS } from '../../kube/types.ts';
import { ensureLayers } from '../images/layers.ts';
import { addons } from './addons.ts';
import { apiReady } from './apiready.ts';
import { tearDown } from './down.ts';
import { holderCommand, holderScript } from './init.ts';
import { addContext, kubeconfigPath } from './kubeconfig.ts';
import { type LabOptions, type LabPaths, labNodes, labPaths } from './layout.ts';
import { withLabLocked } from './lock.ts';
import { appears, ensureNode } from './nodes.ts';
import { adminIdentity, ensurePki, writePrivate } from './pki.ts';
import { preflight } from './preflight.ts';
import { findLab, startDetached } from './processes.ts';
import { findProject, type Project } from './project.ts';
import { type LabRecord, readRecord, writeRecord } from './record.ts';
import { ensureBridge, freePort, publishApi, startSlirp } from './underlay.ts';
import { until } from './wait.ts';

export interface UpRun {
  options: LabOptions;
  /** Called with each step that is done. */
  progress: (step: string) => void;
  signal?: AbortSignal;
  env?: NodeJS.ProcessEnv;
}

export interface UpResult {
  context: string;
  kubeconfig: string;
  server: string;
  repaired: boolean;
}

/** Throws an error with one or more sentences; then nothing of a new lab is left. */
export async function up(run: UpRun): Promise<UpResult> {
  const project = findProject();
  const problems = preflight(project);
  if (problems.length > 0) throw new Error(problems.join('\n'));
  const paths = labPaths(run.options.name);
  return withLabLocked(paths.state, async () => {
    const existed = existsSync(paths.state);
    try {
      return await raise(run, paths, project);
    } catch (error) {
      if (existed) throw run.signal?.aborted ? new Error('interrupted') : error;
      await tearDown(paths);
      throw run.signal?.aborted ? new Error('interrupted; what was made so far is removed') : error;
    }
  });
}

async function raise(run: UpRun, paths: LabPaths, project: Project): Promise<UpResult> {
  const { options, progress, signal } = run;
  const nodes = labNodes(options);
  const master = nodes[0]!;
  const record = recordFor(options, readRecord(paths), await freePort());
  await mkdir(paths.state, { recursive: true, mode: 0o700 });
  for (const node of nodes) await mkdir(join(paths.logs, node.name), { recursive: true, mode: 0o755 });
  await Promise.all([ensurePki(paths, nodes, new Date()), ensureLayers(paths.images, project)]);
  progress('keys, certificates and images are there');

  const before = findLab(paths.state, paths.slirpSocket);
  const holder = before.holder ?? (await startHolder(paths));
  signal?.throwIfAborted();
  await ensureBridge(holder, options, master);
  await allEnded([
    before.slirp === undefined ? startSlirp(holder, paths) : Promise.resolve(),
    ...nodes.map(node => ensureNode({ options, paths, project }, node, holder)),
  ]);
  signal?.throwIfAborted();
  if (!(await publishApi(paths, record.port))) {
    record.port = await freePort();
    if (!(await publishApi(paths, record.port))) throw new Error('slirp4netns cannot publish the API server');
  }
  await writeRecord(paths, record, findLab(paths.state, paths.slirpSocket));
  progress(`network and ${nodes.length} nodes are up`);

  const server = `https://127.0.0.1:${record.port}`;
  const identity = await adminIdentity(paths.pki);
  const client = connect({ server, ...identity }, { timeout: 5_000 });
  await apiReady(client, paths, master, signal);
  progress(`the API server answers at ${server}`);

  const context = `kind-${options.name}`;
  record.kubeconfig = await addContext(kubeconfigPath(run.env), context, server, identity, record.kubeconfig);
  await writeRecord(paths, record, findLab(paths.state, paths.slirpSocket));
  for (const object of addons(options, master, identity.ca)) await applyObject(client, object, signal);
  progress('cluster DNS and configuration are in place');

  await until(
    `the nodes to register (see ${paths.logs}/NODE/lab-kubelet.log)`,
    60_000,
    async () => {
      const names = new Set((await client.list(NODES)).items.map(node => node.metadata.name));
      return nodes.every(node => names.has(node.name));
    },
    signal,
  );
  await until(
    'the default service account',
    20_000,
    async () => {
      const found = await Promise.allSettled([
        client.get(SERVICEACCOUNTS, 'default', 'default'),
        client.get(CONFIGMAPS, 'kube-root-ca.crt', 'default'),
      ]);
      return found.every(each => each.status === 'fulfilled');
    },
    signal,
  );
  progress('all nodes have registered');
  return { context, kubeconfig: record.kubeconfig.path, server, repaired: before.holder !== undefined };
}

function recordFor(options: LabOptions, known: LabRecord | undefined, port: number): LabRecord {
  if (!known) {
    return {
      apiVersion: 'lab.pellicle.dev/v1',
      kind: 'Lab',
      options,
      port,
      createdAt: new Date().toISOString(),
    };
  }
  const { workers, ipFamily } = known.options;
  if (workers !== options.workers || ipFamily !== options.ipFamily) {
    throw new Error(
      `lab '${options.name}' exists with --workers ${workers} --ip-family ${ipFamily}: say the same, or remove it first with 'pellicle lab down --name ${options.name}'`,
    );
  }
  return known;
}

/** Rejects as Promise.all does, but only when nothing is under way any more: what follows may be a removal. */
async function allEnded(works: Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(works)).find(each => each.status === 'rejected');
  if (failed) throw failed.reason;
}

/** Not to be interrupted: a holder that has not shown itself yet could not be found to be removed. */
async function startHolder(paths: LabPaths): Promise<number> {
  const script = join(paths.state, 'init.sh');
  await writePrivate(script, holderScript);
  const [program, ...args] = holderCommand(paths, script);
  const { failed } = startDetached(program!, args, { log: join(paths.logs, 'lab.log') });
  return await appears(failed, () => findLab(paths.state, paths.slirpSocket).holder);
}

/** By server-side apply, patiently: a namespace or the discovery of a kind may come a moment later. */
async function applyObject(
  client: KubeClient,
  object: ReturnType<typeof addons>[number],
  signal?: AbortSignal,
) {
  const plural: Record<string, string> = { ConfigMap: 'configmaps', Service: 'services' };
  const type: ResourceType = {
    apiVersion: object.apiVersion,
    kind: object.kind,
    plural: plural[object.kind] ?? `${object.kind.toLowerCase()}s`,
    namespaced: object.metadata.namespace !== undefined,
  };
  let problem: unknown;
  try {
    await until(
      `${object.kind} ${object.metadata.name} to be accepted`,
      15_000,
      () =>
        client.apply(type, object, { fieldManager: 'pellicle-lab', force: true }).then(
          () => true,
          error => {
            problem = error;
            return undefined;
          },
        ),
      signal,
    );
  } catch (error) {
    signal?.throwIfAborted();
    throw problem instanceof Error ? problem : error;
  }
}
