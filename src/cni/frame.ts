/** What goes over the agent's socket: native/cni/main.cc has the other end. */

export const MAX_REQUEST = (1 << 20) + 64 * 1024;
const LENGTH = 4;

export interface ShimRequest {
  environment: Map<string, string>;
  stdin: string;
}

/** Length of the whole frame, once its first 4 bytes are there. */
export function frameSize(bytes: Uint8Array): number | undefined {
  if (bytes.length < LENGTH) return undefined;
  return LENGTH + new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
}

/** Of a whole frame; undefined when it is malformed. */
export function decodeRequest(frame: Uint8Array): ShimRequest | undefined {
  const environment = new Map<string, string>();
  let at = LENGTH;
  for (;;) {
    const end = frame.indexOf(0, at);
    if (end < 0) return undefined;
    const text = Buffer.from(frame.subarray(at, end)).toString();
    at = end + 1;
    if (text === '') break;
    const equals = text.indexOf('=');
    if (equals <= 0) return undefined;
    environment.set(text.slice(0, equals), text.slice(equals + 1));
  }
  return { environment, stdin: Buffer.from(frame.subarray(at)).toString() };
}

/** `status` is the shim's exit status, `output` what it prints. */
export function encodeAnswer(status: number, output: string): Uint8Array {
  const text = Buffer.from(output);
  const frame = Buffer.alloc(LENGTH + 1 + text.length);
  frame.writeUInt32BE(1 + text.length, 0);
  frame.writeUInt8(status, LENGTH);
  frame.set(text, LENGTH + 1);
  return frame;
}
