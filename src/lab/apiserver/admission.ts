/** Admission: what is added to, or refused of, a write beyond its own kind's rules. */

import type { Call } from './api.ts';
import { refuseEscalation } from './auth/escalation.ts';
import {
  count,
  isObject,
  type JsonObject,
  type KubeObject,
  objects,
  preset,
  record,
  text,
} from './object.ts';
import { allContainers } from './registry/podspec.ts';
import { forbidden } from './status.ts';

export function admitCreate(call: Call, object: KubeObject): void {
  restrictNode(call, object);
  refuseEscalation(call, object);
  if (call.resource.storage !== 'pods') return;
  const spec = record(object, 'spec');
  serviceAccount(call, object, spec);
  priority(call, object, spec);
  tolerations(spec);
}

export function admitUpdate(call: Call, object: KubeObject, old: KubeObject): void {
  refuseEscalation(call, object, old);
  if (call.resource.storage !== 'pods') return;
  for (const key of ['priority', 'preemptionPolicy']) {
    const before = record(old, 'spec')[key];
    if (before !== undefined) preset(record(object, 'spec'), key, before);
  }
}

const NODE_USER = 'system:node:';

/** NodeRestriction: a kubelet changes its own Node, Lease and the pods bound to it, and nothing else of these kinds. */
export function restrictNode(call: Call, object: KubeObject): void {
  const { user, resource, request } = call;
  if (!user.groups.includes('system:nodes') || !user.name.startsWith(NODE_USER)) return;
  const node = user.name.slice(NODE_USER.length);
  const { name, namespace } = object.metadata;
  const refuse = (why: string) => forbidden(resource, name, why);
  if (resource.storage === 'nodes' && name !== node)
    throw refuse(`node "${node}" is not allowed to modify node "${name}"`);
  if (resource.storage === 'leases.coordination.k8s.io' && (namespace !== 'kube-node-lease' || name !== node))
    throw refuse(`can only access node lease with the same name as the requesting node`);
  if (resource.storage !== 'pods') return;
  if (request.verb === 'create' && !request.subresource)
    throw refuse(
      `pod does not have "kubernetes.io/config.mirror" annotation, node "${node}" can only create mirror pods`,
    );
  const bound = text(object, 'spec', 'nodeName');
  if (bound !== node)
    throw refuse(
      `node "${node}" can only ${request.verb === 'delete' ? 'delete pods' : 'update pod status for pods'} with spec.nodeName set to itself`,
    );
}

const TOKEN_PATH = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Every pod has a service account, and its token where the account or the pod does not opt out. */
function serviceAccount({ api, resource }: Call, pod: KubeObject, spec: JsonObject): void {
  const name = text(spec, 'serviceAccountName') || 'default';
  spec.serviceAccountName = name;
  spec.serviceAccount = name;
  const namespace = pod.metadata.namespace ?? '';
  const account = api.store.get('serviceaccounts', namespace, name);
  if (!account)
    throw forbidden(
      resource,
      pod.metadata.name,
      `error looking up service account ${namespace}/${name}: serviceaccount "${name}" not found`,
    );
  const secrets = objects(account.object, 'imagePullSecrets');
  if (secrets.length && !objects(spec, 'imagePullSecrets').length) spec.imagePullSecrets = secrets;
  const mounts = spec.automountServiceAccountToken ?? account.object.automountServiceAccountToken;
  if (mounts === false) return;
  const missing = allContainers(spec).filter(
    container => !objects(container, 'volumeMounts').some(mount => mount.mountPath === TOKEN_PATH),
  );
  if (!missing.length) return;
  const present = objects(spec, 'volumes').find(volume =>
    text(volume, 'name').startsWith('kube-api-access-'),
  );
  const volume = present ? text(present, 'name') : `kube-api-access-${suffix(api.random)}`;
  for (const container of missing)
    container.volumeMounts = [
      ...objects(container, 'volumeMounts'),
      { name: volume, readOnly: true, mountPath: TOKEN_PATH },
    ];
  if (!present) spec.volumes = [...objects(spec, 'volumes'), { name: volume, projected: tokenVolume() }];
}

const LETTERS = 'bcdfghjklmnpqrstvwxz2456789';

function suffix(random: () => number): string {
  return Array.from({ length: 5 }, () => LETTERS[Math.floor(random() * LETTERS.length)]).join('');
}

function tokenVolume(): JsonObject {
  return {
    defaultMode: 0o644,
    sources: [
      { serviceAccountToken: { expirationSeconds: 3607, path: 'token' } },
      { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
      {
        downwardAPI: {
          items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }],
        },
      },
    ],
  };
}

/** The number behind the priority class; the default class, or zero, where none is named. */
function priority({ api, resource }: Call, pod: KubeObject, spec: JsonObject): void {
  const name = text(spec, 'priorityClassName');
  const classes = api.store.list('priorityclasses.scheduling.k8s.io');
  const found = name
    ? classes.find(item => item.name === name)
    : classes.find(item => item.object.globalDefault === true);
  if (name && !found)
    throw forbidden(resource, pod.metadata.name, `no PriorityClass with name ${name} was found`);
  const value = found ? count(found.object, 'value') : 0;
  if (isObject(found?.object) && !name) spec.priorityClassName = found.name;
  if (typeof spec.priority === 'number' && spec.priority !== value)
    throw forbidden(
      resource,
      pod.metadata.name,
      `the integer value of priority (${spec.priority}) must not be provided in pod spec; priority admission controller computed ${value} from the given PriorityClass name`,
    );
  spec.priority = value;
  preset(spec, 'preemptionPolicy', found ? text(found.object, 'preemptionPolicy') : 'PreemptLowerPriority');
}

/** Pods leave a node that is not ready, or not reachable, after five minutes, unless they say otherwise. */
function tolerations(spec: JsonObject): void {
  const given = objects(spec, 'tolerations');
  for (const key of ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable']) {
    const tolerated = given.some(
      item =>
        (item.key === key || (!item.key && item.operator === 'Exists')) &&
        (!item.effect || item.effect === 'NoExecute'),
    );
    if (!tolerated) given.push({ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 });
  }
  spec.tolerations = given;
}
