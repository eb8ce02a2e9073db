/** What the Services of the cluster mean on one node: which address and port lead to which pods. Pure. */
import { isIPv4, isIPv6 } from 'node:net';
import type { EndpointSlice, Service, ServicePort, SliceEndpoint } from '../../kube/types.ts';

export type Family = 4 | 6;
export type Protocol = 'tcp' | 'udp' | 'sctp';

export interface Target {
  /** `namespace/service:port`. */
  name: string;
  family: Family;
  protocol: Protocol;
  /** The Service's addresses and port; none when only the node port leads here. */
  addresses: string[];
  port: number;
  nodePort?: number;
  /** Whether the same client always gets the same pod. */
  sticky: boolean;
  endpoints: Endpoint[];
  /** What the node port leads to: only this node's own pods when the Service asks for it, with the client's address kept. */
  external: { endpoints: Endpoint[]; masquerade: boolean };
}

export interface Endpoint {
  address: string;
  port: number;
}

const SERVICE_NAME = 'kubernetes.io/service-name';

/** Sorted by name, so that equal input gives equal output. */
export function targetsOf(
  services: readonly Service[],
  slices: readonly EndpointSlice[],
  nodeName: string,
): Target[] {
  const byService = new Map<string, EndpointSlice[]>();
  for (const slice of slices) {
    const service = slice.metadata.labels?.[SERVICE_NAME];
    if (service === undefined) continue;
    const key = `${slice.metadata.namespace}/${service}`;
    byService.set(key, [...(byService.get(key) ?? []), slice]);
  }
  return services
    .flatMap(service => {
      const own = byService.get(`${service.metadata.namespace}/${service.metadata.name}`) ?? [];
      return targetsOfService(service, own, nodeName);
    })
    .sort((a, b) => (a.name + a.family < b.name + b.family ? -1 : 1));
}

/** The families in which a Service has a virtual address; none for headless and external ones. */
function targetsOfService(service: Service, slices: readonly EndpointSlice[], nodeName: string): Target[] {
  const { spec, metadata } = service;
  if (spec.type === 'ExternalName' || spec.clusterIP === 'None') return [];
  const ips = spec.clusterIPs?.length ? spec.clusterIPs : spec.clusterIP ? [spec.clusterIP] : [];
  const all = [...ips, ...(spec.externalIPs ?? [])];
  return ([4, 6] as const).flatMap(family => {
    const belongs = family === 4 ? isIPv4 : isIPv6;
    if (!ips.some(ip => belongs(ip))) return [];
    return (spec.ports ?? []).map(port => {
      const found = endpointsFor(port, slices, family);
      const local = found.filter(each => each.nodeName === nodeName);
      const onlyLocal = spec.externalTrafficPolicy === 'Local';
      return {
        name: `${metadata.namespace}/${metadata.name}:${port.name || port.port}`,
        family,
        protocol: protocolOf(port.protocol),
        addresses: all.filter(ip => belongs(ip)),
        port: port.port,
        ...(port.nodePort && { nodePort: port.nodePort }),
        sticky: spec.sessionAffinity === 'ClientIP',
        endpoints: serving(spec.internalTrafficPolicy === 'Local' ? local : found),
        external: { endpoints: serving(onlyLocal ? local : found), masquerade: !onlyLocal },
      };
    });
  });
}

interface Candidate extends Endpoint {
  ready: boolean;
  usable: boolean;
  nodeName: string | undefined;
}

function endpointsFor(port: ServicePort, slices: readonly EndpointSlice[], family: Family): Candidate[] {
  const type = family === 4 ? 'IPv4' : 'IPv6';
  const belongs = family === 4 ? isIPv4 : isIPv6;
  return slices
    .filter(slice => slice.addressType === type)
    .flatMap(slice => {
      const found = slice.ports?.find(
        each =>
          (each.name ?? '') === (port.name ?? '') && protocolOf(each.protocol) === protocolOf(port.protocol),
      );
      const number = found?.port;
      if (number === undefined) return [];
      return (slice.endpoints ?? [])
        .filter(endpoint => endpoint.addresses[0] !== undefined && belongs(endpoint.addresses[0]))
        .map(endpoint => candidate(endpoint, number));
    });
}

function candidate(endpoint: SliceEndpoint, port: number): Candidate {
  const { ready, serving, terminating } = endpoint.conditions ?? {};
  return {
    address: endpoint.addresses[0]!,
    port,
    ready: ready !== false,
    usable: (serving ?? ready) !== false && terminating === true,
    nodeName: endpoint.nodeName,
  };
}

/** The ready ones; when there are none, those on their way out that still serve. */
function serving(candidates: readonly Candidate[]): Endpoint[] {
  const ready = candidates.filter(each => each.ready);
  const chosen = ready.length > 0 ? ready : candidates.filter(each => each.usable);
  const byKey = new Map(chosen.map(({ address, port }) => [`${address} ${port}`, { address, port }]));
  return [...byKey.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, endpoint]) => endpoint);
}

function protocolOf(protocol: string | undefined): Protocol {
  return protocol === 'UDP' ? 'udp' : protocol === 'SCTP' ? 'sctp' : 'tcp';
}
