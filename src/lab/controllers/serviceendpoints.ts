/** The endpoints behind a Service: which pods, by which address and port, in which state. Pure. */
import { isIPv4, isIPv6 } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import type { EndpointSlice, Endpoints, Pod, Service, ServicePort, SliceEndpoint } from '../../kube/types.ts';
import { controllerReference, isDeleting } from './objects.ts';
import { isReady, isTerminated } from './pods.ts';
import { includesLabels } from './selectors.ts';

export const SERVICE_NAME = 'kubernetes.io/service-name';
export const MANAGED_BY = 'endpointslice.kubernetes.io/managed-by';
export const MANAGER = 'endpointslice-controller.k8s.io';
export const LEGACY_MANAGED_BY = 'endpoints.kubernetes.io/managed-by';
export const LEGACY_MANAGER = 'endpoint-controller';
const HEADLESS = 'service.kubernetes.io/headless';
const MAX_PER_SLICE = 100;

type SlicePorts = NonNullable<EndpointSlice['ports']>;

export interface SlicePlan {
  create: EndpointSlice[];
  update: EndpointSlice[];
  remove: EndpointSlice[];
}

/** Services without a selector, and those that are only a name for another, get none. */
export function hasEndpoints(service: Service): boolean {
  const { selector, type } = service.spec;
  return type !== 'ExternalName' && Object.keys(selector ?? {}).length > 0 && !isDeleting(service);
}

export function selectedPods(service: Service, pods: readonly Pod[]): Pod[] {
  return pods.filter(
    pod =>
      pod.metadata.namespace === service.metadata.namespace &&
      includesLabels(pod.metadata.labels, service.spec.selector) &&
      !isTerminated(pod) &&
      addresses(pod).length > 0,
  );
}

/** `owned` are the slices that this controller made for the service. `name` gives a new slice its name. */
export function planSlices(
  service: Service,
  pods: readonly Pod[],
  owned: readonly EndpointSlice[],
  name: () => string,
): SlicePlan {
  const plan: SlicePlan = { create: [], update: [], remove: [] };
  const free = new Set(owned);
  for (const wanted of wantedSlices(service, pods)) {
    const candidates = [...free].filter(
      slice => slice.addressType === wanted.addressType && !isDeleting(slice),
    );
    const known =
      candidates.find(slice => isDeepStrictEqual(normalPorts(slice.ports), normalPorts(wanted.ports))) ??
      candidates[0];
    if (known === undefined) {
      plan.create.push({ ...wanted, metadata: { ...wanted.metadata, name: name() } });
      continue;
    }
    free.delete(known);
    if (!sameSlice(known, wanted))
      plan.update.push({
        ...known,
        endpoints: wanted.endpoints,
        ports: wanted.ports ?? [],
        metadata: { ...known.metadata, labels: wanted.metadata.labels ?? {} },
      });
  }
  plan.remove = [...free].filter(slice => !isDeleting(slice));
  return plan;
}

/** The older form of the same: one object, first address family only. */
export function legacyEndpoints(service: Service, pods: readonly Pod[]): Endpoints {
  const { name, namespace, labels } = service.metadata;
  const family = familiesOf(service)[0] ?? 'IPv4';
  const groups = new Map<string, { ports: SlicePorts; ready: Address[]; notReady: Address[] }>();
  for (const pod of selectedPods(service, pods).sort(byName)) {
    const endpoint = endpointOf(service, pod, family);
    if (endpoint === undefined || (isDeleting(pod) && !service.spec.publishNotReadyAddresses)) continue;
    const ports = portsFor(service, pod);
    const key = JSON.stringify(ports);
    const group = groups.get(key) ?? { ports, ready: [], notReady: [] };
    groups.set(key, group);
    const { addresses, conditions, ...rest } = endpoint;
    const address = { ip: addresses[0]!, ...rest };
    (conditions?.ready ? group.ready : group.notReady).push(address);
  }
  return {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: {
      name,
      namespace: namespace ?? 'default',
      labels: {
        ...labels,
        [LEGACY_MANAGED_BY]: LEGACY_MANAGER,
        ...(isHeadless(service) && { [HEADLESS]: '' }),
      },
    },
    subsets: [...groups.values()].map(({ ports, ready, notReady }) => ({
      ...(ready.length > 0 && { addresses: ready }),
      ...(notReady.length > 0 && { notReadyAddresses: notReady }),
      ports: ports.map(({ name, port, protocol }) => ({
        ...(name && { name }),
        port: port ?? 0,
        ...(protocol && { protocol }),
      })),
    })),
  };
}

type Address = { ip: string; hostname?: string; nodeName?: string; targetRef?: object };

export function isHeadless(service: Service): boolean {
  return service.spec.clusterIP === 'None';
}

/** The families that the service speaks, its first one first. */
export function familiesOf(service: Service): ('IPv4' | 'IPv6')[] {
  if (service.spec.ipFamilies?.length) return service.spec.ipFamilies;
  const ips = service.spec.clusterIPs ?? (service.spec.clusterIP ? [service.spec.clusterIP] : []);
  const families = ips
    .filter(ip => ip !== 'None')
    .map(ip => (isIPv6(ip) ? ('IPv6' as const) : ('IPv4' as const)));
  return families.length > 0 ? families : ['IPv4'];
}

function wantedSlices(service: Service, pods: readonly Pod[]): EndpointSlice[] {
  const selected = selectedPods(service, pods).sort(byName);
  return familiesOf(service).flatMap(family => {
    const groups = new Map<string, { ports: SlicePorts; endpoints: SliceEndpoint[] }>();
    for (const pod of selected) {
      const endpoint = endpointOf(service, pod, family);
      if (endpoint === undefined) continue;
      const ports = portsFor(service, pod);
      const key = JSON.stringify(ports);
      const group = groups.get(key) ?? { ports, endpoints: [] };
      groups.set(key, group);
      group.endpoints.push(endpoint);
    }
    // An empty slice says "no endpoints", which is more than nothing said.
    if (groups.size === 0) groups.set('', { ports: [], endpoints: [] });
    return [...groups.values()].flatMap(({ ports, endpoints }) =>
      chunks(endpoints).map(chunk => slice(service, family, ports, chunk)),
    );
  });
}

function slice(
  service: Service,
  addressType: 'IPv4' | 'IPv6',
  ports: SlicePorts,
  endpoints: SliceEndpoint[],
): EndpointSlice {
  const { name, namespace, labels } = service.metadata;
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: '',
      generateName: `${name}-`,
      namespace: namespace ?? 'default',
      labels: {
        ...labels,
        [SERVICE_NAME]: name,
        [MANAGED_BY]: MANAGER,
        ...(isHeadless(service) && { [HEADLESS]: '' }),
      },
      ownerReferences: [controllerReference(service)],
    },
    addressType,
    endpoints,
    ports,
  };
}

function endpointOf(service: Service, pod: Pod, family: 'IPv4' | 'IPv6'): SliceEndpoint | undefined {
  const address = addresses(pod).find(ip => (family === 'IPv4' ? isIPv4(ip) : isIPv6(ip)));
  if (address === undefined) return undefined;
  const serving = isReady(pod);
  const terminating = isDeleting(pod);
  const ready = service.spec.publishNotReadyAddresses === true || (serving && !terminating);
  const { name, namespace, uid } = pod.metadata;
  const named = pod.spec.hostname !== undefined && pod.spec.subdomain === service.metadata.name;
  return {
    addresses: [address],
    conditions: { ready, serving, terminating },
    ...(named && pod.spec.hostname && { hostname: pod.spec.hostname }),
    ...(pod.spec.nodeName && { nodeName: pod.spec.nodeName }),
    targetRef: { kind: 'Pod', name, ...(namespace && { namespace }), ...(uid && { uid }) },
  };
}

function portsFor(service: Service, pod: Pod): SlicePorts {
  return (service.spec.ports ?? []).flatMap(port => {
    const number = targetPort(port, pod);
    if (number === undefined) return [];
    const { appProtocol } = port;
    return [
      {
        name: port.name ?? '',
        port: number,
        protocol: port.protocol ?? 'TCP',
        ...(appProtocol && { appProtocol }),
      },
    ];
  });
}

/** A named target port is looked up in each pod: it may differ from one to the next. */
export function targetPort(port: ServicePort, pod: Pod): number | undefined {
  const target = port.targetPort ?? port.port;
  if (typeof target === 'number') return target || port.port;
  if (/^\d+$/.test(target)) return Number(target);
  const protocol = port.protocol ?? 'TCP';
  const sidecars = (pod.spec.initContainers ?? []).filter(container => container.restartPolicy === 'Always');
  return [...pod.spec.containers, ...sidecars]
    .flatMap(container => container.ports ?? [])
    .find(each => each.name === target && (each.protocol ?? 'TCP') === protocol)?.containerPort;
}

function addresses(pod: Pod): string[] {
  const all = pod.status?.podIPs?.map(each => each.ip) ?? [];
  return all.length > 0 ? all : pod.status?.podIP ? [pod.status.podIP] : [];
}

function sameSlice(known: EndpointSlice, wanted: EndpointSlice): boolean {
  return (
    isDeepStrictEqual(plain(known.endpoints ?? []), plain(wanted.endpoints)) &&
    isDeepStrictEqual(normalPorts(known.ports), normalPorts(wanted.ports)) &&
    isDeepStrictEqual(known.metadata.labels, wanted.metadata.labels)
  );
}

function normalPorts(ports: EndpointSlice['ports']): unknown {
  return (ports ?? []).map(({ name, port, protocol, appProtocol }) => [
    name ?? '',
    port,
    protocol ?? 'TCP',
    appProtocol,
  ]);
}

function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

function chunks<T>(items: readonly T[]): T[][] {
  const parts: T[][] = [];
  for (let at = 0; at < Math.max(items.length, 1); at += MAX_PER_SLICE)
    parts.push(items.slice(at, at + MAX_PER_SLICE));
  return parts;
}

function byName(a: Pod, b: Pod): number {
  return a.metadata.name < b.metadata.name ? -1 : 1;
}
