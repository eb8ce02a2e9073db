/** The ConfigMap `cilium-config`: what the agents and the operator go by. */
import { parseConfig } from '../../model/config.ts';
import { Failure } from '../failure.ts';
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
  refuseContradictions(settings);
  const { ipam, prometheus } = settings;
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
    ...encryptionConfig(settings),
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

/** Keys of the chosen type only: what is not there is switched off. */
function encryptionConfig({ encryption }: Settings): Record<string, string> {
  const { enabled, type, nodeEncryption, nodeEncryptionOptOutLabels, wireguard, ipsec } = encryption;
  if (!enabled) return {};
  if (type === 'ipsec')
    return {
      'enable-ipsec': 'true',
      'ipsec-secret-name': ipsec.secretName,
      'ipsec-key-file': `${ipsec.mountPath.replace(/\/+$/, '')}/${ipsec.keyFile}`,
      'enable-ipsec-key-watcher': String(ipsec.keyWatcher),
      'ipsec-key-rotation-duration': ipsec.keyRotationDuration,
      'ipsec-key-rotation-interval': ipsec.keyRotationInterval,
      'ipsec-key-packet-limit': String(ipsec.keyPacketLimit),
      'ipsec-encapsulation': ipsec.encapsulation,
      ...(ipsec.interface && { 'encrypt-interface': ipsec.interface }),
    };
  return {
    'enable-wireguard': 'true',
    'wireguard-persistent-keepalive': wireguard.persistentKeepalive,
    ...(nodeEncryption && {
      'encrypt-node': 'true',
      'node-encryption-opt-out-labels': nodeEncryptionOptOutLabels,
    }),
  };
}

function refuseContradictions({ encryption, engine }: Settings): void {
  const { enabled, type, nodeEncryption } = encryption;
  if (nodeEncryption && !enabled)
    throw new Failure(
      'encryption.nodeEncryption is true while encryption.enabled is false: add --set encryption.enabled=true --set encryption.type=wireguard',
    );
  if (nodeEncryption && type === 'ipsec')
    throw new Failure(
      'encryption.nodeEncryption is there for WireGuard only: use --set encryption.type=wireguard, or --set encryption.nodeEncryption=false',
    );
  if (enabled && type === 'ipsec' && !engine.enabled)
    throw new Failure(
      'encryption.type=ipsec needs the engine, which engine.enabled=false leaves out: add --set engine.enabled=true',
    );
}

function listenAddress(address: string, port: number): string {
  return `${address.includes(':') ? `[${address}]` : address}:${port}`;
}
