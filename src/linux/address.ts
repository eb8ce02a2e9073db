import { Attributes, Writer } from './netlink/attributes.ts';
import { defined } from './netlink/defined.ts';
import { addressText, afOf, cidrText, type Family, familyOf, requireCidr } from './netlink/ip.ts';
import { type Scope, scopeName, scopeNumber } from './netlink/scope.ts';

/** An address on a device (linux/if_addr.h). `address` is with its prefix length: `10.244.1.1/32`. */
export interface Address {
  family: Family;
  address: string;
  device: string;
  deviceIndex: number;
  scope: string;
  /** Other end of a point-to-point link. */
  peer?: string;
  tentative: boolean;
  duplicate: boolean;
  permanent: boolean;
}

export interface NewAddress {
  /** With its prefix length. */
  address: string;
  device: string | number;
  scope?: Scope;
  /** IPv6: skip duplicate address detection (default true: an address of ours is usable at once). */
  noDad?: boolean;
  /** Add no connected route for the prefix (default false). */
  noPrefixRoute?: boolean;
}

/** Body of RTM_NEWADDR and RTM_DELADDR. */
export function encodeAddress(spec: NewAddress, deviceIndex: number): Uint8Array {
  const { address, prefix } = requireCidr(spec.address);
  let flags = 0;
  if (address.family === 6 && (spec.noDad ?? true)) flags |= IFA_F_NODAD;
  if (spec.noPrefixRoute) flags |= IFA_F_NOPREFIXROUTE;
  const writer = header(afOf(address.family), prefix, scopeNumber(spec.scope ?? 'global'), deviceIndex);
  writer.attributeBytes(IFA_LOCAL, address.bytes);
  writer.attributeBytes(IFA_ADDRESS, address.bytes);
  if (flags !== 0) writer.attributeU32(IFA_FLAGS, flags);
  return writer.finish();
}

/** Body of a dump. */
export function encodeAddressFilter(filter: { family?: Family; deviceIndex?: number }): Uint8Array {
  return header(filter.family ? afOf(filter.family) : 0, 0, 0, filter.deviceIndex ?? 0).finish();
}

export function decodeAddress(body: Uint8Array): Omit<Address, 'device'> | undefined {
  if (body.length < HEADER) return undefined;
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const family = familyOf(view.getUint8(0));
  const attributes = new Attributes(body.subarray(HEADER));
  const far = attributes.bytes(IFA_ADDRESS);
  const local = attributes.bytes(IFA_LOCAL) ?? far;
  if (!family || !local) return undefined;
  const flags = attributes.u32(IFA_FLAGS) ?? view.getUint8(2);
  const peer = addressText(far);
  return {
    family,
    address: cidrText(family, local, view.getUint8(1)),
    deviceIndex: view.getUint32(4, true),
    scope: scopeName(view.getUint8(3)),
    tentative: (flags & IFA_F_TENTATIVE) !== 0,
    duplicate: (flags & IFA_F_DADFAILED) !== 0,
    permanent: (flags & IFA_F_PERMANENT) !== 0,
    ...defined({ peer: peer === addressText(local) ? undefined : peer }),
  };
}

const HEADER = 8;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_FLAGS = 8;
const IFA_F_NODAD = 0x02;
const IFA_F_DADFAILED = 0x08;
const IFA_F_TENTATIVE = 0x40;
const IFA_F_PERMANENT = 0x80;
const IFA_F_NOPREFIXROUTE = 0x200;

/** struct ifaddrmsg */
function header(af: number, prefix: number, scope: number, index: number): Writer {
  return new Writer().u8(af).u8(prefix).u8(0).u8(scope).u32(index);
}
