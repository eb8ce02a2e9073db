/** delete and deletecollection: preconditions, grace, finalizers and propagation. */
import { restrictNode } from './admission.ts';
import { type Call, view } from './api.ts';
import { clone, isObject, type JsonObject, type KubeObject, timestamp } from './object.ts';
import { page } from './read.ts';
import { badRequest, conflict, forbidden } from './status.ts';
import type { Stored } from './store.ts';
import { save } from './write.ts';

export interface DeleteOptions {
  readonly gracePeriodSeconds?: number;
  readonly propagationPolicy?: 'Background' | 'Foreground' | 'Orphan';
  readonly uid?: string;
  readonly resourceVersion?: string;
}

/** The options of a delete, from its body and query. */
export function deleteOptions(
  body: unknown,
  query: URLSearchParams,
): DeleteOptions & { readonly dryRun: boolean } {
  const given = isObject(body) ? body : {};
  const grace = given.gracePeriodSeconds ?? numberOf(query.get('gracePeriodSeconds'));
  if (grace !== undefined && grace !== null && !Number.isSafeInteger(grace))
    throw badRequest('gracePeriodSeconds has to be an integer');
  const policy = given.propagationPolicy ?? query.get('propagationPolicy') ?? undefined;
  if (policy !== undefined && !['Background', 'Foreground', 'Orphan'].includes(policy as string))
    throw badRequest(
      `DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: "${policy}": supported values: "Background", "Foreground", "Orphan"`,
    );
  const orphan = given.orphanDependents ?? query.get('orphanDependents') ?? undefined;
  const preconditions = isObject(given.preconditions) ? given.preconditions : {};
  const dryRun = Array.isArray(given.dryRun) ? given.dryRun.includes('All') : query.get('dryRun') === 'All';
  const chosen = policy ?? (orphan === true || orphan === 'true' ? 'Orphan' : undefined);
  return {
    ...(typeof grace === 'number' ? { gracePeriodSeconds: grace } : {}),
    ...(chosen ? { propagationPolicy: chosen as 'Background' } : {}),
    ...(typeof preconditions.uid === 'string' ? { uid: preconditions.uid } : {}),
    ...(typeof preconditions.resourceVersion === 'string'
      ? { resourceVersion: preconditions.resourceVersion }
      : {}),
    dryRun,
  };
}

function numberOf(value: string | null): number | undefined {
  if (value === null || value === '') return undefined;
  return Number(value);
}

const PROTECTED_NAMESPACES = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];

/** Deletes an object, or marks it for deletion; `gone` tells which, `object` is its last state. */
export function remove(
  call: Call,
  old: Stored,
  options: DeleteOptions,
): { gone: boolean; object: KubeObject } {
  const { api, resource } = call;
  const { metadata } = old.object;
  restrictNode(call, old.object);
  if (resource.storage === 'namespaces' && PROTECTED_NAMESPACES.slice(0, 3).includes(old.name))
    throw forbidden(resource, old.name, 'this namespace may not be deleted');
  if (options.uid !== undefined && options.uid !== metadata.uid)
    throw conflict(
      resource,
      old.name,
      `Precondition failed: UID in precondition: ${options.uid}, UID in object meta: ${metadata.uid}`,
    );
  if (options.resourceVersion !== undefined && options.resourceVersion !== metadata.resourceVersion)
    throw conflict(
      resource,
      old.name,
      `Precondition failed: ResourceVersion in precondition: ${options.resourceVersion}, ResourceVersion in object meta: ${metadata.resourceVersion}`,
    );
  const next = clone(view(resource, old).object);
  const grace = resource.strategy.grace?.(next, options.gracePeriodSeconds);
  const earlier = metadata.deletionTimestamp ? (metadata.deletionGracePeriodSeconds ?? 0) : undefined;
  propagate(next, options, earlier !== undefined);
  if (grace) {
    if (earlier === undefined || grace < earlier) mark(next, grace, api.now(), call, earlier);
  } else if (earlier === undefined) mark(next, 0, api.now(), call, undefined);
  else if (earlier > 0 && grace === 0) mark(next, 0, api.now(), call, earlier);
  if (resource.storage === 'namespaces')
    next.status = { ...(next.status as JsonObject), phase: 'Terminating' };
  const { stored, removed } = save(call, old, next);
  return {
    gone: removed === true || (call.options.dryRun && !next.metadata.finalizers?.length && !grace),
    object: view(resource, stored).object,
  };
}

function mark(next: KubeObject, grace: number, now: Date, call: Call, earlier: number | undefined): void {
  const { metadata } = next;
  const from =
    earlier === undefined ? now.getTime() : Date.parse(metadata.deletionTimestamp ?? '') - earlier * 1000;
  metadata.deletionTimestamp = timestamp(new Date(from + grace * 1000));
  metadata.deletionGracePeriodSeconds = grace;
  if (call.resource.strategy.generation && earlier === undefined)
    metadata.generation = (metadata.generation ?? 0) + 1;
}

/** The finalizers by which the garbage collector is asked to deal with dependents first. */
function propagate({ metadata }: KubeObject, { propagationPolicy }: DeleteOptions, deleted: boolean): void {
  if (propagationPolicy === undefined) return;
  const kept = (metadata.finalizers ?? []).filter(item => item !== 'foregroundDeletion' && item !== 'orphan');
  if (propagationPolicy === 'Foreground') kept.push('foregroundDeletion');
  if (propagationPolicy === 'Orphan') kept.push('orphan');
  if (deleted && propagationPolicy === 'Background') return;
  if (kept.length) metadata.finalizers = kept;
  else delete metadata.finalizers;
}

/** Deletes every object that the list options choose. */
export function removeCollection(
  call: Call,
  query: URLSearchParams,
  options: DeleteOptions,
): readonly Stored[] {
  const { items } = page(call, query);
  for (const item of items) {
    const current = call.api.store.get(call.resource.storage, item.namespace, item.name);
    if (current) remove(call, current, options);
  }
  return items;
}
