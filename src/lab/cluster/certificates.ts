/** X.509 certificates (RFC 5280) with P-256 keys, as kubeadm lays them out. */
import { randomBytes, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';

export interface KeyPairPem {
  /** PEM of the certificate. */
  cert: string;
  /** PEM of the private key, PKCS #8. */
  key: string;
}

export interface Subject {
  commonName: string;
  organizations?: string[];
}

export interface LeafOptions extends Subject {
  /** Host names and IP addresses; with them it is a server's certificate, without a client's. */
  hosts?: string[];
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const dayMs = 86_400_000;
const clockSkewMs = 3_600_000;

export async function issueAuthority(subject: Subject, now: Date): Promise<KeyPairPem> {
  const x509 = await loadX509();
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: distinguishedName(subject),
    ...validity(now, 3650),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign | x509.KeyUsageFlags.digitalSignature,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { cert: certificate.toString('pem') + '\n', key: await keyToPem(keys.privateKey) };
}

export async function issueLeaf(authority: KeyPairPem, options: LeafOptions, now: Date): Promise<KeyPairPem> {
  const x509 = await loadX509();
  const issuer = new x509.X509Certificate(authority.cert);
  const signingKey = await webcrypto.subtle.importKey(
    'pkcs8',
    x509.PemConverter.decodeFirst(authority.key),
    algorithm,
    false,
    ['sign'],
  );
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const { hosts = [] } = options;
  const usage = hosts.length > 0 ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth;
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: distinguishedName(options),
    issuer: issuer.subjectName.toJSON(),
    ...validity(now, 365 * 5),
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([usage]),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
      ...(hosts.length > 0
        ? [
            new x509.SubjectAlternativeNameExtension(
              hosts.map(value => ({ type: isIP(value) ? ('ip' as const) : ('dns' as const), value })),
            ),
          ]
        : []),
    ],
  });
  return { cert: certificate.toString('pem') + '\n', key: await keyToPem(keys.privateKey) };
}

/** A P-256 pair for service-account tokens (ES256): private half PKCS #8, public half SPKI. */
export async function issueSigningKey(): Promise<{ privateKey: string; publicKey: string }> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const spki = Buffer.from(await webcrypto.subtle.exportKey('spki', keys.publicKey));
  return { privateKey: await keyToPem(keys.privateKey), publicKey: pem('PUBLIC KEY', spki) };
}

async function keyToPem(key: webcrypto.CryptoKey): Promise<string> {
  return pem('PRIVATE KEY', Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key)));
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}

function distinguishedName({ commonName, organizations = [] }: Subject) {
  return [...organizations.map(name => ({ O: [name] })), { CN: [commonName] }];
}

function validity(now: Date, days: number) {
  return {
    notBefore: new Date(now.getTime() - clockSkewMs),
    notAfter: new Date(now.getTime() + days * dayMs),
  };
}

/** A positive number of 64 bits, as section 4.1.2.2 wants it. */
function serial(): string {
  const bytes = randomBytes(8);
  bytes[0] = (bytes[0]! & 0x3f) | 0x40;
  return bytes.toString('hex');
}

/** The library's dependency injector asks for the reflect-metadata polyfill when it loads: this much is enough. */
async function loadX509() {
  if (!('getMetadata' in Reflect)) {
    const stores = new WeakMap<object, Map<unknown, unknown>>();
    const read = (key: unknown, target: object) => stores.get(target)?.get(key);
    const define = (key: unknown, value: unknown, target: object) => {
      const store = stores.get(target) ?? new Map<unknown, unknown>();
      stores.set(target, store.set(key, value));
    };
    Object.assign(Reflect, {
      getMetadata: read,
      getOwnMetadata: read,
      hasOwnMetadata: (key: unknown, target: object) => stores.get(target)?.has(key) ?? false,
      defineMetadata: define,
      metadata: (key: unknown, value: unknown) => (target: object) => define(key, value, target),
    });
  }
  return import('@peculiar/x509');
}
