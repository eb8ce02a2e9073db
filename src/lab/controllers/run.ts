/** All controllers together, as one program. */
import type { KubeClient } from '../../kube/client.ts';
import { countForm } from '../../kube/eventforms.ts';
import { Recorder } from '../../kube/events.ts';
import { Cluster } from './cluster.ts';
import type { Controller } from './controller.ts';
import { daemonSetController } from './daemonset.ts';
import { deploymentController } from './deployment.ts';
import { endpointsController } from './endpoints.ts';
import { garbageController } from './garbage.ts';
import { jobController } from './jobs.ts';
import { namespaceDefaultsController } from './namespacedefaults.ts';
import { namespaceController } from './namespaces.ts';
import { nodeLifecycleController } from './nodelifecycle.ts';
import { type ClusterRange, podCidrController } from './podcidr.ts';
import { podGcController } from './podgc.ts';
import { replicaSetController } from './replicaset.ts';
import { schedulerController } from './scheduler.ts';
import { statefulSetController } from './statefulset.ts';

export interface ControllersOptions {
  clusterRanges: readonly ClusterRange[];
  /** PEM of the CA that pods trust the API server by. */
  ca: string;
  instance: string;
  log(message: string): void;
}

/** Starts them all; the answer ends them and resolves when nothing runs any more. */
export function startControllers(client: KubeClient, options: ControllersOptions): () => Promise<void> {
  const { log, instance } = options;
  const recorders = new Map<string, Recorder>();
  const recorder = (name: string): Recorder => {
    const known =
      recorders.get(name) ?? new Recorder(client, { controller: name, instance, form: countForm, log });
    recorders.set(name, known);
    return known;
  };
  const cluster = new Cluster(client, {
    log,
    event: (regarding, type, reason, action, note) =>
      recorder(reporter(regarding.kind, reason)).event(regarding, type, reason, action, note),
  });
  const controllers: Controller[] = [
    podCidrController(cluster, options.clusterRanges),
    namespaceDefaultsController(cluster, options.ca),
    namespaceController(cluster),
    nodeLifecycleController(cluster),
    schedulerController(cluster),
    deploymentController(cluster),
    replicaSetController(cluster),
    daemonSetController(cluster),
    statefulSetController(cluster),
    jobController(cluster),
    endpointsController(cluster),
    podGcController(cluster),
    garbageController(cluster),
  ];
  cluster.start();
  for (const each of controllers) each.start();
  return async () => {
    cluster.stop();
    await Promise.all(controllers.map(each => each.stop()));
    await Promise.all([...recorders.values()].map(each => each.flush()));
  };
}

/** The name that `kubectl describe` shows beside an event. */
function reporter(kind: string, reason: string): string {
  if (kind === 'Pod' && (reason === 'Scheduled' || reason === 'FailedScheduling')) return 'default-scheduler';
  if (kind === 'Node' || kind === 'Pod') return 'node-controller';
  return `${kind.toLowerCase()}-controller`;
}
