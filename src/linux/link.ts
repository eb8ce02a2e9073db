/** Network devices as plain data (linux/if_link.h). */
import { Attributes, Writer } from './netlink/attributes.ts';
import { defined } from './netlink/defined.ts';
import { AF_UNSPEC, addressText, macText, requireAddress, requireMac } from './netlink/ip.ts';

/** A device as the kernel shows it. `mac` is lower-case with colons; `mtu` in bytes. */
export interface Link {
  index: number;
  name: string;
  /** `veth`, `vxlan`, `tun`, `wireguard`, …; undefined for physical devices and lo. */
  kind?: string;
  /** Administratively up (IFF_UP). */
  up: boolean;
  /** Carrier: IFF_LOWER_UP. */
  carrier: boolean;
  loopback: boolean;
  mtu: number;
  mac?: string;
  alias?: string;
  /** Index of the bridge or bond above. */
  master?: number;
  /** Index of the other end (veth) or of the device below; in namespace `peerNetnsId` if that is set. */
  peer?: number;
  peerNetnsId?: number;
  operState: OperState;
  vxlan?: VxlanParameters;
  statistics?: LinkStatistics;
}

export type OperState = 'unknown' | 'notpresent' | 'down' | 'lowerlayerdown' | 'testing' | 'dormant' | 'up';

export interface LinkStatistics {
  receivedPackets: bigint;
  sentPackets: bigint;
  receivedBytes: bigint;
  sentBytes: bigint;
  receiveErrors: bigint;
  sendErrors: bigint;
  receiveDropped: bigint;
  sendDropped: bigint;
}

export interface VxlanParameters {
  id: number;
  /** UDP port; Linux's and Cilium's is 8472. */
  port: number;
  local?: string;
  learning: boolean;
  /** Metadata (external) mode. */
  external: boolean;
}

/** What may be said of a device when it is made or changed. */
export interface LinkChange {
  up?: boolean;
  mtu?: number;
  mac?: string;
  /** At most 255 bytes. */
  alias?: string;
  name?: string;
  /** Path of the network namespace to move it to. */
  netns?: string;
  /** Name or index of a bridge; null takes it out of its bridge. */
  master?: string | number | null;
  promiscuous?: boolean;
}

export interface NewLinkCommon extends LinkChange {
  name: string;
}
export interface NewVeth extends NewLinkCommon {
  kind: 'veth';
  peer: { name: string; mtu?: number; mac?: string; netns?: string; up?: boolean };
}
export interface NewVxlan extends NewLinkCommon {
  kind: 'vxlan';
  id: number;
  /** UDP port, 8472 unless told. */
  port?: number;
  local?: string;
  /** Default false: the forwarding database is ours. */
  learning?: boolean;
  /** The underlay device, by name. */
  device?: string;
}
export interface NewPlainLink extends NewLinkCommon {
  kind: 'bridge' | 'wireguard' | 'dummy';
}
export type NewLink = NewVeth | NewVxlan | NewPlainLink;

/** `change` with names and paths resolved: indexes and open descriptors of this process. */
export interface ResolvedLinkChange extends Omit<LinkChange, 'netns' | 'master'> {
  netnsFd?: number;
  masterIndex?: number;
}

/** Body of RTM_NEWLINK that makes a device. `fds` has the descriptors of the paths in `netns`. */
export function encodeNewLink(
  link: NewLink,
  resolved: { netnsFd?: number; peerNetnsFd?: number; masterIndex?: number; deviceIndex?: number },
): Uint8Array {
  const writer = new Writer();
  header(writer, 0, link);
  writer.attributeString(IFLA_IFNAME, link.name);
  settings(writer, { ...(link.mtu && { mtu: link.mtu }), ...(link.mac && { mac: link.mac }), ...resolved });
  writer.nested(IFLA_LINKINFO, info => {
    info.attributeString(IFLA_INFO_KIND, link.kind);
    if (link.kind === 'veth') info.nested(IFLA_INFO_DATA, data => vethData(data, link, resolved.peerNetnsFd));
    if (link.kind === 'vxlan')
      info.nested(IFLA_INFO_DATA, data => vxlanData(data, link, resolved.deviceIndex));
  });
  return writer.finish();
}

/** Body of RTM_NEWLINK that changes a device, given by index or (index 0) by name. */
export function encodeLinkChange(device: string | number, change: ResolvedLinkChange): Uint8Array {
  const writer = new Writer();
  header(writer, typeof device === 'number' ? device : 0, change);
  if (typeof device === 'string') writer.attributeString(IFLA_IFNAME, device);
  else if (change.name !== undefined) writer.attributeString(IFLA_IFNAME, change.name);
  settings(writer, change);
  return writer.finish();
}

/** Body of RTM_GETLINK and RTM_DELLINK; without a device that of a dump. */
export function encodeLinkKey(device?: string | number, withStatistics = true): Uint8Array {
  const writer = new Writer();
  header(writer, typeof device === 'number' ? device : 0, {});
  if (typeof device === 'string') writer.attributeString(IFLA_IFNAME, device);
  if (!withStatistics) writer.attributeU32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  return writer.finish();
}

/** Undefined for a body that is no device (too short, no name, of the bridge family). */
export function decodeLink(body: Uint8Array): Link | undefined {
  if (body.length < HEADER) return undefined;
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const flags = view.getUint32(8, true);
  const attributes = new Attributes(body.subarray(HEADER));
  const name = attributes.string(IFLA_IFNAME);
  if (view.getUint8(0) !== AF_UNSPEC || name === undefined) return undefined;
  const link: Link = {
    index: view.getInt32(4, true),
    name,
    up: (flags & IFF_UP) !== 0,
    carrier: (flags & IFF_LOWER_UP) !== 0,
    loopback: (flags & IFF_LOOPBACK) !== 0,
    mtu: attributes.u32(IFLA_MTU) ?? 0,
    operState: OPER_STATES[attributes.u8(IFLA_OPERSTATE) ?? 0] ?? 'unknown',
  };
  const info = attributes.nested(IFLA_LINKINFO);
  const kind = info?.string(IFLA_INFO_KIND);
  const data = info?.nested(IFLA_INFO_DATA);
  return {
    ...link,
    ...defined({
      kind,
      mac: macText(attributes.bytes(IFLA_ADDRESS)),
      alias: attributes.string(IFLA_IFALIAS),
      master: attributes.u32(IFLA_MASTER),
      peer: attributes.u32(IFLA_LINK),
      peerNetnsId: attributes.i32(IFLA_LINK_NETNSID),
      vxlan: kind === 'vxlan' && data ? decodeVxlan(data) : undefined,
      statistics: decodeStatistics(attributes.bytes(IFLA_STATS64)),
    }),
  };
}

const HEADER = 16;
const IFF_UP = 0x1;
const IFF_LOOPBACK = 0x8;
const IFF_PROMISC = 0x100;
const IFF_LOWER_UP = 0x10000;

const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINK = 5;
const IFLA_MASTER = 10;
const IFLA_OPERSTATE = 16;
const IFLA_LINKINFO = 18;
const IFLA_IFALIAS = 20;
const IFLA_STATS64 = 23;
const IFLA_NET_NS_FD = 28;
const IFLA_EXT_MASK = 29;
const IFLA_LINK_NETNSID = 37;
const RTEXT_FILTER_SKIP_STATS = 8;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const VETH_INFO_PEER = 1;
const IFLA_VXLAN_ID = 1;
const IFLA_VXLAN_LINK = 3;
const IFLA_VXLAN_LOCAL = 4;
const IFLA_VXLAN_LEARNING = 7;
const IFLA_VXLAN_PORT = 15;
const IFLA_VXLAN_LOCAL6 = 17;
const IFLA_VXLAN_COLLECT_METADATA = 25;

const VXLAN_PORT = 8472;
const OPER_STATES: OperState[] = [
  'unknown',
  'notpresent',
  'down',
  'lowerlayerdown',
  'testing',
  'dormant',
  'up',
];

/** struct ifinfomsg */
function header(writer: Writer, index: number, change: { up?: boolean; promiscuous?: boolean }): void {
  let flags = 0;
  let mask = 0;
  if (change.up !== undefined) mask |= IFF_UP;
  if (change.up) flags |= IFF_UP;
  if (change.promiscuous !== undefined) mask |= IFF_PROMISC;
  if (change.promiscuous) flags |= IFF_PROMISC;
  writer.u8(AF_UNSPEC).u8(0).u16(0).i32(index).u32(flags).u32(mask);
}

function settings(writer: Writer, change: ResolvedLinkChange): void {
  if (change.mtu !== undefined) writer.attributeU32(IFLA_MTU, change.mtu);
  if (change.mac !== undefined) writer.attributeBytes(IFLA_ADDRESS, requireMac(change.mac));
  if (change.alias !== undefined) writer.attributeBytes(IFLA_IFALIAS, Buffer.from(change.alias));
  if (change.masterIndex !== undefined) writer.attributeU32(IFLA_MASTER, change.masterIndex);
  if (change.netnsFd !== undefined) writer.attributeU32(IFLA_NET_NS_FD, change.netnsFd);
}

function vethData(writer: Writer, { peer }: NewVeth, netnsFd: number | undefined): void {
  writer.nested(VETH_INFO_PEER, body => {
    header(body, 0, {}); // up comes later: veth refuses to open before both ends are there
    body.attributeString(IFLA_IFNAME, peer.name);
    settings(body, defined({ mtu: peer.mtu, mac: peer.mac, netnsFd }));
  });
}

function vxlanData(writer: Writer, link: NewVxlan, deviceIndex: number | undefined): void {
  writer.attributeU32(IFLA_VXLAN_ID, link.id);
  writer.attributeBe16(IFLA_VXLAN_PORT, link.port ?? VXLAN_PORT);
  writer.attributeU8(IFLA_VXLAN_LEARNING, link.learning ? 1 : 0);
  if (deviceIndex !== undefined) writer.attributeU32(IFLA_VXLAN_LINK, deviceIndex);
  if (link.local !== undefined) {
    const local = requireAddress(link.local);
    writer.attributeBytes(local.family === 4 ? IFLA_VXLAN_LOCAL : IFLA_VXLAN_LOCAL6, local.bytes);
  }
}

function decodeVxlan(data: Attributes): VxlanParameters {
  return {
    id: data.u32(IFLA_VXLAN_ID) ?? 0,
    port: data.be16(IFLA_VXLAN_PORT) ?? 0,
    learning: data.u8(IFLA_VXLAN_LEARNING) === 1,
    external: (data.u8(IFLA_VXLAN_COLLECT_METADATA) ?? 0) === 1,
    ...defined({ local: addressText(data.bytes(IFLA_VXLAN_LOCAL) ?? data.bytes(IFLA_VXLAN_LOCAL6)) }),
  };
}

/** struct rtnl_link_stats64 */
function decodeStatistics(bytes: Uint8Array | undefined): LinkStatistics | undefined {
  if (!bytes || bytes.length < 64) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const at = (index: number) => view.getBigUint64(index * 8, true);
  return {
    receivedPackets: at(0),
    sentPackets: at(1),
    receivedBytes: at(2),
    sentBytes: at(3),
    receiveErrors: at(4),
    sendErrors: at(5),
    receiveDropped: at(6),
    sendDropped: at(7),
  };
}
