/** OCI runtime configuration (opencontainers/runtime-spec, config.md) of a pod's container. Pure. */
import type { Container, Pod } from '../../kube/core.ts';
import type { ImageConfig } from '../images/catalog.ts';
import { capabilitiesOf } from './capabilities.ts';
import { ConfigError, expand } from './env.ts';

export interface OciMount {
  destination: string;
  type?: string;
  source?: string;
  options?: string[];
}

export interface OciProcess {
  terminal: boolean;
  user: { uid: number; gid: number; additionalGids?: number[] };
  args: string[];
  env: string[];
  cwd: string;
  capabilities: Record<'bounding' | 'effective' | 'permitted' | 'inheritable' | 'ambient', string[]>;
  noNewPrivileges: boolean;
  oomScoreAdj?: number;
}

export interface OciConfig {
  ociVersion: string;
  process: OciProcess;
  root: { path: string; readonly: boolean };
  hostname?: string;
  mounts: OciMount[];
  annotations: Record<string, string>;
  linux: {
    namespaces: { type: string; path?: string }[];
    maskedPaths?: string[];
    readonlyPaths?: string[];
    rootfsPropagation?: string;
    sysctl?: Record<string, string>;
  };
}

export interface BundleInput {
  pod: Pod;
  container: Container;
  image: ImageConfig;
  environment: Record<string, string>;
  /** Absolute path of the network namespace; undefined with hostNetwork. */
  netns?: string;
  hostname: string;
  /** Volumes, /etc/hosts and the like, and what the lab itself needs. */
  mounts: OciMount[];
  /** A folder for /dev/shm, the pod's own. */
  shm: string;
  /** Home folder by uid, from the machine's user list. */
  homes: Map<number, string>;
  /** Capabilities that the machine has to give; all, unless told. */
  machineCapabilities?: string[];
  annotations: Record<string, string>;
}

/** Throws ConfigError for what the pod asks and cannot have. */
export function ociConfig(input: BundleInput): OciConfig {
  const { pod, container, netns, hostname } = input;
  const context = container.securityContext ?? {};
  const privileged = context.privileged ?? false;
  const sysctl = Object.fromEntries(
    (pod.spec.securityContext?.sysctls ?? []).map(({ name, value }) => [name, value]),
  );
  const own = pod.spec.hostNetwork ? [] : [{ type: 'uts' }, { type: 'network', path: netns! }];
  const bidirectional = (container.volumeMounts ?? []).some(
    mount => mount.mountPropagation === 'Bidirectional',
  );
  return {
    ociVersion: '1.0.2',
    process: processOf(input),
    root: { path: 'rootfs', readonly: context.readOnlyRootFilesystem ?? false },
    ...(!pod.spec.hostNetwork && { hostname }),
    mounts: [...systemMounts(privileged, input.shm), ...byDepth(input.mounts)],
    annotations: input.annotations,
    linux: {
      namespaces: [
        { type: 'mount' },
        ...(pod.spec.hostPID ? [] : [{ type: 'pid' }]),
        ...(pod.spec.hostIPC ? [] : [{ type: 'ipc' }]),
        ...own,
      ],
      ...(!privileged && { maskedPaths, readonlyPaths }),
      ...(bidirectional && { rootfsPropagation: 'rshared' }),
      ...(Object.keys(sysctl).length > 0 && { sysctl }),
    },
  };
}

function processOf(input: BundleInput): OciProcess {
  const { pod, container, image, environment, hostname, homes } = input;
  const context = container.securityContext ?? {};
  const user = userOf(pod, container, image);
  const home = homes.get(user.uid) ?? '/';
  const env: Record<string, string> = {
    ...image.env,
    HOSTNAME: hostname,
    HOME: home,
    ...(container.tty && { TERM: 'xterm' }),
    ...environment,
  };
  const words = (list: string[]) => list.map(word => expand(word, env));
  const args =
    container.command !== undefined && container.command.length > 0
      ? [...words(container.command), ...words(container.args ?? [])]
      : [...image.entrypoint, ...(container.args?.length ? words(container.args) : image.cmd)];
  if (args.length === 0) throw new ConfigError('no command specified');
  let capabilities: string[];
  try {
    capabilities = capabilitiesOf(context, input.machineCapabilities);
  } catch (error) {
    throw new ConfigError((error as Error).message);
  }
  const usable = user.uid === 0 ? capabilities : [];
  return {
    terminal: container.tty ?? false,
    user,
    args,
    env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
    cwd: container.workingDir || image.workdir || '/',
    capabilities: {
      bounding: capabilities,
      effective: usable,
      permitted: usable,
      inheritable: [],
      ambient: [],
    },
    noNewPrivileges: context.allowPrivilegeEscalation === false,
  };
}

function userOf(pod: Pod, container: Container, image: ImageConfig): OciProcess['user'] {
  const whole = pod.spec.securityContext ?? {};
  const own = container.securityContext ?? {};
  const uid = own.runAsUser ?? whole.runAsUser ?? image.user?.uid ?? 0;
  const gid = own.runAsGroup ?? whole.runAsGroup ?? (uid === image.user?.uid ? image.user.gid : 0);
  const groups = [
    ...(whole.supplementalGroups ?? []),
    ...(whole.fsGroup === undefined ? [] : [whole.fsGroup]),
  ];
  if ((own.runAsNonRoot ?? whole.runAsNonRoot) && uid === 0) {
    throw new ConfigError('container has runAsNonRoot and image will run as root');
  }
  return { uid, gid, ...(groups.length > 0 && { additionalGids: groups }) };
}

function systemMounts(privileged: boolean, shm: string): OciMount[] {
  const access = privileged ? 'rw' : 'ro';
  const proc = { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] };
  const sys = {
    destination: '/sys',
    type: 'sysfs',
    source: 'sysfs',
    options: ['nosuid', 'noexec', 'nodev', access],
  };
  const cgroup = {
    destination: '/sys/fs/cgroup',
    type: 'bind',
    source: '/sys/fs/cgroup',
    options: ['rbind', 'nosuid', 'noexec', 'nodev', access],
  };
  const shmMount = {
    destination: '/dev/shm',
    type: 'bind',
    source: shm,
    options: ['rbind', 'nosuid', 'nodev'],
  };
  const pts = {
    destination: '/dev/pts',
    type: 'devpts',
    source: 'devpts',
    options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
  };
  const dev = privileged
    ? [{ destination: '/dev', type: 'bind', source: '/dev', options: ['rbind', 'rslave'] }, pts]
    : [
        {
          destination: '/dev',
          type: 'tmpfs',
          source: 'tmpfs',
          options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
        },
        pts,
        {
          destination: '/dev/mqueue',
          type: 'mqueue',
          source: 'mqueue',
          options: ['nosuid', 'noexec', 'nodev'],
        },
      ];
  return [proc, sys, cgroup, ...dev, shmMount];
}

/** Parents before what is mounted below them. */
function byDepth(mounts: OciMount[]): OciMount[] {
  const depth = ({ destination }: OciMount) => destination.split('/').filter(Boolean).length;
  return [...mounts].sort((a, b) => depth(a) - depth(b));
}

const maskedPaths = [
  ...['/proc/asound', '/proc/acpi', '/proc/kcore', '/proc/keys', '/proc/latency_stats', '/proc/timer_list'],
  ...['/proc/timer_stats', '/proc/sched_debug', '/sys/firmware', '/proc/scsi'],
];
const readonlyPaths = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];
