/** Subresources with behaviour of their own: scale, binding, eviction, finalize, token. */
import { type Call, view } from './api.ts';
import { jsonPath } from './crd/jsonpath.ts';
import {
  at,
  clone,
  count,
  ensure,
  isObject,
  type JsonObject,
  type KubeObject,
  objects,
  put,
  record,
  strings,
  text,
  timestamp,
} from './object.ts';
import { find } from './read.ts';
import { selectorText } from './registry/columns.ts';
import { deleteOptions, remove } from './remove.ts';
import { badRequest, conflict, forbidden, invalid, invalidValue, notFound, StatusError } from './status.ts';
import type { Stored } from './store.ts';
import { type Outcome, save, update } from './write.ts';

export interface Answer {
  readonly code: number;
  readonly object: JsonObject;
}

/** The Scale of an object. */
export function scaleOf({ resource }: Call, stored: Stored): JsonObject {
  const { object } = view(resource, stored);
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  const paths = resource.custom?.scale;
  const find = (path: string) => jsonPath(path)(object)[0];
  const selector = paths
    ? String((paths.selector && find(paths.selector)) || '')
    : plainSelector(selectorText(record(object, 'spec', 'selector')));
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: { replicas: paths ? Number(find(paths.replicas) ?? 0) : count(object, 'spec', 'replicas') },
    status: {
      replicas: paths ? Number(find(paths.status) ?? 0) : count(object, 'status', 'replicas'),
      ...(selector ? { selector } : {}),
    },
  };
}

const plainSelector = (words: string) => (words === '<none>' ? '' : words);

/** Sets the number of replicas from a Scale. */
export function setScale(call: Call, stored: Stored, scale: unknown): Outcome {
  const { resource, request } = call;
  if (!isObject(scale) || scale.kind !== 'Scale')
    throw badRequest('the body of a request for scale has to be a Scale');
  const replicas = at(scale, 'spec', 'replicas') ?? 0;
  if (!Number.isInteger(replicas) || (replicas as number) < 0)
    throw invalid('Scale', 'autoscaling', request.name, [
      invalidValue('spec.replicas', replicas, 'must be greater than or equal to 0'),
    ]);
  const next = clone(view(resource, stored).object);
  const version = text(scale, 'metadata', 'resourceVersion');
  if (version) next.metadata.resourceVersion = version;
  const path = resource.custom?.scale?.replicas.split('.').filter(part => part) ?? ['spec', 'replicas'];
  put(ensure(next, ...path.slice(0, -1)), path.at(-1) as string, replicas);
  return update(call, stored, next, 'scale');
}

const PODS = { plural: 'pods', group: '' };

/** Binds a pod to a node. */
export function bind(call: Call, body: unknown): Answer {
  const { api, request } = call;
  const node = text(body, 'target', 'name');
  const name = request.name || text(body, 'metadata', 'name');
  if (!node)
    throw invalid('Binding', '', name, [
      { field: 'target.name', reason: 'FieldValueRequired', message: 'Required value' },
    ]);
  const stored = api.store.get('pods', request.namespace, name);
  if (!stored) throw notFound(PODS, name);
  const pod = clone(stored.object);
  const conflicted = (why: string) => conflict({ plural: 'pods/binding', group: '' }, name, why);
  const uid = text(body, 'metadata', 'uid');
  if (uid && uid !== pod.metadata.uid)
    throw conflicted(
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${pod.metadata.uid}`,
    );
  if (pod.metadata.deletionTimestamp)
    throw conflicted(`pod ${name} is being deleted, cannot be assigned to a host`);
  const bound = text(pod, 'spec', 'nodeName');
  if (bound) throw conflicted(`pod ${name} is already assigned to node "${bound}"`);
  if (objects(pod, 'spec', 'schedulingGates').length)
    throw conflicted(`pod ${name} has non-empty .spec.schedulingGates`);
  record(pod, 'spec').nodeName = node;
  const annotations = record(body, 'metadata', 'annotations') as Record<string, string>;
  if (Object.keys(annotations).length)
    pod.metadata.annotations = { ...pod.metadata.annotations, ...annotations };
  const status = ensure(pod, 'status');
  const others = objects(status, 'conditions').filter(item => item.type !== 'PodScheduled');
  const scheduled = {
    type: 'PodScheduled',
    status: 'True',
    lastProbeTime: null,
    lastTransitionTime: timestamp(api.now()),
  };
  status.conditions = [...others, scheduled];
  save({ ...call, resource: podResource(call) }, stored, pod);
  return { code: 201, object: success() };
}

function podResource({ api }: Call): Call['resource'] {
  return api.registry.find('', 'v1', 'pods') as Call['resource'];
}

function success(): JsonObject {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 };
}

/** Deletes a pod, unless a disruption budget forbids it. */
export function evict(call: Call, body: unknown, query: URLSearchParams): Answer {
  const stored = find(call);
  const pod = stored.object;
  const labels = pod.metadata.labels ?? {};
  const running = !['Succeeded', 'Failed', 'Pending'].includes(text(pod, 'status', 'phase'));
  const budgets = call.api.store
    .list('poddisruptionbudgets.policy', stored.namespace)
    .filter(({ object }) => {
      const wanted = Object.entries(record(object, 'spec', 'selector', 'matchLabels'));
      return wanted.length > 0 && wanted.every(([key, value]) => labels[key] === value);
    });
  const full = budgets.find(({ object }) => count(object, 'status', 'disruptionsAllowed') <= 0);
  if (full && running && !pod.metadata.deletionTimestamp)
    throw new StatusError(
      429,
      'TooManyRequests',
      "Cannot evict pod as it would violate the pod's disruption budget.",
      {
        causes: [
          {
            reason: 'DisruptionBudget',
            message: `The disruption budget ${full.name} needs more healthy pods`,
          },
        ],
      },
    );
  const options = deleteOptions(at(body, 'deleteOptions'), query);
  remove(options.dryRun ? { ...call, options: { ...call.options, dryRun: true } } : call, stored, options);
  return { code: 201, object: success() };
}

/** Sets the finalizers in a namespace's spec; the namespace goes when none are left. */
export function finalize(call: Call, body: unknown): Answer {
  const stored = find(call);
  const next = clone(stored.object);
  const finalizers = strings(body, 'spec', 'finalizers');
  next.spec = finalizers.length ? { finalizers } : {};
  const version = text(body, 'metadata', 'resourceVersion');
  if (version && version !== stored.object.metadata.resourceVersion)
    throw conflict(
      call.resource,
      stored.name,
      'the object has been modified; please apply your changes to the latest version and try again',
    );
  return { code: 200, object: save(call, stored, next).stored.object };
}

const SHORTEST = 600;
const LONGEST = 2 ** 32;

/** A token of a service account, bound to a pod where one is named. */
export function requestToken(call: Call, asked: KubeObject): Answer {
  const { api } = call;
  const account = find(call);
  const spec = record(asked, 'spec');
  const seconds = typeof spec.expirationSeconds === 'number' ? spec.expirationSeconds : 3600;
  if (seconds < SHORTEST || seconds > LONGEST)
    throw invalid('TokenRequest', 'authentication.k8s.io', account.name, [
      invalidValue(
        'spec.expirationSeconds',
        seconds,
        seconds < SHORTEST
          ? 'may not specify a duration less than 10 minutes'
          : 'may not specify a duration larger than 2^32 seconds',
      ),
    ]);
  const reference = record(spec, 'boundObjectRef');
  const kind = text(reference, 'kind');
  if (kind && kind !== 'Pod' && kind !== 'Secret' && kind !== 'Node')
    throw badRequest(`cannot bind token for serviceaccount "${account.name}" to object of type ${kind}`);
  const bound = kind
    ? boundObject(call, kind as 'Pod', text(reference, 'name'), text(reference, 'uid'))
    : undefined;
  const nodeName = kind === 'Pod' ? text(bound?.object, 'spec', 'nodeName') : '';
  restrictToNode(call, kind, nodeName);
  const node = nodeName ? api.store.get('nodes', '', nodeName)?.object.metadata : undefined;
  const { token, expires } = api.tokens.issue({
    namespace: account.namespace,
    account: { name: account.name, uid: account.object.metadata.uid ?? '' },
    audiences: strings(spec, 'audiences'),
    lifetime: seconds,
    ...(bound
      ? { bound: { kind: kind as 'Pod', name: bound.name, uid: bound.object.metadata.uid ?? '' } }
      : {}),
    ...(node ? { node: { name: node.name, uid: node.uid ?? '' } } : {}),
  });
  const metadata = {
    name: account.name,
    namespace: account.namespace,
    creationTimestamp: timestamp(api.now()),
  };
  const status = { token, expirationTimestamp: timestamp(expires) };
  return { code: 201, object: { ...asked, metadata, spec: { ...spec, expirationSeconds: seconds }, status } };
}

function boundObject(call: Call, kind: 'Pod' | 'Secret' | 'Node', name: string, uid: string): Stored {
  const plural = { Pod: 'pods', Secret: 'secrets', Node: 'nodes' }[kind];
  const found = call.api.store.get(plural, kind === 'Node' ? '' : call.request.namespace, name);
  if (!found) throw notFound({ plural, group: '' }, name);
  if (uid && uid !== found.object.metadata.uid)
    throw conflict(
      { plural, group: '' },
      name,
      `the UID in the bound object reference (${uid}) does not match the UID in record. The object might have been deleted and then recreated`,
    );
  return found;
}

/** A kubelet asks for tokens of pods that run on its node alone. */
function restrictToNode({ user, request }: Call, kind: string, nodeName: string): void {
  if (!user.groups.includes('system:nodes')) return;
  if (kind !== 'Pod' || `system:node:${nodeName}` !== user.name)
    throw forbidden(
      { plural: 'serviceaccounts', group: '' },
      request.name,
      'node requested token bound to a pod scheduled on a different node',
    );
}
