/**
 * The primitives of Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s under the paper's names (5.4): DH, AEAD, XAEAD, HASH, MAC, HMAC,
 * KDF. X25519 and ChaCha20-Poly1305 are OpenSSL's; keyed BLAKE2s and XChaCha20, which it lacks, are noble's.
 */
import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  type KeyObject,
} from 'node:crypto';
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { blake2s } from '@noble/hashes/blake2.js';
import { hmac as nobleHmac } from '@noble/hashes/hmac.js';
import { concatBytes, wipe } from '../bytes.ts';
import { TAG_BYTES } from './messages.ts';

export const KEY_BYTES = 32;

/** The fixed DER that stands before the 32 bytes of an X25519 key (RFC 8410). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b656e04220420', 'hex');
const SPKI_PREFIX = Buffer.from('302a300506032b656e032100', 'hex');
const CIPHER = 'chacha20-poly1305';

/** An X25519 private key inside OpenSSL, which wipes it when it is collected. */
export class PrivateKey {
  readonly publicKey: Uint8Array;
  readonly #key: KeyObject;

  /** Any 32 bytes: the curve clamps them. They are copied. */
  constructor(bytes: Uint8Array) {
    const der = Buffer.concat([PKCS8_PREFIX, bytes]);
    this.#key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    wipe(der);
    const spki = createPublicKey(this.#key).export({ format: 'der', type: 'spki' });
    this.publicKey = new Uint8Array(spki.subarray(SPKI_PREFIX.length));
  }

  /** The shared secret, or undefined when the other key is a point of low order (RFC 7748, section 6.1). */
  agree(publicKey: Uint8Array): Uint8Array | undefined {
    const der = Buffer.concat([SPKI_PREFIX, publicKey]);
    const other = createPublicKey({ key: der, format: 'der', type: 'spki' });
    try {
      return diffieHellman({ privateKey: this.#key, publicKey: other });
    } catch {
      return undefined;
    }
  }
}

/** The key as `wg genkey` would have written it. */
export function clamp(privateKey: Uint8Array): Uint8Array {
  const key = Uint8Array.from(privateKey);
  key[0]! &= 248;
  key[31] = (key[31]! & 127) | 64;
  return key;
}

/** BLAKE2s with 32 bytes of output. */
export function hash(...parts: readonly Uint8Array[]): Uint8Array {
  const state = blake2s.create({ dkLen: 32 });
  for (const part of parts) state.update(part);
  return state.digest();
}

/** Keyed BLAKE2s with 16 bytes of output. */
export function mac(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  const state = blake2s.create({ key, dkLen: 16 });
  for (const part of parts) state.update(part);
  return state.digest();
}

export function hmac(key: Uint8Array, input: Uint8Array): Uint8Array {
  return nobleHmac(blake2s, key, input);
}

/** `count` keys of 32 bytes out of a chaining key and new secret input: HKDF (RFC 5869) with HMAC-BLAKE2s. */
export function kdf(count: 1 | 2 | 3, chainingKey: Uint8Array, input: Uint8Array): Uint8Array[] {
  const secret = hmac(chainingKey, input);
  const keys: Uint8Array[] = [];
  let last = new Uint8Array();
  for (let i = 1; i <= count; i++) {
    last = Uint8Array.from(hmac(secret, concatBytes(last, Uint8Array.of(i))));
    keys.push(last);
  }
  wipe(secret);
  return keys;
}

/** ChaCha20-Poly1305 (RFC 8439) with the counter as nonce: ciphertext and tag. */
export function seal(
  key: Uint8Array,
  counter: bigint,
  plaintext: Uint8Array,
  associated: Uint8Array,
): Uint8Array {
  const cipher = createCipheriv(CIPHER, key, nonceOf(counter), { authTagLength: TAG_BYTES });
  cipher.setAAD(associated, { plaintextLength: plaintext.length });
  const ciphertext = cipher.update(plaintext);
  cipher.final();
  return concatBytes(ciphertext, cipher.getAuthTag());
}

/** The plaintext, or undefined when the tag is not right. */
export function open(
  key: Uint8Array,
  counter: bigint,
  sealed: Uint8Array,
  associated: Uint8Array,
): Uint8Array | undefined {
  const length = sealed.length - TAG_BYTES;
  if (length < 0) return undefined;
  const decipher = createDecipheriv(CIPHER, key, nonceOf(counter), { authTagLength: TAG_BYTES });
  decipher.setAAD(associated, { plaintextLength: length });
  decipher.setAuthTag(sealed.subarray(length));
  const plaintext = decipher.update(sealed.subarray(0, length));
  try {
    decipher.final();
  } catch {
    wipe(plaintext);
    return undefined;
  }
  return new Uint8Array(plaintext);
}

/** XChaCha20-Poly1305 with a random nonce of 24 bytes. */
export function xseal(
  key: Uint8Array,
  nonce: Uint8Array,
  plaintext: Uint8Array,
  associated: Uint8Array,
): Uint8Array {
  return xchacha20poly1305(key, nonce, associated).encrypt(plaintext);
}

export function xopen(
  key: Uint8Array,
  nonce: Uint8Array,
  sealed: Uint8Array,
  associated: Uint8Array,
): Uint8Array | undefined {
  try {
    return xchacha20poly1305(key, nonce, associated).decrypt(sealed);
  } catch {
    return undefined;
  }
}

/** 32 bits of zero, then the counter, little-endian. */
function nonceOf(counter: bigint): Uint8Array {
  const nonce = new Uint8Array(12);
  new DataView(nonce.buffer).setBigUint64(4, counter, true);
  return nonce;
}
