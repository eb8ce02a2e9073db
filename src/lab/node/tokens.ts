/** Service-account tokens of the node's pods (TokenRequest), renewed when four fifths of their life are over. */
import type { KubeClient } from '../../kube/client.ts';
import type { Pod } from '../../kube/core.ts';

interface Token {
  token: string;
  /** Milliseconds since 1970. */
  renewAt: number;
}

export interface TokenWish {
  audience?: string;
  expirationSeconds?: number;
}

const defaultSeconds = 3600;

export class Tokens {
  readonly #client: KubeClient;
  readonly #now: () => number;
  readonly #tokens = new Map<string, Token>();

  constructor(client: KubeClient, now: () => number = Date.now) {
    this.#client = client;
    this.#now = now;
  }

  /** A token of the pod's service account, bound to the pod. Throws a sentence when the API server gives none. */
  async get(pod: Pod, { audience, expirationSeconds = defaultSeconds }: TokenWish): Promise<string> {
    const key = `${pod.metadata.uid}/${audience ?? ''}/${expirationSeconds}`;
    const known = this.#tokens.get(key);
    if (known && known.renewAt > this.#now()) return known.token;
    const account = pod.spec.serviceAccountName || 'default';
    const asked = this.#now();
    const { status, body } = await this.#client.raw(
      'POST',
      `/api/v1/namespaces/${pod.metadata.namespace}/serviceaccounts/${account}/token`,
      {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: {
          ...(audience !== undefined && { audiences: [audience] }),
          expirationSeconds,
          boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: pod.metadata.name, uid: pod.metadata.uid },
        },
      },
    );
    const answer = JSON.parse(body.toString('utf8')) as {
      message?: string;
      status?: { token?: string; expirationTimestamp?: string };
    };
    const token = answer.status?.token;
    if (status >= 300 || !token) {
      throw new Error(`failed to fetch token: ${answer.message ?? `the API server answered ${status}`}`);
    }
    const expires = Date.parse(answer.status?.expirationTimestamp ?? '') || asked + expirationSeconds * 1000;
    this.#tokens.set(key, { token, renewAt: asked + (expires - asked) * 0.8 });
    return token;
  }

  forget(podUid: string): void {
    for (const key of this.#tokens.keys()) if (key.startsWith(`${podUid}/`)) this.#tokens.delete(key);
  }
}
