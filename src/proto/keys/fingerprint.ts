/** A name for a key that tells two keys apart and reveals nothing of either. */
import { createHmac } from 'node:crypto';

/** Characters of a fingerprint: 64 bits in hex. */
export const FINGERPRINT_LENGTH = 16;

/**
 * HMAC-SHA-256 under the key material of a fixed text and the algorithms, cut to 64 bits: one-way, and of another
 * construction than the keys derived from the same material.
 */
export function fingerprintOf(algorithms: string, ...material: readonly Uint8Array[]): string {
  const mac = createHmac('sha256', Buffer.concat(material));
  const lengths = material.map(part => part.length).join(',');
  return mac
    .update(`pellicle key fingerprint\n${algorithms}\n${lengths}`)
    .digest('hex')
    .slice(0, FINGERPRINT_LENGTH);
}

export function isFingerprint(text: string): boolean {
  return text.length === FINGERPRINT_LENGTH && /^[0-9a-f]+$/.test(text);
}
