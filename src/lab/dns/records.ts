/** What the cluster's names mean, indexed for questions: services, their endpoints, namespaces. Pure. */
import type { EndpointSlice, Service } from '../../kube/types.ts';
import { canonicalAddress, parseAddress } from '../../proto/ip/address.ts';

export interface NamedPort {
  /** Empty for the one port of a Service that gives it no name. */
  name: string;
  /** `tcp`, `udp` or `sctp`. */
  protocol: string;
  port: number;
}

export interface EndpointName {
  /** The pod's hostname, or its address with dashes. */
  hostname: string;
  address: string;
  ports: NamedPort[];
}

export interface ServiceName {
  name: string;
  namespace: string;
  /** Canonical addresses; none for headless Services. */
  clusterIps: string[];
  headless: boolean;
  ports: NamedPort[];
  /** For type ExternalName. */
  externalName?: string;
  endpoints: EndpointName[];
}

/** Who has an address: a Service, or an endpoint of a headless one. */
export type Holder = { service: ServiceName; endpoint?: EndpointName };

export class Directory {
  readonly #services = new Map<string, ServiceName>();
  readonly #namespaces = new Set<string>();
  readonly #holders = new Map<string, Holder[]>();

  constructor(services: readonly Service[], slices: readonly EndpointSlice[], namespaces: readonly string[]) {
    for (const namespace of namespaces) this.#namespaces.add(namespace);
    const bySlice = new Map<string, EndpointSlice[]>();
    for (const slice of slices) {
      const service = slice.metadata.labels?.['kubernetes.io/service-name'];
      if (service === undefined) continue;
      const key = `${slice.metadata.namespace}/${service}`;
      bySlice.set(key, [...(bySlice.get(key) ?? []), slice]);
    }
    for (const service of services) {
      const key = `${service.metadata.namespace}/${service.metadata.name}`;
      this.#add(key, describe(service, bySlice.get(key) ?? []));
    }
  }

  service(name: string, namespace: string): ServiceName | undefined {
    return this.#services.get(`${namespace}/${name}`);
  }

  hasNamespace(name: string): boolean {
    return this.#namespaces.has(name);
  }

  /** By canonical address. */
  holders(address: string): readonly Holder[] {
    return this.#holders.get(address) ?? [];
  }

  #add(key: string, service: ServiceName): void {
    this.#services.set(key, service);
    this.#namespaces.add(service.namespace);
    for (const ip of service.clusterIps) this.#hold(ip, { service });
    if (!service.headless) return;
    for (const endpoint of service.endpoints) this.#hold(endpoint.address, { service, endpoint });
  }

  #hold(address: string, holder: Holder): void {
    this.#holders.set(address, [...(this.#holders.get(address) ?? []), holder]);
  }
}

function describe(service: Service, slices: readonly EndpointSlice[]): ServiceName {
  const { spec, metadata } = service;
  const headless = spec.clusterIP === 'None';
  const ips = spec.clusterIPs?.length ? spec.clusterIPs : spec.clusterIP ? [spec.clusterIP] : [];
  const external = spec.type === 'ExternalName' && spec.externalName;
  return {
    name: metadata.name,
    namespace: metadata.namespace ?? 'default',
    headless,
    clusterIps: headless || external ? [] : ips.flatMap(ip => canonicalAddress(ip) ?? []),
    ports: (spec.ports ?? []).map(({ name = '', protocol = 'TCP', port }) => ({
      name,
      protocol: protocol.toLowerCase(),
      port,
    })),
    ...(external && { externalName: external.replace(/\.$/, '') }),
    endpoints: slices.flatMap(endpointsOf),
  };
}

/** Those that are ready, or that their Service publishes all the same (the slice calls them ready then). */
function endpointsOf(slice: EndpointSlice): EndpointName[] {
  const ports = (slice.ports ?? []).map(({ name = '', protocol = 'TCP', port = 0 }) => ({
    name,
    protocol: protocol.toLowerCase(),
    port,
  }));
  return (slice.endpoints ?? [])
    .filter(endpoint => endpoint.conditions?.ready !== false)
    .flatMap(endpoint =>
      endpoint.addresses.flatMap(text => {
        const address = canonicalAddress(text);
        return address === undefined
          ? []
          : [{ hostname: endpoint.hostname ?? dashed(address), address, ports }];
      }),
    );
}

/** `10-244-1-2`, or an IPv6 address with dashes for colons. */
export function dashed(address: string): string {
  return address.replace(/[.:]/g, '-').replace(/^-/, '0-').replace(/-$/, '-0');
}

/** The canonical address that a dashed label stands for. */
export function undashed(label: string): string | undefined {
  const v4 = label.replaceAll('-', '.');
  if (parseAddress(v4) !== undefined) return canonicalAddress(v4);
  return canonicalAddress(label.replaceAll('-', ':'));
}
