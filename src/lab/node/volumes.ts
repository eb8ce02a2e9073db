/** A pod's volumes: made, filled, kept up to date, and taken away. */
import { chmod, chown, mkdir, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ConfigMap, Container, DownwardFile, KeyToPath, Pod, Secret, Volume } from '../../kube/core.ts';
import { isSafePath, type VolumeFile, type VolumeFiles, writeAtomically } from './atomicwriter.ts';
import type { OciMount } from './bundle.ts';
import { fieldValue, type PodFacts, resourceValue } from './downward.ts';
import { prepareHostPath } from './hostpath.ts';
import type { ObjectRef } from './objects.ts';

export interface VolumeSources {
  secret(name: string): Secret | undefined;
  configMap(name: string): ConfigMap | undefined;
  token(wish: { audience?: string; expirationSeconds?: number }): Promise<string>;
  facts: PodFacts;
}

/** A volume that cannot be had yet: the pod stays Pending, with an Event. */
export class MountError extends Error {}

/** All Secrets and ConfigMaps that a pod refers to, by volumes and environment. */
export function referredObjects(pod: Pod): ObjectRef[] {
  const namespace = pod.metadata.namespace ?? 'default';
  const refs = new Map<string, ObjectRef>();
  const add = (kind: ObjectRef['kind'], name: string | undefined) => {
    if (name) refs.set(`${kind}/${name}`, { kind, namespace, name });
  };
  for (const volume of pod.spec.volumes ?? []) {
    add('Secret', volume.secret?.secretName);
    add('ConfigMap', volume.configMap?.name);
    for (const source of volume.projected?.sources ?? []) {
      add('Secret', source.secret?.name);
      add('ConfigMap', source.configMap?.name);
    }
  }
  for (const container of [...pod.spec.containers, ...(pod.spec.initContainers ?? [])]) {
    for (const from of container.envFrom ?? []) {
      add('Secret', from.secretRef?.name);
      add('ConfigMap', from.configMapRef?.name);
    }
    for (const { valueFrom } of container.env ?? []) {
      add('Secret', valueFrom?.secretKeyRef?.name);
      add('ConfigMap', valueFrom?.configMapKeyRef?.name);
    }
  }
  return [...refs.values()];
}

export class PodVolumes {
  readonly #root: string;

  /** `root` is the pod's folder: /var/lib/kubelet/pods/UID. */
  constructor(root: string) {
    this.#root = root;
  }

  /** Makes what is missing and refreshes what changed. Throws MountError. */
  async sync(pod: Pod, sources: VolumeSources): Promise<void> {
    await mkdir(this.#root, { recursive: true, mode: 0o750 });
    for (const volume of pod.spec.volumes ?? []) {
      try {
        await this.#prepare(pod, volume, sources);
      } catch (error) {
        throw new MountError(
          `MountVolume.SetUp failed for volume "${volume.name}" : ${(error as Error).message}`,
        );
      }
    }
  }

  /** Bind mounts of a container. Throws MountError. */
  async mounts(pod: Pod, container: Container): Promise<OciMount[]> {
    const mounts: OciMount[] = [];
    for (const { name, mountPath, subPath, readOnly, mountPropagation } of container.volumeMounts ?? []) {
      const volume = pod.spec.volumes?.find(each => each.name === name);
      if (!volume) throw new MountError(`volume "${name}" is not defined`);
      const whole = this.#folder(volume);
      const source = subPath ? await insideVolume(whole, subPath) : whole;
      const propagation =
        mountPropagation === 'Bidirectional'
          ? 'rshared'
          : mountPropagation === 'HostToContainer'
            ? 'rslave'
            : 'rprivate';
      mounts.push({
        destination: mountPath,
        type: 'bind',
        source,
        options: ['rbind', propagation, readOnly || isReadOnly(volume) ? 'ro' : 'rw'],
      });
    }
    return mounts;
  }

  /** /etc/hosts and the like. `content` is by file name. */
  async etcFiles(files: Record<string, string>): Promise<Record<string, string>> {
    const folder = join(this.#root, 'etc');
    await mkdir(folder, { recursive: true, mode: 0o755 });
    const paths: Record<string, string> = {};
    for (const [name, text] of Object.entries(files)) {
      paths[name] = join(folder, name);
      await writeFile(paths[name], text, { mode: 0o644 });
    }
    return paths;
  }

  async shm(): Promise<string> {
    const path = join(this.#root, 'shm');
    await mkdir(path, { recursive: true });
    await chmod(path, 0o1777);
    return path;
  }

  async remove(): Promise<void> {
    await rm(this.#root, { recursive: true, force: true, maxRetries: 3 });
  }

  #folder({ name, hostPath }: Volume): string {
    return hostPath ? hostPath.path : join(this.#root, 'volumes', name);
  }

  async #prepare(pod: Pod, volume: Volume, sources: VolumeSources): Promise<void> {
    const { hostPath, emptyDir, secret, configMap, downwardAPI, projected } = volume;
    if (hostPath) return await prepareHostPath(hostPath.path, hostPath.type);
    const folder = this.#folder(volume);
    const group = pod.spec.securityContext?.fsGroup;
    if (emptyDir) return await emptyFolder(folder, group);
    const files: VolumeFiles = new Map();
    if (secret) {
      secretFiles(files, { ...secret, name: secret.secretName }, secret.defaultMode ?? 0o644, sources);
    } else if (configMap) {
      configMapFiles(files, configMap, configMap.defaultMode ?? 0o644, sources);
    } else if (downwardAPI) {
      downwardFiles(files, pod, downwardAPI.items ?? [], downwardAPI.defaultMode ?? 0o644, sources);
    } else if (projected) {
      const mode = projected.defaultMode ?? 0o644;
      for (const source of projected.sources ?? []) {
        if (source.secret) secretFiles(files, source.secret, mode, sources);
        if (source.configMap) configMapFiles(files, source.configMap, mode, sources);
        if (source.downwardAPI) downwardFiles(files, pod, source.downwardAPI.items ?? [], mode, sources);
        if (source.serviceAccountToken) {
          const { path, ...wish } = source.serviceAccountToken;
          put(files, path, { data: Buffer.from(await sources.token(wish)), mode });
        }
      }
    } else {
      const kind = Object.keys(volume).find(key => key !== 'name') ?? 'unknown';
      throw new Error(
        `volumes of type ${kind} are not in this lab; use emptyDir, hostPath, secret, configMap, downwardAPI or projected`,
      );
    }
    await writeAtomically(folder, files, group);
  }
}

function isReadOnly({ secret, configMap, downwardAPI, projected }: Volume): boolean {
  return Boolean(secret || configMap || downwardAPI || projected);
}

async function emptyFolder(folder: string, group: number | undefined): Promise<void> {
  if (await stat(folder).catch(() => undefined)) return;
  await mkdir(folder, { recursive: true });
  await chmod(folder, group === undefined ? 0o777 : 0o2777);
  if (group !== undefined) await chown(folder, 0, group);
}

interface KeyedSource {
  name?: string | undefined;
  items?: KeyToPath[];
  optional?: boolean;
}

function secretFiles(files: VolumeFiles, source: KeyedSource, mode: number, sources: VolumeSources): void {
  const { name = '' } = source;
  const secret = sources.secret(name);
  if (!secret && !source.optional) throw new Error(`secret "${name}" not found`);
  const data = decoded(secret?.data);
  keyedFiles(files, data, source, mode, `secret "${name}"`);
}

function configMapFiles(files: VolumeFiles, source: KeyedSource, mode: number, sources: VolumeSources): void {
  const { name = '' } = source;
  const map = sources.configMap(name);
  if (!map && !source.optional) throw new Error(`configmap "${name}" not found`);
  const data = decoded(map?.binaryData);
  for (const [key, text] of Object.entries(map?.data ?? {})) data.set(key, Buffer.from(text));
  keyedFiles(files, data, source, mode, `configmap "${name}"`);
}

function keyedFiles(
  files: VolumeFiles,
  data: Map<string, Buffer>,
  { items, optional }: KeyedSource,
  mode: number,
  what: string,
): void {
  if (!items) {
    for (const [key, value] of data) put(files, key, { data: value, mode });
    return;
  }
  for (const item of items) {
    const value = data.get(item.key);
    if (value) put(files, item.path, { data: value, mode: item.mode ?? mode });
    else if (!optional) throw new Error(`references non-existent key ${item.key} of ${what}`);
  }
}

function downwardFiles(
  files: VolumeFiles,
  pod: Pod,
  items: DownwardFile[],
  mode: number,
  sources: VolumeSources,
): void {
  for (const { path, fieldRef, resourceFieldRef, mode: own } of items) {
    const container = pod.spec.containers.find(each => each.name === resourceFieldRef?.containerName);
    const text = fieldRef
      ? fieldValue(pod, fieldRef.fieldPath, sources.facts)
      : resourceFieldRef && container
        ? resourceValue(resourceFieldRef.resource, resourceFieldRef.divisor, container, sources.facts)
        : '';
    put(files, path, { data: Buffer.from(text), mode: own ?? mode });
  }
}

function put(files: VolumeFiles, path: string, file: VolumeFile): void {
  if (!isSafePath(path)) throw new Error(`'${path}' is no path inside a volume`);
  files.set(path, file);
}

function decoded(data: Record<string, string> = {}): Map<string, Buffer> {
  return new Map(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64')]));
}

/** The path below a volume, made as a folder if it is not there; a symbolic link must not lead out of it. */
async function insideVolume(root: string, subPath: string): Promise<string> {
  if (!isSafePath(subPath)) throw new MountError(`subPath "${subPath}" is not inside the volume`);
  const path = join(root, subPath);
  if (!(await stat(path).catch(() => undefined))) await mkdir(path, { recursive: true, mode: 0o755 });
  const [real, top] = await Promise.all([realpath(path), realpath(root)]);
  if (real !== top && !real.startsWith(`${top}/`)) {
    throw new MountError(`subPath "${subPath}" leads out of the volume at ${dirname(path)}`);
  }
  return real;
}
