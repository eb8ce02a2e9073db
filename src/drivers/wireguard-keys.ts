/** X25519 keys of WireGuard between their forms: raw bytes, hex (UAPI), base64 (wg, annotations). */
import { createPrivateKey, createPublicKey } from 'node:crypto';

/** base64 of the public key that belongs to 32 raw private bytes. */
export function publicKeyOf(privateKey: Uint8Array): string {
  const key = createPrivateKey({ key: Buffer.concat([PKCS8, privateKey]), format: 'der', type: 'pkcs8' });
  const { x } = createPublicKey(key).export({ format: 'jwk' });
  return Buffer.from(x!, 'base64url').toString('base64');
}

export function hexToBase64(hex: string): string {
  return Buffer.from(hex, 'hex').toString('base64');
}

export function base64ToHex(base64: string): string {
  return Buffer.from(base64, 'base64').toString('hex');
}

/** RFC 8410: the DER head of an X25519 private key. */
const PKCS8 = Buffer.from('302e020100300506032b656e04220420', 'hex');
