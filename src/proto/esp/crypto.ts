/**
 * Sealing and opening one ESP packet by node:crypto: slow, plain, and the reference for every faster one.
 *
 * The IV is the sequence number itself: the counter that RFC 4106 (section 3.1) and RFC 7634 (section 2) ask for, and for
 * CBC its encryption under the same key, which nobody can foresee (NIST SP 800-38A, appendix C).
 */
import {
  type CipherGCMTypes,
  createCipheriv,
  createDecipheriv,
  createHmac,
  timingSafeEqual,
} from 'node:crypto';
import { concatBytes, wipe } from '../bytes.ts';
import { ESP_HEADER_LENGTH, withoutTrailer, withTrailer, writeEspHeader } from './packet.ts';
import { hashOf, type SaKeys, type Suite } from './suite.ts';

/** What both ends know of a packet that is not wholly in it. */
export interface EspContext {
  readonly suite: Suite;
  readonly keys: SaKeys;
  readonly spi: number;
  /** All 64 bits of it; 32 without ESN. */
  readonly sequence: bigint;
  /** Extended sequence numbers: the high half is authenticated, not sent (RFC 4303, section 2.2.1). */
  readonly esn: boolean;
}

/** The ESP packet. `iv` only for vectors: by itself it follows from the sequence number. */
export function sealEsp(
  context: EspContext,
  payload: Uint8Array,
  nextHeader: number,
  iv: Uint8Array = ivOf(context),
): Uint8Array {
  const { suite } = context;
  const header = writeEspHeader(context.spi, context.sequence);
  const plaintext = withTrailer(suite, payload, nextHeader);
  if (suite.integrity === undefined) {
    const cipher = aeadCipher(context, nonceOf(context, iv));
    cipher.setAAD(associated(context, header), { plaintextLength: plaintext.length });
    const sealed = cipher.update(plaintext);
    cipher.final();
    wipe(plaintext);
    return concatBytes(header, iv, sealed, cipher.getAuthTag());
  }
  const cipher = createCipheriv(cbcOf(suite), cipherKey(context), iv).setAutoPadding(false);
  const sealed = concatBytes(cipher.update(plaintext), cipher.final());
  wipe(plaintext);
  const covered = concatBytes(header, iv, sealed);
  return concatBytes(covered, icvOf(context, covered));
}

/** Payload and next header; `false` when the tag is not right, undefined when what it protects is malformed. */
export function openEsp(
  context: EspContext,
  packet: Uint8Array,
): { payload: Uint8Array; nextHeader: number } | undefined | false {
  const { suite } = context;
  const sealedFrom = ESP_HEADER_LENGTH + suite.ivLength;
  const sealedTo = packet.length - suite.icvLength;
  const length = sealedTo - sealedFrom;
  if (length < suite.alignment || length % suite.alignment !== 0) return undefined;
  const header = packet.subarray(0, ESP_HEADER_LENGTH);
  const iv = packet.subarray(ESP_HEADER_LENGTH, sealedFrom);
  const sealed = packet.subarray(sealedFrom, sealedTo);
  const icv = packet.subarray(sealedTo);
  const plaintext =
    suite.integrity === undefined
      ? openAead(context, header, iv, sealed, icv)
      : openCbc(context, packet.subarray(0, sealedTo), iv, sealed, icv);
  return plaintext && withoutTrailer(plaintext);
}

/** The IV of the packet with the context's sequence number. */
export function ivOf(context: EspContext): Uint8Array {
  const block = new Uint8Array(context.suite.ivLength);
  new DataView(block.buffer).setBigUint64(block.length - 8, context.sequence);
  if (context.suite.integrity === undefined) return block;
  const { keyLength } = context.suite;
  const cipher = createCipheriv(`aes-${8 * keyLength}-ecb`, cipherKey(context), null).setAutoPadding(false);
  return concatBytes(cipher.update(block), cipher.final());
}

function openAead(
  context: EspContext,
  header: Uint8Array,
  iv: Uint8Array,
  sealed: Uint8Array,
  icv: Uint8Array,
): Uint8Array | false {
  const decipher = aeadDecipher(context, nonceOf(context, iv));
  decipher.setAAD(associated(context, header), { plaintextLength: sealed.length });
  decipher.setAuthTag(icv);
  const plaintext = decipher.update(sealed);
  try {
    decipher.final();
  } catch {
    wipe(plaintext);
    return false;
  }
  return new Uint8Array(plaintext);
}

function openCbc(
  context: EspContext,
  covered: Uint8Array,
  iv: Uint8Array,
  sealed: Uint8Array,
  icv: Uint8Array,
): Uint8Array | false {
  if (!timingSafeEqual(icvOf(context, covered), icv)) return false;
  const decipher = createDecipheriv(cbcOf(context.suite), cipherKey(context), iv).setAutoPadding(false);
  return concatBytes(decipher.update(sealed), decipher.final());
}

/** RFC 4106, section 5: SPI and sequence number, all 64 bits of it with ESN. */
function associated(context: EspContext, header: Uint8Array): Uint8Array {
  if (!context.esn) return header;
  return concatBytes(header.subarray(0, 4), highOf(context.sequence), header.subarray(4));
}

/** RFC 4303, section 2.8: over all before it and, with ESN, the high half of the sequence number. */
function icvOf(context: EspContext, covered: Uint8Array): Uint8Array {
  const { suite, keys } = context;
  if (suite.integrity === undefined || keys.integrity === undefined) {
    throw new TypeError(`${suite.cipher} has no key of an integrity algorithm`);
  }
  const mac = createHmac(hashOf(suite.integrity), keys.integrity).update(covered);
  if (context.esn) mac.update(highOf(context.sequence));
  return new Uint8Array(mac.digest().subarray(0, suite.icvLength));
}

function highOf(sequence: bigint): Uint8Array {
  const high = new Uint8Array(4);
  new DataView(high.buffer).setUint32(0, Number(sequence >> 32n));
  return high;
}

function nonceOf({ suite, keys }: EspContext, iv: Uint8Array): Uint8Array {
  return concatBytes(keys.cipher.subarray(suite.keyLength), iv);
}

function cipherKey({ suite, keys }: EspContext): Uint8Array {
  return keys.cipher.subarray(0, suite.keyLength);
}

function aeadCipher(context: EspContext, nonce: Uint8Array) {
  const { suite } = context;
  const options = { authTagLength: suite.icvLength };
  return suite.cipher === 'rfc4106(gcm(aes))'
    ? createCipheriv(gcmOf(suite), cipherKey(context), nonce, options)
    : createCipheriv('chacha20-poly1305', cipherKey(context), nonce, options);
}

function aeadDecipher(context: EspContext, nonce: Uint8Array) {
  const { suite } = context;
  const options = { authTagLength: suite.icvLength };
  return suite.cipher === 'rfc4106(gcm(aes))'
    ? createDecipheriv(gcmOf(suite), cipherKey(context), nonce, options)
    : createDecipheriv('chacha20-poly1305', cipherKey(context), nonce, options);
}

function gcmOf(suite: Suite): CipherGCMTypes {
  return `aes-${(8 * suite.keyLength) as 128 | 192 | 256}-gcm`;
}

function cbcOf(suite: Suite): string {
  return `aes-${8 * suite.keyLength}-cbc`;
}
