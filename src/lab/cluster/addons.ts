/** What stands in a cluster before the person does anything: cluster DNS and the ConfigMaps that kubeadm leaves. */
import type { KubeObject } from '../../kube/types.ts';
import { apiPort, cluster, type LabNode, type LabOptions } from './layout.ts';

const labels = { 'k8s-app': 'kube-dns' };
const namespace = 'kube-system';

/** In the order in which they are applied. */
export function addons(options: LabOptions, master: LabNode, authority: string): KubeObject[] {
  return [...kubeadm(options, master, authority), ...dns(options)];
}

function kubeadm(options: LabOptions, master: LabNode, authority: string): KubeObject[] {
  const dual = options.ipFamily === 'dual';
  const server = `https://${master.name}:${apiPort}`;
  const both = (first: string, second: string) => (dual ? `${first},${second}` : first);
  return [
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'kubeadm-config', namespace },
      data: {
        ClusterConfiguration: [
          'apiVersion: kubeadm.k8s.io/v1beta4',
          'kind: ClusterConfiguration',
          `clusterName: ${options.name}`,
          `controlPlaneEndpoint: ${master.name}:${apiPort}`,
          `kubernetesVersion: ${cluster.version}`,
          'networking:',
          `  dnsDomain: ${cluster.domain}`,
          `  podSubnet: ${both(cluster.podCidr, cluster.podCidr6)}`,
          `  serviceSubnet: ${both(cluster.serviceCidr, cluster.serviceCidr6)}`,
          '',
        ].join('\n'),
      },
    },
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'cluster-info', namespace: 'kube-public' },
      data: {
        kubeconfig: [
          'apiVersion: v1',
          'kind: Config',
          'clusters:',
          '- name: ""',
          '  cluster:',
          `    certificate-authority-data: ${Buffer.from(authority).toString('base64')}`,
          `    server: ${server}`,
          'contexts: null',
          'current-context: ""',
          'users: null',
          '',
        ].join('\n'),
      },
    },
  ];
}

function dns(options: LabOptions): KubeObject[] {
  const rbac = 'rbac.authorization.k8s.io/v1';
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'coredns', namespace, labels } },
    {
      apiVersion: rbac,
      kind: 'ClusterRole',
      metadata: { name: 'system:coredns' },
      rules: [
        {
          apiGroups: [''],
          resources: ['endpoints', 'services', 'pods', 'namespaces'],
          verbs: ['list', 'watch'],
        },
        { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
      ],
    },
    {
      apiVersion: rbac,
      kind: 'ClusterRoleBinding',
      metadata: { name: 'system:coredns' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'system:coredns' },
      subjects: [{ kind: 'ServiceAccount', name: 'coredns', namespace }],
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: {
        name: 'kube-dns',
        namespace,
        labels: { ...labels, 'kubernetes.io/cluster-service': 'true', 'kubernetes.io/name': 'CoreDNS' },
        annotations: { 'prometheus.io/port': '9153' },
      },
      spec: {
        selector: labels,
        clusterIP: cluster.dnsService,
        ports: [
          { name: 'dns', port: 53, protocol: 'UDP', targetPort: 53 },
          { name: 'dns-tcp', port: 53, protocol: 'TCP', targetPort: 53 },
        ],
      },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'coredns', namespace, labels },
      spec: {
        replicas: 1,
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1 } },
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            priorityClassName: 'system-cluster-critical',
            serviceAccountName: 'coredns',
            tolerations: [
              { key: 'CriticalAddonsOnly', operator: 'Exists' },
              { key: 'node-role.kubernetes.io/control-plane', effect: 'NoSchedule', operator: 'Exists' },
            ],
            nodeSelector: { 'kubernetes.io/hostname': `${options.name}-control-plane` },
            dnsPolicy: 'Default',
            containers: [
              {
                name: 'coredns',
                image: 'registry.k8s.io/coredns/coredns:v1.11.3',
                imagePullPolicy: 'IfNotPresent',
                args: dnsArguments,
                resources: { requests: { cpu: '100m', memory: '70Mi' }, limits: { memory: '170Mi' } },
                ports: [
                  { name: 'dns', containerPort: 53, protocol: 'UDP' },
                  { name: 'dns-tcp', containerPort: 53, protocol: 'TCP' },
                ],
                livenessProbe: {
                  httpGet: { path: '/health', port: 8080 },
                  initialDelaySeconds: 60,
                  timeoutSeconds: 5,
                  failureThreshold: 5,
                },
                readinessProbe: { httpGet: { path: '/ready', port: 8181 }, periodSeconds: 2 },
                securityContext: {
                  allowPrivilegeEscalation: false,
                  capabilities: { add: ['NET_BIND_SERVICE'], drop: ['ALL'] },
                  readOnlyRootFilesystem: true,
                },
              },
            ],
          },
        },
      },
    },
  ];
}

const dnsArguments = ['--domain', cluster.domain];
