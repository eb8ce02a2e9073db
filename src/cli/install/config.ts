/** The ConfigMap `cilium-config`: what the agents and the operator go by. */
import { parseConfig } from '../../model/config.ts';
import { Failure } from '../failure.ts';
import { version } from '../root.ts';
import type { Settings } from '../values/values.ts';

export const CONFIG_NAME = 'cilium-config';

/** What of the cluster decides over the configuration; see facts.ts. */
export interface ClusterShape {
  clusterName: string;
  ipam: 'kubernetes' | 'cluster-pool';
  /** Networks that hold all pods. */
  podCIDRs: string[];
}

/** Throws a Failure when values contradict each other, or ask for what this version cannot do. */
export function configOf(settings: Settings, cluster: ClusterShape): Record<string, string> {
  refuseIpsec(settings);
  const { encryption, ipam, prometheus } = settings;
  const pool = ipam.operator;
  const config: Record<string, string> = {
    'cluster-name': cluster.clusterName,
    debug: String(settings.debug.enabled),
    'enable-ipv4': String(settings.ipv4.enabled),
    'enable-ipv6': String(settings.ipv6.enabled),
    'enable-ipv4-masquerade': String(settings.enableIPv4Masquerade),
    'enable-ipv6-masquerade': String(settings.enableIPv6Masquerade),
    'routing-mode': settings.routingMode,
    'tunnel-protocol': settings.tunnelProtocol,
    'tunnel-port': String(settings.tunnelPort),
    ...(settings.MTU > 0 && { mtu: String(settings.MTU) }),
    ipam: cluster.ipam,
    'cluster-pod-cidrs': cluster.podCIDRs.join(','),
    ...(cluster.ipam === 'cluster-pool' &&
      settings.ipv4.enabled && {
        'cluster-pool-ipv4-cidr': pool.clusterPoolIPv4PodCIDRList.join(' '),
        'cluster-pool-ipv4-mask-size': String(pool.clusterPoolIPv4MaskSize),
      }),
    ...(cluster.ipam === 'cluster-pool' &&
      settings.ipv6.enabled && {
        'cluster-pool-ipv6-cidr': pool.clusterPoolIPv6PodCIDRList.join(' '),
        'cluster-pool-ipv6-mask-size': String(pool.clusterPoolIPv6MaskSize),
      }),
    ...(encryption.enabled && {
      'enable-wireguard': 'true',
      'wireguard-persistent-keepalive': encryption.wireguard.persistentKeepalive,
    }),
    ...(encryption.enabled &&
      encryption.nodeEncryption && {
        'encrypt-node': 'true',
        'node-encryption-opt-out-labels': encryption.nodeEncryptionOptOutLabels,
      }),
    'prometheus-serve-addr': prometheus.enabled ? listenAddress(prometheus.address, prometheus.port) : '',
    'agent-health-port': String(settings.healthPort),
    ...Object.fromEntries(Object.entries(settings.extraConfig).map(([key, value]) => [key, String(value)])),
  };
  refuseProblems(config);
  return config;
}

/** Throws a Failure with what the agents would refuse of this ConfigMap. */
export function refuseProblems(config: Record<string, string>): void {
  const parsed = parseConfig(config);
  if ('problems' in parsed) throw new Failure(parsed.problems.join('; '));
}

function refuseIpsec({ encryption }: Settings): void {
  if (encryption.enabled && encryption.type === 'ipsec')
    throw new Failure(
      `encryption.type=ipsec: Pellicle ${version} cannot encrypt with IPsec yet; use --set encryption.type=wireguard`,
    );
  if (encryption.nodeEncryption && !encryption.enabled)
    throw new Failure(
      'encryption.nodeEncryption is true while encryption.enabled is false: add --set encryption.enabled=true --set encryption.type=wireguard',
    );
}

function listenAddress(address: string, port: number): string {
  return `${address.includes(':') ? `[${address}]` : address}:${port}`;
}
