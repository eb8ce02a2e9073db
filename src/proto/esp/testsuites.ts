/** One suite of each kind and size, for tests that go through all of them. */
import { aeadSuite, cbcSuite, type Suite } from './suite.ts';

export const PROFILES_UNDER_TEST: readonly Suite[] = [
  aeadSuite('rfc4106(gcm(aes))', 20, 128),
  aeadSuite('rfc4106(gcm(aes))', 28, 96),
  aeadSuite('rfc4106(gcm(aes))', 36, 128),
  aeadSuite('rfc7539esp(chacha20,poly1305)', 36, 128),
  cbcSuite('hmac(sha256)', 16, 16),
  cbcSuite('hmac(sha384)', 48, 24),
  cbcSuite('hmac(sha512)', 64, 32),
];
