import { Attributes, Writer } from './netlink/attributes.ts';
import { defined } from './netlink/defined.ts';
import {
  addressText,
  afOf,
  cidrText,
  type Family,
  familyOf,
  requireAddress,
  requireCidr,
} from './netlink/ip.ts';
import { type Scope, scopeName, scopeNumber } from './netlink/scope.ts';

/** `throw` ends the look-up in this table and goes on with the next rule (linux/rtnetlink.h RTN_*). */
export type RouteType =
  | 'unicast'
  | 'local'
  | 'broadcast'
  | 'anycast'
  | 'multicast'
  | 'blackhole'
  | 'unreachable'
  | 'prohibit'
  | 'throw';

export const TABLE_DEFAULT = 253;
export const TABLE_MAIN = 254;
export const TABLE_LOCAL = 255;

/** A route as the kernel shows it. `destination` is a CIDR; a default route is `0.0.0.0/0` or `::/0`. */
export interface Route {
  family: Family;
  destination: string;
  type: RouteType;
  table: number;
  protocol: string;
  scope: string;
  /** Absent in events, which tell the index alone. */
  device?: string;
  deviceIndex?: number;
  via?: string;
  source?: string;
  metric?: number;
  mtu?: number;
  onlink: boolean;
  /** Of a multipath route. */
  nexthops?: Nexthop[];
}

export interface Nexthop {
  via?: string;
  device?: string;
  deviceIndex: number;
  weight: number;
}

export type RouteProtocol = 'kernel' | 'boot' | 'static' | 'ra' | 'dhcp';

/** A route to make. Table main, type unicast, protocol static unless told; scope follows from the rest. */
export interface NewRoute {
  destination: string;
  type?: RouteType;
  table?: number;
  device?: string | number;
  via?: string;
  onlink?: boolean;
  source?: string;
  metric?: number;
  mtu?: number;
  scope?: Scope;
  protocol?: RouteProtocol | number;
}

/** What names a route for deletion: destination and table, narrowed by the rest. */
export type RouteKey = Pick<NewRoute, 'destination' | 'table' | 'device' | 'via' | 'metric' | 'type'>;

/** Body of RTM_NEWROUTE. */
export function encodeRoute(route: NewRoute, deviceIndex?: number): Uint8Array {
  const type = route.type ?? 'unicast';
  return encode(route, {
    deviceIndex,
    type: TYPES.indexOf(type),
    protocol: protocolNumber(route.protocol ?? 'static'),
    scope: scopeNumber(route.scope ?? (type === 'unicast' && !route.via ? 'link' : 'global')),
  });
}

/** Body of RTM_DELROUTE: what is not told matches any. */
export function encodeRouteKey(route: RouteKey, deviceIndex?: number): Uint8Array {
  return encode(route, {
    deviceIndex,
    type: route.type ? TYPES.indexOf(route.type) : 0,
    protocol: 0,
    scope: scopeNumber('nowhere'),
  });
}

/** Body of a dump of one family. */
export function encodeRouteFilter(family: Family, table?: number): Uint8Array {
  const writer = header(afOf(family), 0, table ?? 0, 0, 0, 0, 0);
  if (table !== undefined) writer.attributeU32(RTA_TABLE, table);
  return writer.finish();
}

/** Undefined for what is no unicast-family route, and for cached clones. */
export function decodeRoute(body: Uint8Array): Route | undefined {
  if (body.length < HEADER) return undefined;
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const family = familyOf(view.getUint8(0));
  const flags = view.getUint32(8, true);
  const type = TYPES[view.getUint8(7)];
  if (!family || !type || type === 'unspec' || flags & RTM_F_CLONED) return undefined;
  const attributes = new Attributes(body.subarray(HEADER));
  const multipath = attributes.bytes(RTA_MULTIPATH);
  return {
    family,
    destination: cidrText(family, attributes.bytes(RTA_DST), view.getUint8(1)),
    type,
    table: attributes.u32(RTA_TABLE) ?? view.getUint8(4),
    protocol: protocolName(view.getUint8(5)),
    scope: scopeName(view.getUint8(6)),
    onlink: (flags & RTNH_F_ONLINK) !== 0,
    ...defined({
      // IPv6 shows lo for routes that lead nowhere.
      deviceIndex: REJECTING.has(type) ? undefined : attributes.u32(RTA_OIF),
      via: gatewayText(attributes),
      source: addressText(attributes.bytes(RTA_PREFSRC)),
      metric: attributes.u32(RTA_PRIORITY),
      mtu: attributes.nested(RTA_METRICS)?.u32(RTAX_MTU),
      nexthops: multipath && decodeNexthops(multipath),
    }),
  };
}

const HEADER = 12;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_METRICS = 8;
const RTA_MULTIPATH = 9;
const RTA_TABLE = 15;
const RTA_VIA = 18;
const RTAX_MTU = 2;
const RTNH_F_ONLINK = 4;
const RTM_F_CLONED = 0x200;

const TYPES: (RouteType | 'unspec')[] = [
  'unspec',
  'unicast',
  'local',
  'broadcast',
  'anycast',
  'multicast',
  'blackhole',
  'unreachable',
  'prohibit',
  'throw',
];
const REJECTING = new Set<RouteType>(['blackhole', 'unreachable', 'prohibit', 'throw']);
const PROTOCOLS: Record<RouteProtocol, number> = { kernel: 2, boot: 3, static: 4, ra: 9, dhcp: 16 };

interface Selector {
  deviceIndex: number | undefined;
  type: number;
  protocol: number;
  scope: number;
}

function encode(route: NewRoute, { deviceIndex, type, protocol, scope }: Selector): Uint8Array {
  const { address, prefix } = requireCidr(route.destination);
  const table = route.table ?? TABLE_MAIN;
  const flags = route.onlink ? RTNH_F_ONLINK : 0;
  const writer = header(afOf(address.family), prefix, table, protocol, scope, type, flags);
  if (prefix > 0) writer.attributeBytes(RTA_DST, address.bytes);
  writer.attributeU32(RTA_TABLE, table);
  if (deviceIndex !== undefined) writer.attributeU32(RTA_OIF, deviceIndex);
  if (route.via !== undefined) gateway(writer, address.family, route.via);
  if (route.source !== undefined) writer.attributeBytes(RTA_PREFSRC, requireAddress(route.source).bytes);
  if (route.metric !== undefined) writer.attributeU32(RTA_PRIORITY, route.metric);
  const { mtu } = route;
  if (mtu !== undefined) writer.nested(RTA_METRICS, metrics => metrics.attributeU32(RTAX_MTU, mtu));
  return writer.finish();
}

/** struct rtmsg; a table above 255 stands in RTA_TABLE alone. */
function header(
  af: number,
  prefix: number,
  table: number,
  protocol: number,
  scope: number,
  type: number,
  flags: number,
): Writer {
  const writer = new Writer().u8(af).u8(prefix).u8(0).u8(0);
  return writer
    .u8(table < 256 ? table : 0)
    .u8(protocol)
    .u8(scope)
    .u8(type)
    .u32(flags);
}

/** RTA_VIA carries a gateway of the other family. */
function gateway(writer: Writer, family: Family, via: string): void {
  const address = requireAddress(via);
  if (address.family === family) writer.attributeBytes(RTA_GATEWAY, address.bytes);
  else writer.attribute(RTA_VIA, body => body.u16(afOf(address.family)).bytes(address.bytes));
}

function gatewayText(attributes: Attributes): string | undefined {
  return addressText(attributes.bytes(RTA_GATEWAY) ?? attributes.bytes(RTA_VIA)?.subarray(2));
}

/** A list of struct rtnexthop. */
function decodeNexthops(bytes: Uint8Array): Nexthop[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const nexthops: Nexthop[] = [];
  let at = 0;
  while (bytes.length - at >= 8) {
    const length = view.getUint16(at, true);
    if (length < 8 || length > bytes.length - at) break;
    nexthops.push({
      deviceIndex: view.getUint32(at + 4, true),
      weight: view.getUint8(at + 3) + 1,
      ...defined({ via: gatewayText(new Attributes(bytes.subarray(at + 8, at + length))) }),
    });
    at += (length + 3) & ~3;
  }
  return nexthops;
}

function protocolNumber(protocol: RouteProtocol | number): number {
  return typeof protocol === 'number' ? protocol : PROTOCOLS[protocol];
}

function protocolName(number: number): string {
  return Object.entries(PROTOCOLS).find(([, value]) => value === number)?.[0] ?? String(number);
}
