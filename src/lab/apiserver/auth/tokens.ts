/** Service-account tokens: signed JWTs, bound to their account and, where asked, to a pod, node or secret. */
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { at, isObject, type JsonObject, record, strings, text } from '../object.ts';
import type { Store } from '../store.ts';
import type { TokenAuthenticator } from './authenticate.ts';
import { AUTHENTICATED, type User } from './user.ts';

export const ISSUER = 'https://kubernetes.default.svc.cluster.local';

export interface Bound {
  readonly kind: 'Pod' | 'Node' | 'Secret';
  readonly name: string;
  readonly uid: string;
}

export interface TokenClaims {
  readonly namespace: string;
  readonly account: { readonly name: string; readonly uid: string };
  readonly audiences: readonly string[];
  /** Seconds from now. */
  readonly lifetime: number;
  readonly bound?: Bound;
  readonly node?: { readonly name: string; readonly uid: string };
}

const STORAGE = { Pod: 'pods', Node: 'nodes', Secret: 'secrets' } as const;

export class Tokens implements TokenAuthenticator {
  readonly #key: KeyObject;
  readonly #public: KeyObject;
  readonly #algorithm: 'ES256' | 'RS256';
  readonly #store: Store;
  readonly #now: () => Date;
  readonly #uuid: () => string;

  /** `pem`: the private key, EC P-256 or RSA. */
  constructor(pem: string | Buffer, api: { store: Store; now: () => Date; uuid: () => string }) {
    this.#key = createPrivateKey(pem);
    this.#public = createPublicKey(this.#key);
    const type = this.#key.asymmetricKeyType;
    if (type !== 'ec' && type !== 'rsa')
      throw new Error('the service-account key (sa.key) has to be EC P-256 or RSA');
    this.#algorithm = type === 'ec' ? 'ES256' : 'RS256';
    this.#store = api.store;
    this.#now = api.now;
    this.#uuid = api.uuid;
  }

  /** A signed token, and when it expires. */
  issue(claims: TokenClaims): { token: string; expires: Date } {
    const now = Math.floor(this.#now().getTime() / 1000);
    const { namespace, account, bound, node } = claims;
    const payload = {
      aud: claims.audiences.length ? claims.audiences : [ISSUER],
      exp: now + claims.lifetime,
      iat: now,
      iss: ISSUER,
      jti: this.#uuid(),
      'kubernetes.io': {
        namespace,
        serviceaccount: account,
        ...(bound ? { [bound.kind.toLowerCase()]: { name: bound.name, uid: bound.uid } } : {}),
        ...(node ? { node } : {}),
      },
      nbf: now,
      sub: `system:serviceaccount:${namespace}:${account.name}`,
    };
    const head = encode({ alg: this.#algorithm, typ: 'JWT' });
    const signed = `${head}.${encode(payload)}`;
    const signature = sign('sha256', Buffer.from(signed), { key: this.#key, dsaEncoding: 'ieee-p1363' });
    return { token: `${signed}.${signature.toString('base64url')}`, expires: new Date(payload.exp * 1000) };
  }

  user(token: string): User | undefined {
    return this.review(token, [ISSUER])?.user;
  }

  /** The user of a valid token, and which of these audiences it is for. */
  review(token: string, audiences: readonly string[]): { user: User; audiences: string[] } | undefined {
    const payload = this.#verified(token);
    if (!payload) return undefined;
    const now = this.#now().getTime() / 1000;
    const { exp, nbf, iss } = payload;
    if (iss !== ISSUER || typeof exp !== 'number' || exp <= now) return undefined;
    if (typeof nbf === 'number' && nbf > now + 10) return undefined;
    const both = strings(payload, 'aud').filter(item => audiences.includes(item));
    if (!both.length) return undefined;
    const user = this.#account(payload);
    return user && { user, audiences: both };
  }

  #verified(token: string): JsonObject | undefined {
    const [head, body, signature, ...rest] = token.split('.');
    if (!head || !body || !signature || rest.length) return undefined;
    try {
      if (text(JSON.parse(Buffer.from(head, 'base64url').toString()), 'alg') !== this.#algorithm)
        return undefined;
      const key = { key: this.#public, dsaEncoding: 'ieee-p1363' as const };
      if (!verify('sha256', Buffer.from(`${head}.${body}`), key, Buffer.from(signature, 'base64url')))
        return undefined;
      const payload: unknown = JSON.parse(Buffer.from(body, 'base64url').toString());
      return isObject(payload) ? payload : undefined;
    } catch {
      return undefined;
    }
  }

  /** The account has to exist still, and so has what the token is bound to. */
  #account(payload: JsonObject): User | undefined {
    const claims = record(payload, 'kubernetes.io');
    const namespace = text(claims, 'namespace');
    const name = text(claims, 'serviceaccount', 'name');
    const uid = text(claims, 'serviceaccount', 'uid');
    if (this.#store.get('serviceaccounts', namespace, name)?.object.metadata.uid !== uid) return undefined;
    const extra: Record<string, string[]> = {
      'authentication.kubernetes.io/credential-id': [`JTI=${text(payload, 'jti')}`],
    };
    for (const kind of ['Pod', 'Node', 'Secret'] as const) {
      const field = kind.toLowerCase();
      if (!isObject(at(claims, field))) continue;
      const where = kind === 'Node' ? '' : namespace;
      const bound = this.#store.get(STORAGE[kind], where, text(claims, field, 'name'));
      if (bound?.object.metadata.uid !== text(claims, field, 'uid')) return undefined;
      if (kind === 'Secret') continue;
      extra[`authentication.kubernetes.io/${field}-name`] = [text(claims, field, 'name')];
      extra[`authentication.kubernetes.io/${field}-uid`] = [text(claims, field, 'uid')];
    }
    return {
      name: `system:serviceaccount:${namespace}:${name}`,
      uid,
      groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, AUTHENTICATED],
      extra,
    };
  }
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
