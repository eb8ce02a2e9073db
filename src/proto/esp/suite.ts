/**
 * The algorithms of ESP by the names that the kernel and the Secret give them, with the lengths that follow from each:
 * AES-GCM (RFC 4106), ChaCha20-Poly1305 (RFC 7634), AES-CBC (RFC 3602) with HMAC-SHA-2 (RFC 4868).
 */

export type AeadName = 'rfc4106(gcm(aes))' | 'rfc7539esp(chacha20,poly1305)';
export type CipherName = 'cbc(aes)';
export type IntegrityName = 'hmac(sha256)' | 'hmac(sha384)' | 'hmac(sha512)';

export const AEADS: readonly AeadName[] = ['rfc4106(gcm(aes))', 'rfc7539esp(chacha20,poly1305)'];
export const CIPHERS: readonly CipherName[] = ['cbc(aes)'];
export const INTEGRITIES: readonly IntegrityName[] = ['hmac(sha256)', 'hmac(sha384)', 'hmac(sha512)'];

/** All lengths are bytes. */
export interface Suite {
  readonly cipher: AeadName | CipherName;
  /** Absent for an AEAD, which is its own integrity. */
  readonly integrity?: IntegrityName;
  /** Of the cipher's key, without its salt. */
  readonly keyLength: number;
  /** Stands after the cipher's key and before the IV in the nonce; 0 for CBC. */
  readonly saltLength: number;
  /** 0 for an AEAD. */
  readonly integrityKeyLength: number;
  /** Of the IV in the packet. */
  readonly ivLength: number;
  readonly icvLength: number;
  /** What is sealed is padded to a multiple of this (RFC 4303, section 2.4: at least 4). */
  readonly alignment: number;
}

/** The keys of one SA: what the kernel's netlink and the engine take. */
export interface SaKeys {
  /** `keyLength + saltLength` bytes. */
  readonly cipher: Uint8Array;
  /** `integrityKeyLength` bytes; absent for an AEAD. */
  readonly integrity?: Uint8Array;
}

/** Key and salt together, as the Secret has them. */
export function aeadKeyLengths(name: AeadName): readonly number[] {
  return AEAD[name].keyLengths.map(length => length + AEAD_SALT_LENGTH);
}

/** In bits, as the Secret has them. */
export function aeadIcvBits(name: AeadName): readonly number[] {
  return AEAD[name].icvBits;
}

export const CBC_KEY_LENGTHS: readonly number[] = [16, 24, 32];

/**
 * The shortest and the longest key of an HMAC: half its output (what Cilium writes; RFC 4868 has the whole output), and
 * no more than the derivation can fill.
 */
export function integrityKeyRange(name: IntegrityName): { least: number; whole: number; most: number } {
  const { output } = HMAC[name];
  return { least: output / 2, whole: output, most: 64 };
}

/** `keyBytes` counts key and salt. Throws a RangeError for lengths that the algorithm has not. */
export function aeadSuite(name: AeadName, keyBytes: number, icvBits: number): Suite {
  const found = AEAD[name];
  const keyLength = keyBytes - AEAD_SALT_LENGTH;
  if (!found.keyLengths.includes(keyLength) || !found.icvBits.includes(icvBits)) {
    throw new RangeError(`${name} has no key of ${keyBytes} bytes with a tag of ${icvBits} bits`);
  }
  return {
    cipher: name,
    keyLength,
    saltLength: AEAD_SALT_LENGTH,
    integrityKeyLength: 0,
    ivLength: 8,
    icvLength: icvBits / 8,
    alignment: 4,
  };
}

/** Throws a RangeError for lengths that the algorithms have not. */
export function cbcSuite(integrity: IntegrityName, integrityKeyBytes: number, keyBytes: number): Suite {
  const { least, most } = integrityKeyRange(integrity);
  if (integrityKeyBytes < least || integrityKeyBytes > most || !CBC_KEY_LENGTHS.includes(keyBytes)) {
    throw new RangeError(`${integrity}, cbc(aes) have no keys of ${integrityKeyBytes} and ${keyBytes} bytes`);
  }
  return {
    cipher: 'cbc(aes)',
    integrity,
    keyLength: keyBytes,
    saltLength: 0,
    integrityKeyLength: integrityKeyBytes,
    ivLength: 16,
    icvLength: HMAC[integrity].output / 2,
    alignment: 16,
  };
}

/** `rfc4106(gcm(aes)) 128`, `hmac(sha256)+cbc(aes) 128`: the names and the bits of the cipher's key. */
export function suiteName(suite: Suite): string {
  const bits = 8 * suite.keyLength;
  return suite.integrity === undefined
    ? `${suite.cipher} ${bits}`
    : `${suite.integrity}+${suite.cipher} ${bits}`;
}

/** The hash of `hmac(…)` by the name that node:crypto knows. */
export function hashOf(name: IntegrityName): 'sha256' | 'sha384' | 'sha512' {
  return HMAC[name].hash;
}

/** RFC 4106, section 8.1; RFC 7634, section 2. */
const AEAD_SALT_LENGTH = 4;

const AEAD = {
  'rfc4106(gcm(aes))': { keyLengths: [16, 24, 32], icvBits: [96, 128] },
  'rfc7539esp(chacha20,poly1305)': { keyLengths: [32], icvBits: [128] },
} as const satisfies Record<AeadName, { keyLengths: number[]; icvBits: number[] }> as Record<
  AeadName,
  { keyLengths: readonly number[]; icvBits: readonly number[] }
>;

/** The ICV is the first half of the output (RFC 4868, section 2.6). */
const HMAC = {
  'hmac(sha256)': { hash: 'sha256', output: 32 },
  'hmac(sha384)': { hash: 'sha384', output: 48 },
  'hmac(sha512)': { hash: 'sha512', output: 64 },
} as const satisfies Record<IntegrityName, { hash: string; output: number }>;
