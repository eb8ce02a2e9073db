import { Attributes, Writer } from './netlink/attributes.ts';
import { defined } from './netlink/defined.ts';
import {
  AF_BRIDGE,
  addressText,
  afOf,
  type Family,
  familyOf,
  macText,
  requireAddress,
  requireMac,
} from './netlink/ip.ts';

export type NeighbourState =
  | 'incomplete'
  | 'reachable'
  | 'stale'
  | 'delay'
  | 'probe'
  | 'failed'
  | 'noarp'
  | 'permanent'
  | 'none';

/** An ARP or NDP entry (linux/neighbour.h). */
export interface Neighbour {
  family: Family;
  address: string;
  device: string;
  deviceIndex: number;
  mac?: string;
  state: NeighbourState;
  proxy: boolean;
}

export interface NewNeighbour {
  address: string;
  device: string | number;
  /** Needed unless `proxy`. */
  mac?: string;
  /** Default permanent. */
  state?: NeighbourState;
  proxy?: boolean;
}

/** A forwarding database entry of a vxlan device: frames to `mac` go to the node `destination`. */
export interface FdbEntry {
  mac: string;
  device: string;
  deviceIndex: number;
  destination?: string;
  port?: number;
  vni?: number;
  state: NeighbourState;
}

export interface NewFdbEntry {
  mac: string;
  device: string | number;
  destination?: string;
}

/** Body of RTM_NEWNEIGH and RTM_DELNEIGH for ARP and NDP. */
export function encodeNeighbour(neighbour: NewNeighbour, deviceIndex: number): Uint8Array {
  const { family, bytes } = requireAddress(neighbour.address);
  const state = STATES[neighbour.state ?? 'permanent'];
  const writer = header(afOf(family), deviceIndex, state, neighbour.proxy ? NTF_PROXY : 0);
  writer.attributeBytes(NDA_DST, bytes);
  if (neighbour.mac !== undefined) writer.attributeBytes(NDA_LLADDR, requireMac(neighbour.mac));
  return writer.finish();
}

/** Body of RTM_NEWNEIGH and RTM_DELNEIGH for the forwarding database of a vxlan device. */
export function encodeFdb(entry: NewFdbEntry, deviceIndex: number): Uint8Array {
  const writer = header(AF_BRIDGE, deviceIndex, STATES.permanent | STATES.noarp, NTF_SELF);
  writer.attributeBytes(NDA_LLADDR, requireMac(entry.mac));
  if (entry.destination !== undefined) {
    writer.attributeBytes(NDA_DST, requireAddress(entry.destination).bytes);
  }
  return writer.finish();
}

/** Body of a dump: of one family, of every family, or of the forwarding databases. */
export function encodeNeighbourFilter(family: Family | 'bridge' | undefined, proxy = false): Uint8Array {
  const af = family === 'bridge' ? AF_BRIDGE : family ? afOf(family) : 0;
  return header(af, 0, 0, proxy ? NTF_PROXY : 0).finish();
}

export function decodeNeighbour(body: Uint8Array): Omit<Neighbour, 'device'> | undefined {
  const entry = decodeEntry(body);
  const family = entry && familyOf(entry.af);
  const address = addressText(entry?.attributes.bytes(NDA_DST));
  if (!entry || !family || address === undefined) return undefined;
  return {
    family,
    address,
    deviceIndex: entry.deviceIndex,
    state: stateName(entry.state),
    proxy: (entry.flags & NTF_PROXY) !== 0,
    ...defined({ mac: macText(entry.attributes.bytes(NDA_LLADDR)) }),
  };
}

export function decodeFdb(body: Uint8Array): Omit<FdbEntry, 'device'> | undefined {
  const entry = decodeEntry(body);
  const mac = macText(entry?.attributes.bytes(NDA_LLADDR));
  if (!entry || entry.af !== AF_BRIDGE || mac === undefined) return undefined;
  return {
    mac,
    deviceIndex: entry.deviceIndex,
    state: stateName(entry.state),
    ...defined({
      destination: addressText(entry.attributes.bytes(NDA_DST)),
      port: entry.attributes.be16(NDA_PORT),
      vni: entry.attributes.u32(NDA_VNI),
    }),
  };
}

const HEADER = 12;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const NDA_PORT = 6;
const NDA_VNI = 7;
const NTF_SELF = 0x02;
const NTF_PROXY = 0x08;

const STATES: Record<NeighbourState, number> = {
  none: 0,
  incomplete: 0x01,
  reachable: 0x02,
  stale: 0x04,
  delay: 0x08,
  probe: 0x10,
  failed: 0x20,
  noarp: 0x40,
  permanent: 0x80,
};

/** struct ndmsg */
function header(af: number, deviceIndex: number, state: number, flags: number): Writer {
  return new Writer().u8(af).u8(0).u16(0).i32(deviceIndex).u16(state).u8(flags).u8(0);
}

function decodeEntry(body: Uint8Array) {
  if (body.length < HEADER) return undefined;
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  return {
    af: view.getUint8(0),
    deviceIndex: view.getInt32(4, true),
    state: view.getUint16(8, true),
    flags: view.getUint8(10),
    attributes: new Attributes(body.subarray(HEADER)),
  };
}

/** The strongest of the bits that are set. */
function stateName(state: number): NeighbourState {
  const names = Object.entries(STATES).reverse() as [NeighbourState, number][];
  return names.find(([, bit]) => (state & bit) !== 0)?.[0] ?? 'none';
}
