/** One run of a container, made ready: its record and its OCI configuration from the pod, the node and the volumes. */
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Container, Pod } from '../../kube/core.ts';
import type { Image } from '../images/catalog.ts';
import { type OciConfig, type OciMount, ociConfig } from './bundle.ts';
import type { PodFacts } from './downward.ts';
import { ConfigError, containerEnvironment } from './env.ts';
import type { InstanceRecord } from './instance.ts';
import type { NodeContext } from './nodecontext.ts';
import { hostsFile, podHostname, resolvConf } from './podnet.ts';
import type { Sandbox } from './sandbox.ts';
import { StartProblem } from './startproblem.ts';
import { MountError, type PodVolumes, type VolumeSources } from './volumes.ts';

/** What is there of a pod on its node. */
export interface PodOnNode {
  pod: Pod;
  context: NodeContext;
  volumes: PodVolumes;
  sandbox: Sandbox | undefined;
}

const retryMs = 10_000;

/** Throws StartProblem for what the container asks and cannot have. */
export async function prepareRun(
  on: PodOnNode,
  container: Container,
  { image, name }: { image: Image; name: string },
  attempt: number,
): Promise<{ record: InstanceRecord; config: OciConfig }> {
  const { pod, context } = on;
  const uid = pod.metadata.uid ?? '';
  const id = randomBytes(32).toString('hex');
  const messagePath = join(context.root, 'pods', uid, 'containers', container.name, id.slice(0, 8));
  const logs = join(context.podLogs, podFolder(pod), container.name);
  try {
    await mkdir(dirname(messagePath), { recursive: true });
    await writeFile(messagePath, '', { mode: 0o666 });
    const config = await configOf(on, container, image, messagePath);
    return {
      config,
      record: {
        id,
        podUid: uid,
        container: container.name,
        attempt,
        image: name,
        imageId: `${image.repository}@sha256:${context.imageDigest(image)}`,
        logPath: join(logs, `${attempt}.log`),
        messagePath,
        messageFallback: container.terminationMessagePolicy === 'FallbackToLogsOnError',
        pid: 0,
        start: 0,
      },
    };
  } catch (error) {
    if (!(error instanceof ConfigError || error instanceof MountError)) throw error;
    throw new StartProblem('CreateContainerConfigError', error.message, retryMs);
  }
}

/** Name of a pod's folder of logs. */
export function podFolder({ metadata }: Pod): string {
  return `${metadata.namespace}_${metadata.name}_${metadata.uid}`;
}

export function volumeSources(on: PodOnNode): VolumeSources {
  const { pod, context } = on;
  return { ...objectSources(on), token: wish => context.tokens.get(pod, wish), facts: podFacts(on) };
}

async function configOf(
  on: PodOnNode,
  container: Container,
  image: Image,
  messagePath: string,
): Promise<OciConfig> {
  const { pod, context, volumes, sandbox } = on;
  const { name, namespace = 'default', uid = '' } = pod.metadata;
  const hostname = podHostname(pod, context.nodeName);
  return ociConfig({
    pod,
    container,
    image: image.config,
    environment: containerEnvironment(pod, container, {
      ...objectSources(on),
      services: context.services(namespace),
      facts: podFacts(on),
    }),
    ...(sandbox?.network && { netns: sandbox.network.attachment.netns }),
    hostname,
    mounts: [
      ...context.systemMounts,
      ...(await etcMounts(on, container, hostname)),
      {
        destination: container.terminationMessagePath || '/dev/termination-log',
        type: 'bind',
        source: messagePath,
        options: ['bind', 'rw'],
      },
      ...(await volumes.mounts(pod, container)),
    ],
    shm: await volumes.shm(),
    homes: context.homes,
    machineCapabilities: context.machineCapabilities,
    annotations: {
      'io.kubernetes.pod.name': name,
      'io.kubernetes.pod.namespace': namespace,
      'io.kubernetes.pod.uid': uid,
      'io.kubernetes.container.name': container.name,
    },
  });
}

async function etcMounts(
  { pod, context, volumes, sandbox }: PodOnNode,
  container: Container,
  hostname: string,
): Promise<OciMount[]> {
  const own = new Set((container.volumeMounts ?? []).map(mount => mount.mountPath.replace(/\/+$/, '')));
  const files = await volumes.etcFiles({
    hosts: hostsFile(pod, hostname, sandbox?.ips ?? [], context.nodeHosts),
    hostname: `${hostname}\n`,
    'resolv.conf': resolvConf(pod, context.dns),
  });
  return Object.entries(files)
    .filter(([name]) => !own.has(`/etc/${name}`) && !own.has('/etc'))
    .map(([name, source]) => ({
      destination: `/etc/${name}`,
      type: 'bind',
      source,
      options: ['bind', 'rprivate', 'rw'],
    }));
}

function podFacts({ context, sandbox }: PodOnNode): PodFacts {
  const { nodeName, nodeIps, cpus, memoryBytes } = context;
  return { nodeName, hostIps: nodeIps, podIps: sandbox?.ips ?? [], cpus, memoryBytes };
}

function objectSources({ pod, context }: PodOnNode) {
  const { objects } = context;
  const { namespace = 'default' } = pod.metadata;
  return {
    secret: (name: string) => objects.secret(namespace, name),
    configMap: (name: string) => objects.configMap(namespace, name),
  };
}
