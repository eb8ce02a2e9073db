/** Discovery: the aggregated documents and the older ones, group by group. */
import { createHash } from 'node:crypto';
import type { JsonObject } from './object.ts';
import type { Registry } from './registry/registry.ts';
import { apiVersion, type Resource } from './registry/resource.ts';

/** Groups in the order in which kubectl prefers them. */
const ORDER = ['', 'apps', 'authentication.k8s.io', 'authorization.k8s.io', 'autoscaling', 'batch'];

export interface Group {
  readonly name: string;
  readonly versions: ReadonlyMap<string, readonly Resource[]>;
}

export function groups(registry: Registry): Group[] {
  const found = new Map<string, Map<string, Resource[]>>();
  for (const resource of registry.all()) {
    const versions = found.get(resource.group) ?? new Map<string, Resource[]>();
    found.set(resource.group, versions);
    versions.set(resource.version, [...(versions.get(resource.version) ?? []), resource]);
  }
  return [...found]
    .map(([name, versions]) => ({
      name,
      versions: new Map([...versions].sort(([a], [b]) => precedence(a, b))),
    }))
    .sort((a, b) => rank(a.name) - rank(b.name) || (a.name < b.name ? -1 : 1));
}

const rank = (group: string) => (ORDER.includes(group) ? ORDER.indexOf(group) : ORDER.length);

/** Orders versions as Kubernetes does: v2 before v1, v1 before v1beta2, v1beta1 before v1alpha1, others last. */
export function precedence(a: string, b: string): number {
  const read = (version: string) => /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version);
  const [left, right] = [read(a), read(b)];
  if (!left || !right) return left ? -1 : right ? 1 : a < b ? -1 : 1;
  const stage = (match: RegExpExecArray) => (match[2] === 'alpha' ? 0 : match[2] === 'beta' ? 1 : 2);
  return (
    stage(right) - stage(left) ||
    Number(right[1]) - Number(left[1]) ||
    Number(right[3] ?? 0) - Number(left[3] ?? 0)
  );
}

/** APIGroupDiscoveryList of apidiscovery.k8s.io, for the core group alone or for all others. */
export function aggregated(
  registry: Registry,
  core: boolean,
  version: string,
): { json: string; etag: string } {
  const items = groups(registry)
    .filter(group => (group.name === '') === core)
    .map(group => ({
      metadata: { ...(group.name ? { name: group.name } : {}), creationTimestamp: null },
      versions: [...group.versions].map(([name, resources]) => ({
        version: name,
        resources: resources.map(resource => aggregatedResource(resource)),
        freshness: 'Current',
      })),
    }));
  const json = JSON.stringify({
    kind: 'APIGroupDiscoveryList',
    apiVersion: `apidiscovery.k8s.io/${version}`,
    metadata: {},
    items,
  });
  return { json, etag: `"${createHash('sha256').update(json).digest('hex').toUpperCase()}"` };
}

function aggregatedResource(resource: Resource): JsonObject {
  const { group, version, kind } = resource;
  return {
    resource: resource.plural,
    responseKind: { group, version, kind },
    scope: resource.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: resource.singular,
    verbs: resource.verbs,
    ...(resource.shortNames.length ? { shortNames: resource.shortNames } : {}),
    ...(resource.categories.length ? { categories: resource.categories } : {}),
    ...(resource.subresources.length
      ? {
          subresources: resource.subresources.map(sub => ({
            subresource: sub.name,
            responseKind: { group: sub.group ?? group, version: sub.version ?? version, kind: sub.kind },
            verbs: sub.verbs,
          })),
        }
      : {}),
  };
}

export function legacyVersions(server: string): JsonObject {
  return {
    kind: 'APIVersions',
    versions: ['v1'],
    serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: server }],
  };
}

export function groupList(registry: Registry): JsonObject {
  return {
    kind: 'APIGroupList',
    apiVersion: 'v1',
    groups: groups(registry)
      .filter(({ name }) => name !== '')
      .map(group => groupInfo(group)),
  };
}

export function groupDocument(registry: Registry, name: string): JsonObject | undefined {
  const group = groups(registry).find(item => item.name === name);
  return group && { kind: 'APIGroup', apiVersion: 'v1', ...groupInfo(group) };
}

function groupInfo({ name, versions }: Group): JsonObject {
  const listed = [...versions.keys()].map(version => ({ groupVersion: `${name}/${version}`, version }));
  return { name, versions: listed, preferredVersion: listed[0] };
}

/** APIResourceList of one group and version. */
export function resourceList(registry: Registry, group: string, version: string): JsonObject | undefined {
  const resources = registry.all().filter(item => item.group === group && item.version === version);
  if (!resources.length) return undefined;
  return {
    kind: 'APIResourceList',
    ...(group ? { apiVersion: 'v1' } : {}),
    groupVersion: apiVersion({ group, version }),
    resources: resources.flatMap(resource => [
      {
        name: resource.plural,
        singularName: resource.singular,
        namespaced: resource.namespaced,
        kind: resource.kind,
        verbs: resource.verbs,
        ...(resource.shortNames.length ? { shortNames: resource.shortNames } : {}),
        ...(resource.categories.length ? { categories: resource.categories } : {}),
      },
      ...resource.subresources.map(sub => ({
        name: `${resource.plural}/${sub.name}`,
        singularName: '',
        namespaced: resource.namespaced,
        ...(sub.group !== undefined && sub.group !== group ? { group: sub.group, version: sub.version } : {}),
        kind: sub.kind,
        verbs: sub.verbs,
      })),
    ]),
  };
}
