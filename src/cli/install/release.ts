/** What was installed with which values: kept in the cluster, for `upgrade` to go on from. */
import type { KubeClient } from '../../kube/client.ts';
import { SECRETS, type Secret } from '../../kube/types.ts';
import { Failure } from '../failure.ts';
import { version } from '../root.ts';
import { isValues, type Values } from '../values/strvals.ts';
import { readOr } from './facts.ts';
import { labels } from './labels.ts';

export interface Release {
  /** Only what the person gave, without defaults. */
  values: Values;
  /** Of Pellicle. */
  version: string;
  /** The version of Cilium that was asked for. */
  ciliumVersion: string;
  /** `pending`: the installation did not get to its end. */
  state: 'pending' | 'deployed' | 'uninstalling';
  /** Keys of cilium-config that were written by the installation, not by hand. */
  configKeys: string[];
}

const NAME = 'cilium-install-values';

export async function readRelease(client: KubeClient, namespace: string): Promise<Release | undefined> {
  const secret = await readOr(client, SECRETS, NAME, namespace);
  if (!secret) return undefined;
  const field = (name: string) => Buffer.from(secret.data?.[name] ?? '', 'base64').toString('utf8');
  try {
    const values: unknown = JSON.parse(field('values'));
    const configKeys: unknown = JSON.parse(field('configKeys') || '[]');
    if (!isValues(values) || !Array.isArray(configKeys)) throw new TypeError('no values');
    const state = field('state');
    return {
      values,
      version: field('version'),
      ciliumVersion: field('ciliumVersion'),
      state: state === 'pending' || state === 'uninstalling' ? state : 'deployed',
      configKeys: configKeys.map(String),
    };
  } catch {
    throw new Failure(
      `the Secret ${namespace}/${NAME}, which holds the values of the installation, is damaged: delete it with kubectl -n ${namespace} delete secret ${NAME}, and install again`,
    );
  }
}

export async function writeRelease(client: KubeClient, namespace: string, release: Release): Promise<void> {
  const encode = (text: string) => Buffer.from(text).toString('base64');
  const secret: Secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: NAME, namespace, labels: labels('release') },
    type: 'pellicle.io/release.v1',
    data: {
      values: encode(JSON.stringify(release.values)),
      version: encode(release.version || version),
      ciliumVersion: encode(release.ciliumVersion),
      state: encode(release.state),
      configKeys: encode(JSON.stringify(release.configKeys)),
    },
  };
  await client.apply(SECRETS, secret, { fieldManager: 'pellicle', force: true });
}

export async function deleteRelease(client: KubeClient, namespace: string): Promise<void> {
  await client.delete(SECRETS, NAME, namespace);
}
