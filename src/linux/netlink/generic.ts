/** Generic netlink (linux/genetlink.h): kernel subsystems that are found by name. */
import { Attributes, listAttributes, Writer } from './attributes.ts';
import { isNetlinkError } from './error.ts';
import { NETLINK_GENERIC, NetlinkSocket } from './socket.ts';

export interface GenericFamily {
  name: string;
  /** Message type of its requests. */
  id: number;
  version: number;
  /** Multicast groups by name. */
  groups: Map<string, number>;
}

/** Undefined when this kernel has no such family; a module that has it is loaded. Throws NetlinkError. */
export async function findGenericFamily(name: string, netns = ''): Promise<GenericFamily | undefined> {
  const body = genericHeader(CTRL_CMD_GETFAMILY, CTRL_VERSION).attributeString(CTRL_ATTR_FAMILY_NAME, name);
  const what = `look up the netlink family ${name}`;
  const socket = NetlinkSocket.open(NETLINK_GENERIC, netns);
  try {
    const [answer] = await socket.request(what, GENL_ID_CTRL, 0, body.finish());
    return answer && decodeGenericFamily(answer.body);
  } catch (error) {
    if (isNetlinkError(error, 'ENOENT')) return undefined;
    throw error;
  } finally {
    socket.close();
  }
}

/** A message body with struct genlmsghdr; attributes follow. */
export function genericHeader(command: number, version: number): Writer {
  return new Writer().u8(command).u8(version).u16(0);
}

export function decodeGenericFamily(body: Uint8Array): GenericFamily | undefined {
  const attributes = new Attributes(body.subarray(GENERIC_HEADER));
  const name = attributes.string(CTRL_ATTR_FAMILY_NAME);
  const id = attributes.u16(CTRL_ATTR_FAMILY_ID);
  if (name === undefined || id === undefined) return undefined;
  const groups = new Map<string, number>();
  for (const [, bytes] of listAttributes(attributes.bytes(CTRL_ATTR_MCAST_GROUPS) ?? new Uint8Array())) {
    const group = new Attributes(bytes);
    const groupName = group.string(CTRL_ATTR_MCAST_GRP_NAME);
    const number = group.u32(CTRL_ATTR_MCAST_GRP_ID);
    if (groupName !== undefined && number !== undefined) groups.set(groupName, number);
  }
  return { name, id, version: attributes.u32(CTRL_ATTR_VERSION) ?? 0, groups };
}

export const GENERIC_HEADER = 4;
const GENL_ID_CTRL = 0x10;
const CTRL_VERSION = 2;
const CTRL_CMD_GETFAMILY = 3;
const CTRL_ATTR_FAMILY_ID = 1;
const CTRL_ATTR_FAMILY_NAME = 2;
const CTRL_ATTR_VERSION = 3;
const CTRL_ATTR_MCAST_GROUPS = 7;
const CTRL_ATTR_MCAST_GRP_NAME = 1;
const CTRL_ATTR_MCAST_GRP_ID = 2;
