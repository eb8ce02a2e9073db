/** Keeps what is served equal to the CustomResourceDefinitions that are stored, and tells so in their conditions. */
import type { Api, Call } from '../api.ts';
import {
  clone,
  equal,
  type JsonObject,
  type KubeObject,
  objects,
  record,
  text,
  timestamp,
} from '../object.ts';
import { CLEANUP, customresourcedefinitions } from '../registry/definitions.ts';
import { remove } from '../remove.ts';
import type { Stored } from '../store.ts';
import { save } from '../write.ts';
import { definedResources } from './resources.ts';

const STORAGE = customresourcedefinitions.storage;

/** Starts with the definitions stored; returns what ends it. */
export function serveDefinitions(api: Api): () => void {
  let scheduled: NodeJS.Immediate | undefined;
  let closed = false;
  const defined = new Set<string>();
  const publish = () => {
    const all = api.store.list(STORAGE).flatMap(stored => definedResources(stored.object));
    defined.clear();
    for (const item of all) defined.add(item.storage);
    api.registry.custom(all);
  };
  const reconcile = () => {
    scheduled = undefined;
    for (const stored of api.store.list(STORAGE)) if (!closed) settle(api, stored);
  };
  const stop = api.store.onChange(({ resource, type, previous, stored }) => {
    const definition = resource === STORAGE;
    // What is committed from within a listener would overtake this change: settle later.
    if (definition || (type === 'DELETED' && defined.has(resource))) scheduled ??= setImmediate(reconcile);
    if (definition && (type !== 'MODIFIED' || !equal(previous?.object.spec, stored.object.spec))) publish();
  });
  publish();
  reconcile();
  return () => {
    closed = true;
    if (scheduled) clearImmediate(scheduled);
    stop();
  };
}

function settle(api: Api, stored: Stored): void {
  const next = clone(stored.object);
  const status = record(next, 'status');
  next.status = status;
  if (next.metadata.deletionTimestamp) {
    const left = cleanUp(api, next);
    setCondition(
      api,
      status,
      'Terminating',
      'InstanceDeletionInProgress',
      'CustomResource deletion is in progress',
    );
    if (left === 0)
      next.metadata.finalizers = (next.metadata.finalizers ?? []).filter(item => item !== CLEANUP);
  } else {
    status.acceptedNames = record(next, 'spec', 'names');
    setCondition(api, status, 'NamesAccepted', 'NoConflicts', 'no conflicts found');
    setCondition(api, status, 'Established', 'InitialNamesAccepted', 'the initial names have been accepted');
  }
  save(internal(api, customresourcedefinitions, stored), stored, next);
}

function setCondition(api: Api, status: JsonObject, type: string, reason: string, message: string): void {
  const conditions = objects(status, 'conditions');
  if (conditions.some(item => item.type === type && item.status === 'True')) return;
  const others = conditions.filter(item => item.type !== type);
  status.conditions = [
    ...others,
    { type, status: 'True', reason, message, lastTransitionTime: timestamp(api.now()) },
  ];
}

/** Deletes the objects of a definition that goes; how many are still there. */
function cleanUp(api: Api, definition: KubeObject): number {
  const [resource] = definedResources(definition);
  const storage = `${text(definition, 'spec', 'names', 'plural')}.${text(definition, 'spec', 'group')}`;
  if (!resource) return api.store.list(storage).length;
  for (const stored of api.store.list(storage))
    if (!stored.object.metadata.deletionTimestamp) remove(internal(api, resource, stored), stored, {});
  return api.store.list(storage).length;
}

/** A call of the server's own. */
function internal(api: Api, resource: Call['resource'], stored: Stored): Call {
  return {
    api,
    resource,
    user: { name: 'system:apiserver', groups: ['system:masters'] },
    request: {
      verb: 'update',
      group: resource.group,
      version: resource.version,
      plural: resource.plural,
      namespace: stored.namespace,
      name: stored.name,
      selected: stored.name,
      subresource: '',
    },
    options: { dryRun: false, fieldManager: 'kube-apiserver', fieldValidation: 'Ignore', force: false },
    warn: () => undefined,
  };
}
