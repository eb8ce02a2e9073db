/** Netlink messages (linux/netlink.h, struct nlmsghdr). */
import { Attributes, align } from './attributes.ts';

export const NLM_F_REQUEST = 0x01;
export const NLM_F_ACK = 0x04;
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;

export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;

const HEADER = 16;
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const NLMSGERR_ATTR_MSG = 1;
const NLMSGERR_ATTR_MISS_TYPE = 5;

export interface Message {
  type: number;
  flags: number;
  sequence: number;
  body: Uint8Array;
}

export function encodeMessage(message: Message): Uint8Array {
  const whole = Buffer.alloc(align(HEADER + message.body.length));
  whole.writeUInt32LE(HEADER + message.body.length, 0);
  whole.writeUInt16LE(message.type, 4);
  whole.writeUInt16LE(message.flags, 6);
  whole.writeUInt32LE(message.sequence, 8);
  whole.set(message.body, HEADER);
  return whole;
}

/** The whole messages in `bytes`, up to the first one that is malformed. */
export function decodeMessages(bytes: Uint8Array): Message[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const messages: Message[] = [];
  let at = 0;
  while (bytes.length - at >= HEADER) {
    const length = view.getUint32(at, true);
    if (length < HEADER || length > bytes.length - at) break;
    messages.push({
      type: view.getUint16(at + 4, true),
      flags: view.getUint16(at + 6, true),
      sequence: view.getUint32(at + 8, true),
      body: bytes.subarray(at + HEADER, at + length),
    });
    at += align(length);
  }
  return messages;
}

/** What an acknowledgement or the end of a dump says: errno 0 is success; `detail` are the kernel's own words. */
export interface Outcome {
  errno: number;
  detail?: string;
}

/** Of a message of type NLMSG_ERROR or NLMSG_DONE. */
export function decodeOutcome(message: Message): Outcome {
  const { body, flags, type } = message;
  if (body.length < 4) return { errno: 0 };
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const outcome: Outcome = { errno: Math.max(0, -view.getInt32(0, true)) };
  let at = 4;
  if (type === NLMSG_ERROR) {
    if (body.length < 4 + HEADER) return outcome;
    at = 4 + (flags & NLM_F_CAPPED ? HEADER : align(view.getUint32(4, true)));
  }
  if (!(flags & NLM_F_ACK_TLVS) || at > body.length) return outcome;
  const attributes = new Attributes(body.subarray(at));
  const missing = attributes.u32(NLMSGERR_ATTR_MISS_TYPE);
  const detail =
    attributes.string(NLMSGERR_ATTR_MSG) ??
    (missing === undefined ? undefined : `attribute ${missing} is missing`);
  if (detail) outcome.detail = detail.replace(/\.$/, '');
  return outcome;
}
