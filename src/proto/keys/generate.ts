/** New keys, as `cilium encryption create-key` and `rotate-key` write them. */
import { aeadSuite, cbcSuite, type Suite } from '../esp/suite.ts';
import type { KeyId } from './keyid.ts';
import { MasterKey } from './master.ts';

/** What `--auth-algo` takes: Cilium's three, and what is done here besides. */
export const PROFILES = {
  'rfc4106-gcm-aes': aeadSuite('rfc4106(gcm(aes))', 20, 128),
  'rfc4106-gcm-aes-192': aeadSuite('rfc4106(gcm(aes))', 28, 128),
  'rfc4106-gcm-aes-256': aeadSuite('rfc4106(gcm(aes))', 36, 128),
  'rfc7539esp-chacha20-poly1305': aeadSuite('rfc7539esp(chacha20,poly1305)', 36, 128),
  'cbc-aes-sha256': cbcSuite('hmac(sha256)', 32, 16),
  'cbc-aes-sha384': cbcSuite('hmac(sha384)', 48, 16),
  'cbc-aes-sha512': cbcSuite('hmac(sha512)', 64, 16),
} as const satisfies Record<string, Suite>;

export type ProfileName = keyof typeof PROFILES;

export function isProfileName(text: string): text is ProfileName {
  return Object.hasOwn(PROFILES, text);
}

/** A key for the suite out of `random(bytes)`, which has to be cryptographically strong. */
export function newMasterKey(id: KeyId, suite: Suite, random: (bytes: number) => Uint8Array): MasterKey {
  const cipher = random(suite.keyLength + suite.saltLength);
  const integrity = suite.integrityKeyLength > 0 ? random(suite.integrityKeyLength) : undefined;
  return new MasterKey({
    id,
    marked: true,
    suite,
    cipher,
    ...(integrity === undefined ? {} : { integrity }),
  });
}
