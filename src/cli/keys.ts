/** Where commands find the Secret with the key of IPsec, and what they say of one that is missing or bad. */
import { ApiError, type KubeClient } from '../kube/client.ts';
import { CONFIGMAPS, SECRETS } from '../kube/types.ts';
import { KEY_SECRET, type KeySecret, readKeySecret } from '../operator/keysecret.ts';
import { CONFIG_NAME } from './install/config.ts';
import { readOr } from './install/facts.ts';

/** Undefined when there is none. */
export async function findKeySecret(
  client: KubeClient,
  namespace: string,
  name = KEY_SECRET,
): Promise<KeySecret | undefined> {
  const secret = await readOr(client, SECRETS, name, namespace);
  return secret && readKeySecret(secret);
}

/** By the configuration, if there is one already. */
export async function keySecretName(client: KubeClient, namespace: string): Promise<string> {
  const config = await readOr(client, CONFIGMAPS, CONFIG_NAME, namespace);
  return config?.data?.['ipsec-secret-name'] || KEY_SECRET;
}

/** The Secret as far as it may be looked at. */
export type KeysSight = { name: string; secret: KeySecret | undefined } | 'forbidden';

export async function lookAtKeys(client: KubeClient, namespace: string): Promise<KeysSight> {
  const name = await keySecretName(client, namespace);
  try {
    return { name, secret: await findKeySecret(client, namespace, name) };
  } catch (error) {
    if (error instanceof ApiError && error.code === 403) return 'forbidden';
    throw error;
  }
}

/**
 * What keeps agents from having a key, before an installation. Without one they would drop all that pods send to other
 * nodes, and the installation would hang half-way: so this is told at the start, and there is no flag to go on without.
 */
export async function keyProblems(client: KubeClient, namespace: string, name: string): Promise<string[]> {
  try {
    const found = await findKeySecret(client, namespace, name);
    if (!found) return [missingKey(namespace, name)];
    return 'problem' in found ? [badKey(namespace, name, found.problem)] : [];
  } catch (error) {
    // Whoever may install without reading Secrets leaves it to the agents to tell.
    if (error instanceof ApiError && error.code === 403) return [];
    throw error;
  }
}

export function missingKey(namespace: string, name: string): string {
  const elsewhere = namespace === 'kube-system' ? '' : ` -n ${namespace}`;
  const command =
    name === KEY_SECRET
      ? `cilium encryption create-key${elsewhere}`
      : `kubectl create -n ${namespace} secret generic ${name} --from-literal=keys="3+ rfc4106(gcm(aes)) $(dd if=/dev/urandom count=20 bs=1 2>/dev/null | xxd -p -c 64) 128"`;
  return `there is no Secret ${namespace}/${name}, which has the key for encryption.type=ipsec: make it first with ${command}`;
}

export function badKey(namespace: string, name: string, problem: string): string {
  return `the Secret ${namespace}/${name} has no key that can be used: ${problem}`;
}
