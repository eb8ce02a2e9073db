/** Kinds that the server stores and nothing in the lab acts on: whoever creates one is told so, and what to use instead. */
import type { Call } from './api.ts';

const VOLUMES = 'use a volume of type emptyDir or hostPath';

/** What does not happen, and the remedy, by where the objects are stored. */
const IDLE: Readonly<Record<string, string>> = {
  'cronjobs.batch': 'runs a CronJob: start it by hand with kubectl create job NAME --from=cronjob/CRONJOB',
  'csidrivers.storage.k8s.io': `calls a CSIDriver: ${VOLUMES}`,
  'ingressclasses.networking.k8s.io': 'serves an Ingress of any IngressClass: use a Service',
  'ingresses.networking.k8s.io': 'serves an Ingress: use a Service',
  limitranges: 'applies a LimitRange: pods keep the requests and limits that they name themselves',
  'networkpolicies.networking.k8s.io': 'enforces a NetworkPolicy: no traffic is denied by it',
  persistentvolumeclaims: `binds a PersistentVolumeClaim: ${VOLUMES}`,
  persistentvolumes: `binds a PersistentVolume: ${VOLUMES}`,
  'poddisruptionbudgets.policy':
    'counts the pods of a PodDisruptionBudget: it refuses every eviction of its running pods until you delete it',
  replicationcontrollers: 'runs a ReplicationController: create a Deployment',
  resourcequotas: 'enforces a ResourceQuota: nothing is refused for it',
  'runtimeclasses.node.k8s.io': 'reads a RuntimeClass: all pods run alike',
  'storageclasses.storage.k8s.io': `provisions volumes of a StorageClass: ${VOLUMES}`,
};

/** Adds the Warning of a kind that nothing acts on. */
export function warnIdle({ resource, warn }: Call): void {
  const what = resource.custom || !Object.hasOwn(IDLE, resource.storage) ? undefined : IDLE[resource.storage];
  if (what) warn(`nothing in this lab ${what}`);
}
