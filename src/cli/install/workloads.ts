/** The programs that run in the cluster: agent and engine on every node, and one operator. */
import { createHash } from 'node:crypto';
import {
  type Container,
  DAEMONSETS,
  type DaemonSet,
  DEPLOYMENTS,
  type Deployment,
  type EnvVar,
  type PodSpec,
  type Probe,
  type ResourceType,
  type SecurityContext,
  type Volume,
  type VolumeMount,
} from '../../kube/types.ts';
import { version } from '../root.ts';
import type { Image, Settings } from '../values/values.ts';
import { CONFIG_NAME } from './config.ts';
import { AGENT, ENGINE, labels, OPERATOR } from './labels.ts';

interface Workload<T extends DaemonSet | Deployment> {
  type: ResourceType<T>;
  object: T;
}

const WIREGUARD_DEVICE = 'cilium_wg0';
const ESP_DEVICE = 'cilium_esp0';
/** Where the engine takes orders for its devices. */
const WIREGUARD_RUN = '/var/run/wireguard';
const ESP_RUN = '/var/run/pellicle';
const WIREGUARD_SOCKET = `${WIREGUARD_RUN}/${WIREGUARD_DEVICE}.sock`;
const ESP_SOCKET = `${ESP_RUN}/${ESP_DEVICE}.sock`;
const OPERATOR_HEALTH_PORT = 9234;

const ENVIRONMENT: EnvVar[] = [
  { name: 'K8S_NODE_NAME', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'spec.nodeName' } } },
  {
    name: 'CILIUM_K8S_NAMESPACE',
    valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } },
  },
  { name: 'POD_NAME', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.name' } } },
];

export function agentDaemonSet(
  settings: Settings,
  config: Record<string, string>,
  namespace: string,
): Workload<DaemonSet> {
  const matchLabels = { 'k8s-app': AGENT };
  const mounts = agentMounts(settings);
  const { type, rollingUpdate } = settings.updateStrategy;
  return {
    type: DAEMONSETS,
    object: {
      apiVersion: DAEMONSETS.apiVersion,
      kind: DAEMONSETS.kind,
      metadata: { name: AGENT, namespace, labels: { ...matchLabels, ...labels('cilium-agent') } },
      spec: {
        selector: { matchLabels },
        updateStrategy: { type, ...(type === 'RollingUpdate' && { rollingUpdate }) },
        template: {
          metadata: {
            labels: { ...matchLabels, ...labels('cilium-agent') },
            annotations: { ...checksum(config), ...settings.podAnnotations },
          },
          spec: {
            ...onEveryNode(AGENT),
            nodeSelector: settings.nodeSelector,
            terminationGracePeriodSeconds: 1,
            containers: [
              {
                name: 'cilium-agent',
                ...imageOf(settings.image),
                command: ['cilium-agent', '--config-map', `${namespace}/${CONFIG_NAME}`],
                env: ENVIRONMENT,
                ...agentProbes(settings.healthPort),
                resources: settings.resources,
                securityContext: agentPrivileges(settings),
                terminationMessagePolicy: 'FallbackToLogsOnError',
                volumeMounts: mounts.map(({ mount }) => mount),
              },
            ],
            volumes: mounts.map(({ volume }) => volume),
          },
        },
      },
    },
  };
}

/**
 * OnDelete: an upgrade of the agents never touches the engines, which carry the traffic meanwhile. The same whatever the
 * encryption: one engine has both devices ready, so that the cluster can move from one to the other.
 */
export function engineDaemonSet(settings: Settings, namespace: string): Workload<DaemonSet> {
  const matchLabels = { 'k8s-app': ENGINE };
  return {
    type: DAEMONSETS,
    object: {
      apiVersion: DAEMONSETS.apiVersion,
      kind: DAEMONSETS.kind,
      metadata: { name: ENGINE, namespace, labels: { ...matchLabels, ...labels(ENGINE) } },
      spec: {
        selector: { matchLabels },
        updateStrategy: { type: 'OnDelete' },
        template: {
          metadata: { labels: { ...matchLabels, ...labels(ENGINE) } },
          spec: {
            ...onEveryNode(ENGINE),
            nodeSelector: settings.nodeSelector,
            automountServiceAccountToken: false,
            terminationGracePeriodSeconds: 1,
            containers: [
              {
                name: ENGINE,
                ...imageOf(settings.image),
                command: ['cilium-engine-init', WIREGUARD_DEVICE, ESP_DEVICE],
                env: [{ name: 'LOG_LEVEL', value: settings.engine.logLevel }],
                readinessProbe: {
                  exec: {
                    command: ['test', '-S', WIREGUARD_SOCKET, '-a', '-S', ESP_SOCKET],
                  },
                  periodSeconds: 5,
                  timeoutSeconds: 3,
                },
                resources: settings.engine.resources,
                // Opening /dev/net/tun takes a device that only privileged containers have.
                securityContext: { privileged: true },
                terminationMessagePolicy: 'FallbackToLogsOnError',
                volumeMounts: [
                  { name: 'wireguard-run', mountPath: WIREGUARD_RUN },
                  { name: 'pellicle-run', mountPath: ESP_RUN },
                  { name: 'dev-net', mountPath: '/dev/net' },
                ],
              },
            ],
            volumes: [
              {
                name: 'wireguard-run',
                hostPath: { path: WIREGUARD_RUN, type: 'DirectoryOrCreate' },
              },
              {
                name: 'pellicle-run',
                hostPath: { path: ESP_RUN, type: 'DirectoryOrCreate' },
              },
              { name: 'dev-net', hostPath: { path: '/dev/net', type: 'DirectoryOrCreate' } },
            ],
          },
        },
      },
    },
  };
}

export function operatorDeployment(
  settings: Settings,
  config: Record<string, string>,
  namespace: string,
): Workload<Deployment> {
  const matchLabels = { 'io.cilium/app': 'operator', name: OPERATOR };
  const { replicas, image, resources } = settings.operator;
  const health: Probe = {
    httpGet: { host: '127.0.0.1', path: '/healthz', port: OPERATOR_HEALTH_PORT, scheme: 'HTTP' },
    periodSeconds: 10,
    timeoutSeconds: 3,
  };
  return {
    type: DEPLOYMENTS,
    object: {
      apiVersion: DEPLOYMENTS.apiVersion,
      kind: DEPLOYMENTS.kind,
      metadata: { name: OPERATOR, namespace, labels: { ...matchLabels, ...labels(OPERATOR) } },
      spec: {
        replicas,
        selector: { matchLabels },
        // Its ports are the node's: two of them do not fit on one node.
        strategy: { type: 'Recreate' },
        template: {
          metadata: {
            labels: { ...matchLabels, ...labels(OPERATOR) },
            annotations: checksum(config),
          },
          spec: {
            ...onEveryNode(OPERATOR),
            nodeSelector: { 'kubernetes.io/os': 'linux' },
            terminationGracePeriodSeconds: 5,
            ...(replicas > 1 && {
              affinity: {
                podAntiAffinity: {
                  requiredDuringSchedulingIgnoredDuringExecution: [
                    { labelSelector: { matchLabels }, topologyKey: 'kubernetes.io/hostname' },
                  ],
                },
              },
            }),
            containers: [
              {
                name: OPERATOR,
                ...imageOf(image),
                command: ['cilium-operator', '--config-map', `${namespace}/${CONFIG_NAME}`],
                env: ENVIRONMENT,
                livenessProbe: { ...health, initialDelaySeconds: 30 },
                readinessProbe: { ...health, periodSeconds: 2, failureThreshold: 5 },
                resources,
                securityContext: {
                  allowPrivilegeEscalation: false,
                  capabilities: { drop: ['ALL'] },
                },
                terminationMessagePolicy: 'FallbackToLogsOnError',
              },
            ],
          },
        },
      },
    },
  };
}

/** What all three share: the node's network, every taint tolerated, the first to be kept when memory is short. */
function onEveryNode(
  serviceAccountName: string,
): Pick<
  PodSpec,
  'hostNetwork' | 'priorityClassName' | 'restartPolicy' | 'serviceAccountName' | 'tolerations'
> {
  return {
    hostNetwork: true,
    priorityClassName: 'system-node-critical',
    restartPolicy: 'Always',
    serviceAccountName,
    tolerations: [{ operator: 'Exists' }],
  };
}

function imageOf({ repository, tag, pullPolicy }: Image): Pick<Container, 'image' | 'imagePullPolicy'> {
  return { image: `${repository}:${tag || `v${version}`}`, imagePullPolicy: pullPolicy };
}

function agentProbes(port: number): Pick<Container, 'startupProbe' | 'livenessProbe' | 'readinessProbe'> {
  const httpGet = { host: '127.0.0.1', path: '/healthz', port, scheme: 'HTTP' };
  return {
    startupProbe: { httpGet, periodSeconds: 1, failureThreshold: 120, timeoutSeconds: 2 },
    livenessProbe: { httpGet, periodSeconds: 30, failureThreshold: 10, timeoutSeconds: 5 },
    readinessProbe: {
      httpGet: { ...httpGet, path: '/readyz' },
      periodSeconds: 2,
      failureThreshold: 3,
      timeoutSeconds: 5,
    },
  };
}

/** Writing /proc/sys/net takes a privileged container, unless the container runtime leaves it writable. */
function agentPrivileges({ securityContext }: Settings): SecurityContext {
  if (securityContext.privileged) return { privileged: true };
  return { capabilities: { drop: ['ALL'], add: securityContext.capabilities.ciliumAgent } };
}

function agentMounts({ cni }: Settings): { volume: Volume; mount: VolumeMount }[] {
  const hostPath = (
    name: string,
    path: string,
    mountPath = path,
    mount: Partial<VolumeMount> = {},
    type = 'DirectoryOrCreate',
  ) => ({
    volume: { name, hostPath: { path, type } },
    mount: { name, mountPath, ...mount },
  });
  return [
    hostPath('cilium-run', '/var/run/cilium'),
    hostPath('wireguard-run', WIREGUARD_RUN),
    hostPath('pellicle-run', ESP_RUN),
    hostPath('netns', '/var/run/netns', '/var/run/netns', { mountPropagation: 'HostToContainer' }),
    hostPath('etc-cni-netd', cni.confPath, '/host/etc/cni/net.d'),
    hostPath('cni-path', cni.binPath, '/host/opt/cni/bin'),
    hostPath('dev-net', '/dev/net'),
    hostPath('lib-modules', '/lib/modules', '/lib/modules', { readOnly: true }, ''),
  ];
}

/** Changes with the configuration, so that a change of it restarts the pods. */
function checksum(config: Record<string, string>): Record<string, string> {
  const sorted = Object.entries(config).sort(([a], [b]) => (a < b ? -1 : 1));
  const digest = createHash('sha256').update(JSON.stringify(sorted)).digest('hex');
  return { 'cilium.io/cilium-configmap-checksum': digest };
}
