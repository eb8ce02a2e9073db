/**
 * The primitives of Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s under the paper's names (5.4): DH, AEAD, XAEAD, HASH, MAC, HMAC,
 * KDF. X25519 is OpenSSL's. ChaCha20-Poly1305 is noble's: what a handshake seals is so short that setting up OpenSSL's through
 * Node would take three times as long as sealing it.
 */
import { createPrivateKey, createPublicKey, diffieHellman, type KeyObject } from 'node:crypto';
import { chacha20poly1305, xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { secretBytes, secretCopy, wipe } from '../bytes.ts';
import { blake2s } from './blake2s.ts';
import { MAC_BYTES } from './messages.ts';

export const KEY_BYTES = 32;
const HMAC_BLOCK_BYTES = 64;

/** The fixed DER that stands before the 32 bytes of an X25519 key (RFC 8410). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b656e04220420', 'hex');
const SPKI_PREFIX = Buffer.from('302a300506032b656e032100', 'hex');

/** An X25519 key pair, whose private half only the curve sees. */
export interface KeyPair {
  readonly publicKey: Uint8Array;
  /** The shared secret, or undefined when the other key is a point of low order (RFC 7748, section 6.1). */
  agree(publicKey: Uint8Array): Uint8Array | undefined;
  /** A copy of the private half, for a process that takes over. To be wiped. */
  reveal(): Uint8Array;
  /** Forgets the private half: the last call. */
  wipe(): void;
}

/** One inside Node's OpenSSL, which wipes it when it is collected. */
export class PrivateKey implements KeyPair {
  readonly publicKey: Uint8Array;
  #key: KeyObject | undefined;

  /** Any 32 bytes: the curve clamps them. They are copied. */
  constructor(bytes: Uint8Array) {
    const der = Buffer.concat([PKCS8_PREFIX, bytes]);
    this.#key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    wipe(der);
    const spki = createPublicKey(this.#key).export({ format: 'der', type: 'spki' });
    this.publicKey = new Uint8Array(spki.subarray(SPKI_PREFIX.length));
  }

  reveal(): Uint8Array {
    const der = this.#key!.export({ format: 'der', type: 'pkcs8' });
    const key = new Uint8Array(der.subarray(-KEY_BYTES));
    wipe(der);
    return key;
  }

  agree(publicKey: Uint8Array): Uint8Array | undefined {
    const der = Buffer.concat([SPKI_PREFIX, publicKey]);
    const other = createPublicKey({ key: der, format: 'der', type: 'spki' });
    try {
      return diffieHellman({ privateKey: this.#key!, publicKey: other });
    } catch {
      return undefined;
    }
  }

  wipe(): void {
    this.#key = undefined;
  }
}

/** The key as `wg genkey` would have written it. */
export function clamp(privateKey: Uint8Array): Uint8Array {
  const key = secretCopy(privateKey);
  key[0]! &= 248;
  key[31] = (key[31]! & 127) | 64;
  return key;
}

/** BLAKE2s with 32 bytes of output. */
export function hash(...parts: readonly Uint8Array[]): Uint8Array {
  return blake2s(KEY_BYTES, undefined, parts);
}

/** Keyed BLAKE2s with 16 bytes of output. */
export function mac(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  return blake2s(MAC_BYTES, key, parts);
}

const innerPad = secretBytes(HMAC_BLOCK_BYTES);
const outerPad = secretBytes(HMAC_BLOCK_BYTES);

/** HMAC-BLAKE2s (RFC 2104) with a key of at most 64 bytes. */
export function hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  for (let i = 0; i < HMAC_BLOCK_BYTES; i++) {
    const byte = key[i] ?? 0;
    innerPad[i] = byte ^ 0x36;
    outerPad[i] = byte ^ 0x5c;
  }
  const inner = hash(innerPad, ...parts);
  const result = blake2s(KEY_BYTES, undefined, [outerPad, inner], secretBytes(KEY_BYTES));
  wipe(innerPad, outerPad, inner);
  return result;
}

/** `count` keys of 32 bytes out of a chaining key and new secret input: HKDF (RFC 5869) with HMAC-BLAKE2s. */
export function kdf(count: 1 | 2 | 3, chainingKey: Uint8Array, input: Uint8Array): Uint8Array[] {
  const secret = hmac(chainingKey, input);
  const keys = [hmac(secret, Uint8Array.of(1))];
  for (let i = 2; i <= count; i++) keys.push(hmac(secret, keys.at(-1)!, Uint8Array.of(i)));
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
  return chacha20poly1305(key, nonceOf(counter), associated).encrypt(plaintext);
}

/** The plaintext, or undefined when the tag is not right. */
export function open(
  key: Uint8Array,
  counter: bigint,
  sealed: Uint8Array,
  associated: Uint8Array,
): Uint8Array | undefined {
  return orUndefined(() => chacha20poly1305(key, nonceOf(counter), associated).decrypt(sealed));
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
  return orUndefined(() => xchacha20poly1305(key, nonce, associated).decrypt(sealed));
}

/** The library throws for a tag that is wrong and for what is too short to have one. */
function orUndefined(decrypt: () => Uint8Array): Uint8Array | undefined {
  try {
    return decrypt();
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
