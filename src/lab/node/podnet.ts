/** The files by which a pod knows names: /etc/hosts, /etc/hostname, /etc/resolv.conf. Pure. */
import type { Pod } from '../../kube/core.ts';

export interface DnsSettings {
  /** Address of the cluster's DNS service. */
  clusterDns: string;
  domain: string;
  /** The node's own resolv.conf. */
  nodeResolvConf: string;
}

export function podHostname(pod: Pod, nodeName: string): string {
  if (pod.spec.hostNetwork) return nodeName;
  return (pod.spec.hostname || pod.metadata.name).slice(0, 63).replace(/[-.]+$/, '');
}

export function hostsFile(pod: Pod, hostname: string, podIps: string[], nodeHosts: string): string {
  const aliases = (pod.spec.hostAliases ?? []).map(
    ({ ip, hostnames }) => `${ip}\t${(hostnames ?? []).join('\t')}`,
  );
  const extra = aliases.length > 0 ? ['', '# Entries added by HostAliases.', ...aliases] : [];
  if (pod.spec.hostNetwork) return [nodeHosts.trimEnd(), ...extra, ''].join('\n');
  const { subdomain } = pod.spec;
  const full = subdomain ? `${hostname}.${subdomain}.${pod.metadata.namespace}.svc.cluster.local\t` : '';
  return [
    '# Kubernetes-managed hosts file.',
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    'fe00::0\tip6-localnet',
    'fe00::0\tip6-mcastprefix',
    'fe00::1\tip6-allnodes',
    'fe00::2\tip6-allrouters',
    ...podIps.map(ip => `${ip}\t${full}${hostname}`),
    ...extra,
    '',
  ].join('\n');
}

export function resolvConf(pod: Pod, { clusterDns, domain, nodeResolvConf }: DnsSettings): string {
  const policy = pod.spec.dnsPolicy ?? 'ClusterFirst';
  const asNode = policy === 'Default' || (policy === 'ClusterFirst' && pod.spec.hostNetwork);
  const { nameservers = [], searches = [], options = [] } = pod.spec.dnsConfig ?? {};
  const own = options.map(({ name, value }) => (value === undefined ? name : `${name}:${value}`));
  if (asNode && nameservers.length + searches.length + own.length === 0) return nodeResolvConf;
  const node = parse(nodeResolvConf);
  const cluster = policy === 'None' || asNode ? undefined : clusterDns;
  const namespace = pod.metadata.namespace ?? 'default';
  const base = asNode
    ? node
    : cluster
      ? {
          nameservers: [cluster],
          searches: [`${namespace}.svc.${domain}`, `svc.${domain}`, domain, ...node.searches],
          options: ['ndots:5'],
        }
      : { nameservers: [], searches: [], options: [] };
  const chosen = new Map([...base.options, ...own].map(option => [option.split(':')[0]!, option]));
  const all = { search: [...new Set([...base.searches, ...searches])], options: [...chosen.values()] };
  return [
    ...(all.search.length > 0 ? [`search ${all.search.join(' ')}`] : []),
    ...[...new Set([...base.nameservers, ...nameservers])].map(server => `nameserver ${server}`),
    ...(all.options.length > 0 ? [`options ${all.options.join(' ')}`] : []),
    '',
  ].join('\n');
}

function parse(text: string): { nameservers: string[]; searches: string[]; options: string[] } {
  const lines = text.split('\n').map(line => line.trim().split(/\s+/));
  const all = (word: string) => lines.filter(line => line[0] === word).flatMap(line => line.slice(1));
  return { nameservers: all('nameserver'), searches: all('search'), options: all('options') };
}
