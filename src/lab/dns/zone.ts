/**
 * The cluster's zone after "Kubernetes DNS-Based Service Discovery" 1.1.0: services, endpoints of headless services,
 * SRV, PTR, pods by address. Pure: question and directory in, answer out.
 */
import { formatAddress, parseAddress } from '../../proto/ip/address.ts';
import {
  CLASS_IN,
  type Question,
  RCODE,
  type Rcode,
  type RecordData,
  type ResourceRecord,
  splitName,
  TYPE,
} from './message.ts';
import { type Directory, type EndpointName, type NamedPort, type ServiceName, undashed } from './records.ts';

export interface ZoneOptions {
  /** `cluster.local`. */
  domain: string;
  /** Addresses of the cluster's DNS service, for the zone's own NS. */
  servers: readonly string[];
  /** Of the SOA; changes with the data. */
  serial: number;
}

export interface Answer {
  rcode: Rcode;
  answers: ResourceRecord[];
  authorities: ResourceRecord[];
  additionals: ResourceRecord[];
  /** A name outside the cluster whose addresses belong into the answer too (type ExternalName). */
  chase?: string;
}

/** Seconds that an answer may be kept. */
export const TTL = 30;
const VERSION = '1.1.0';

/** Undefined: the name is not the cluster's, ask elsewhere. */
export function resolve(directory: Directory, question: Question, options: ZoneOptions): Answer | undefined {
  const labels = splitName(question.name.toLowerCase());
  const zone = splitName(options.domain);
  const found =
    reverse(directory, labels, options) ??
    (endsWith(labels, zone)
      ? forward(directory, labels.slice(0, labels.length - zone.length), options)
      : undefined);
  return found && answerOf(found, question, options);
}

/** What stands at a name: `none` when there is no such name, else its records (maybe of other types than asked). */
type Found = 'none' | { sets: RecordSet[]; additionals?: RecordSet[]; chase?: string };
/** Owner undefined: the name that was asked, spelt as it was. */
type RecordSet = { owner?: string; type: number; data: RecordData };

function answerOf(found: Found, question: Question, options: ZoneOptions): Answer {
  const empty = { answers: [], additionals: [], authorities: [startOfAuthority(options)] };
  if (found === 'none') return { rcode: RCODE.nameError, ...empty };
  const record = ({ owner, type, data }: RecordSet): ResourceRecord => ({
    name: owner ?? question.name,
    type,
    class: CLASS_IN,
    ttl: TTL,
    data,
  });
  const wanted = found.sets.filter(
    set => set.type === question.type || question.type === TYPE.ANY || set.type === TYPE.CNAME,
  );
  if (wanted.length === 0) return { rcode: RCODE.ok, ...empty };
  const additionals = question.type === TYPE.SRV ? (found.additionals ?? []).map(record) : [];
  return {
    rcode: RCODE.ok,
    answers: wanted.map(record),
    authorities: [],
    additionals,
    ...(found.chase !== undefined && question.type !== TYPE.CNAME && { chase: found.chase }),
  };
}

/** `labels` are those below the zone. */
function forward(directory: Directory, labels: string[], options: ZoneOptions): Found {
  const { domain, servers } = options;
  const path = [...labels].reverse();
  const [kind, namespace, service, ...rest] = path;
  if (kind === undefined) return { sets: apex(options) };
  if (kind === 'dns-version' && path.length === 1) return { sets: [text(VERSION)] };
  if (kind === 'dns') {
    if (path.length === 1) return { sets: [] };
    return namespace === 'ns' && path.length === 2 ? { sets: servers.map(address) } : 'none';
  }
  if (kind === 'pod') return podName(directory, namespace, service, rest);
  if (kind !== 'svc') return 'none';
  if (namespace === undefined) return { sets: [] };
  if (service === undefined) return directory.hasNamespace(namespace) ? { sets: [] } : 'none';
  const known = directory.service(service, namespace);
  if (known === undefined) return 'none';
  return serviceName(known, rest, domain);
}

function serviceName(service: ServiceName, rest: readonly string[], domain: string): Found {
  if (service.externalName !== undefined) {
    if (rest.length > 0) return 'none';
    const data: RecordData = { kind: 'name', name: service.externalName };
    return { sets: [{ type: TYPE.CNAME, data }], chase: service.externalName };
  }
  const own = `${service.name}.${service.namespace}.svc.${domain}`;
  const [first, second, ...more] = rest;
  if (more.length > 0) return 'none';
  if (first === undefined) return everything(service, own, () => true);
  if (first.startsWith('_')) {
    const protocol = first.slice(1);
    const ports = service.headless ? service.endpoints.flatMap(each => each.ports) : service.ports;
    const ofProtocol = ports.filter(port => port.protocol === protocol);
    if (second === undefined) return ofProtocol.length > 0 ? { sets: [] } : 'none';
    const matching = ofProtocol.filter(port => port.name !== '' && `_${port.name}` === second);
    if (matching.length === 0) return 'none';
    const chosen = everything(service, own, port => port.protocol === protocol && `_${port.name}` === second);
    return { ...chosen, sets: chosen.sets.filter(set => set.type === TYPE.SRV) };
  }
  if (second !== undefined || !service.headless) return 'none';
  const endpoints = service.endpoints.filter(each => each.hostname === first);
  if (endpoints.length === 0) return 'none';
  return {
    sets: [
      ...endpoints.map(each => address(each.address)),
      ...endpoints.flatMap(each => each.ports.map(port => pointer(port, `${first}.${own}`))),
    ],
    additionals: endpoints.map(each => ({ ...address(each.address), owner: `${first}.${own}` })),
  };
}

/** Addresses and SRV records of a service: of itself, or of each endpoint when it is headless. */
function everything(
  service: ServiceName,
  own: string,
  wanted: (port: NamedPort) => boolean,
): { sets: RecordSet[]; additionals: RecordSet[] } {
  if (!service.headless) {
    const addresses = service.clusterIps.map(address);
    return {
      sets: [...addresses, ...service.ports.filter(wanted).map(port => pointer(port, own))],
      additionals: addresses.map(set => ({ ...set, owner: own })),
    };
  }
  const named = (endpoint: EndpointName) => `${endpoint.hostname}.${own}`;
  const pointers = service.endpoints.flatMap(each =>
    each.ports.filter(wanted).map(port => pointer(port, named(each))),
  );
  return {
    sets: [...service.endpoints.map(each => address(each.address)), ...unique(pointers)],
    additionals: service.endpoints.map(each => ({ ...address(each.address), owner: named(each) })),
  };
}

/** `10-244-1-2.default.pod`: the address says itself. */
function podName(
  directory: Directory,
  namespace: string | undefined,
  label: string | undefined,
  rest: readonly string[],
): Found {
  if (namespace === undefined) return { sets: [] };
  if (!directory.hasNamespace(namespace)) return 'none';
  if (label === undefined) return { sets: [] };
  const ip = rest.length === 0 ? undashed(label) : undefined;
  return ip === undefined ? 'none' : { sets: [address(ip)] };
}

function reverse(directory: Directory, labels: readonly string[], options: ZoneOptions): Found | undefined {
  const ip = addressOfReverse(labels);
  const holders = ip === undefined ? [] : directory.holders(ip);
  if (holders.length === 0) return undefined;
  const name = ({ service, endpoint }: (typeof holders)[number]) =>
    `${endpoint ? `${endpoint.hostname}.` : ''}${service.name}.${service.namespace}.svc.${options.domain}`;
  return { sets: holders.map(holder => ({ type: TYPE.PTR, data: { kind: 'name', name: name(holder) } })) };
}

/** The address that `4.3.2.1.in-addr.arpa` or 32 nibbles under `ip6.arpa` stand for. */
export function addressOfReverse(labels: readonly string[]): string | undefined {
  const [family, last] = [labels.at(-2), labels.at(-1)];
  const parts = labels.slice(0, -2).reverse();
  if (last !== 'arpa') return undefined;
  if (family === 'in-addr' && parts.length === 4) {
    const parsed = parseAddress(parts.join('.'));
    return parsed && formatAddress(parsed);
  }
  if (family !== 'ip6' || parts.length !== 32 || !parts.every(part => /^[0-9a-f]$/.test(part)))
    return undefined;
  const groups = parts.join('').match(/.{4}/g) ?? [];
  const parsed = parseAddress(groups.join(':'));
  return parsed && formatAddress(parsed);
}

function apex(options: ZoneOptions): RecordSet[] {
  const { type, data } = startOfAuthority(options);
  return [
    { type, data },
    { type: TYPE.NS, data: { kind: 'name', name: `ns.dns.${options.domain}` } },
  ];
}

function startOfAuthority({ domain, serial }: ZoneOptions): ResourceRecord {
  return {
    name: domain,
    type: TYPE.SOA,
    class: CLASS_IN,
    ttl: TTL,
    data: {
      kind: 'soa',
      primary: `ns.dns.${domain}`,
      mailbox: `hostmaster.${domain}`,
      numbers: [serial, 7200, 1800, 86400, TTL],
    },
  };
}

function address(ip: string): RecordSet {
  const parsed = parseAddress(ip);
  if (parsed === undefined) throw new TypeError(`${ip} is no address`);
  const type = parsed.family === 4 ? TYPE.A : TYPE.AAAA;
  return { type, data: { kind: 'address', bytes: parsed.bytes } };
}

function pointer({ port }: NamedPort, target: string): RecordSet {
  return { type: TYPE.SRV, data: { kind: 'srv', priority: 0, weight: 100, port, target } };
}

function text(value: string): RecordSet {
  const bytes = Buffer.from(value);
  return { type: TYPE.TXT, data: { kind: 'raw', bytes: Uint8Array.of(bytes.length, ...bytes) } };
}

function unique(sets: readonly RecordSet[]): RecordSet[] {
  return [...new Map(sets.map(set => [JSON.stringify(set.data), set])).values()];
}

function endsWith(labels: readonly string[], suffix: readonly string[]): boolean {
  return (
    labels.length >= suffix.length &&
    suffix.every((label, index) => labels[labels.length - suffix.length + index] === label)
  );
}
