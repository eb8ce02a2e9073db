/** Which types of objects the API server has, custom ones included. */
import type { KubeClient } from '../../kube/client.ts';
import { apiError } from '../../kube/errors.ts';
import type { ResourceType } from '../../kube/types.ts';

export interface DiscoveredType {
  type: ResourceType;
  verbs: readonly string[];
}

interface ResourceList {
  resources?: { name: string; kind: string; namespaced: boolean; verbs?: string[] }[];
}

/** Every type in its preferred version, without subresources. */
export async function discover(client: KubeClient): Promise<DiscoveredType[]> {
  const { groups = [] } = await read<{ groups?: { preferredVersion?: { groupVersion: string } }[] }>(
    client,
    '/apis',
  );
  const versions = ['v1', ...groups.flatMap(({ preferredVersion }) => preferredVersion?.groupVersion ?? [])];
  const lists = await Promise.all(versions.map(version => typesOf(client, version)));
  return lists.flat();
}

async function typesOf(client: KubeClient, apiVersion: string): Promise<DiscoveredType[]> {
  const path = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const { resources = [] } = await read<ResourceList>(client, path);
  return resources
    .filter(({ name }) => !name.includes('/'))
    .map(({ name, kind, namespaced, verbs = [] }) => ({
      type: { apiVersion, kind, plural: name, namespaced },
      verbs,
    }));
}

async function read<T>(client: KubeClient, path: string): Promise<T> {
  const { status, body } = await client.raw('GET', path, undefined, { accept: 'application/json' });
  if (status >= 400) throw apiError(status, body.toString(), `GET ${path}`);
  return JSON.parse(body.toString()) as T;
}
