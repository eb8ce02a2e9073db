/** The four messages on the wire (paper, 5.4.2 to 5.4.7). All numbers are little-endian. */

export const MESSAGE_INITIATION = 1;
export const MESSAGE_RESPONSE = 2;
export const MESSAGE_COOKIE_REPLY = 3;
export const MESSAGE_DATA = 4;

export const INITIATION_BYTES = 148;
export const RESPONSE_BYTES = 92;
export const COOKIE_REPLY_BYTES = 64;
export const DATA_HEADER_BYTES = 16;
/** mac1 and mac2 end an initiation and a response. */
export const MAC_BYTES = 16;
export const TAG_BYTES = 16;

export interface Initiation {
  readonly senderIndex: number;
  readonly ephemeral: Uint8Array;
  readonly encryptedStatic: Uint8Array;
  readonly encryptedTimestamp: Uint8Array;
}

export interface Response {
  readonly senderIndex: number;
  readonly receiverIndex: number;
  readonly ephemeral: Uint8Array;
  readonly encryptedNothing: Uint8Array;
}

export interface CookieReply {
  readonly receiverIndex: number;
  readonly nonce: Uint8Array;
  readonly encryptedCookie: Uint8Array;
}

/** The type of a message whose length fits it, the reserved bytes being zero; undefined for anything else. */
export function messageType(bytes: Uint8Array): 1 | 2 | 3 | 4 | undefined {
  if (bytes.length < 4 || bytes[1] !== 0 || bytes[2] !== 0 || bytes[3] !== 0) return undefined;
  if (bytes[0] === MESSAGE_INITIATION && bytes.length === INITIATION_BYTES) return MESSAGE_INITIATION;
  if (bytes[0] === MESSAGE_RESPONSE && bytes.length === RESPONSE_BYTES) return MESSAGE_RESPONSE;
  if (bytes[0] === MESSAGE_COOKIE_REPLY && bytes.length === COOKIE_REPLY_BYTES) return MESSAGE_COOKIE_REPLY;
  if (bytes[0] === MESSAGE_DATA && bytes.length >= DATA_HEADER_BYTES + TAG_BYTES) return MESSAGE_DATA;
  return undefined;
}

/** mac1 and mac2 are left zero. */
export function encodeInitiation(message: Initiation): Uint8Array {
  const bytes = start(INITIATION_BYTES, MESSAGE_INITIATION, message.senderIndex);
  bytes.set(message.ephemeral, 8);
  bytes.set(message.encryptedStatic, 40);
  bytes.set(message.encryptedTimestamp, 88);
  return bytes;
}

export function decodeInitiation(bytes: Uint8Array): Initiation {
  return {
    senderIndex: readU32(bytes, 4),
    ephemeral: bytes.slice(8, 40),
    encryptedStatic: bytes.slice(40, 88),
    encryptedTimestamp: bytes.slice(88, 116),
  };
}

/** mac1 and mac2 are left zero. */
export function encodeResponse(message: Response): Uint8Array {
  const bytes = start(RESPONSE_BYTES, MESSAGE_RESPONSE, message.senderIndex);
  writeU32(bytes, 8, message.receiverIndex);
  bytes.set(message.ephemeral, 12);
  bytes.set(message.encryptedNothing, 44);
  return bytes;
}

export function decodeResponse(bytes: Uint8Array): Response {
  return {
    senderIndex: readU32(bytes, 4),
    receiverIndex: readU32(bytes, 8),
    ephemeral: bytes.slice(12, 44),
    encryptedNothing: bytes.slice(44, 60),
  };
}

export function encodeCookieReply(message: CookieReply): Uint8Array {
  const bytes = start(COOKIE_REPLY_BYTES, MESSAGE_COOKIE_REPLY, message.receiverIndex);
  bytes.set(message.nonce, 8);
  bytes.set(message.encryptedCookie, 32);
  return bytes;
}

export function decodeCookieReply(bytes: Uint8Array): CookieReply {
  return {
    receiverIndex: readU32(bytes, 4),
    nonce: bytes.slice(8, 32),
    encryptedCookie: bytes.slice(32, 64),
  };
}

/** The 16 bytes before the sealed packet. */
export function encodeDataHeader(receiverIndex: number, counter: bigint): Uint8Array {
  const bytes = start(DATA_HEADER_BYTES, MESSAGE_DATA, receiverIndex);
  viewOf(bytes).setBigUint64(8, counter, true);
  return bytes;
}

export function decodeDataHeader(bytes: Uint8Array): { receiverIndex: number; counter: bigint } {
  return { receiverIndex: readU32(bytes, 4), counter: viewOf(bytes).getBigUint64(8, true) };
}

/** The sender index of an initiation or a response. */
export function senderIndexOf(bytes: Uint8Array): number {
  return readU32(bytes, 4);
}

export function mac1Of(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(bytes.length - 2 * MAC_BYTES, bytes.length - MAC_BYTES);
}

export function mac2Of(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(bytes.length - MAC_BYTES);
}

/** What mac1 covers, and what mac2 covers. */
export function beforeMac1(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(0, bytes.length - 2 * MAC_BYTES);
}

export function beforeMac2(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(0, bytes.length - MAC_BYTES);
}

function start(length: number, type: number, index: number): Uint8Array {
  const bytes = new Uint8Array(length);
  writeU32(bytes, 0, type);
  writeU32(bytes, 4, index);
  return bytes;
}

function readU32(bytes: Uint8Array, offset: number): number {
  return viewOf(bytes).getUint32(offset, true);
}

function writeU32(bytes: Uint8Array, offset: number, value: number): void {
  viewOf(bytes).setUint32(offset, value, true);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
