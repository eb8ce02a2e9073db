/** `cilium encryption create-key` and `key-status`: the key of IPsec, made and looked at. */
import { randomBytes } from 'node:crypto';
import { stringify } from 'yaml';
import { isConflict, isNotFound, type KubeClient } from '../../kube/client.ts';
import { CILIUMNODES, SECRETS } from '../../kube/types.ts';
import { keyIdsInUse, type NodeWord, wordOf } from '../../operator/advertised.ts';
import { type GoodKeySecret, newKeySecret } from '../../operator/keysecret.ts';
import type { Suite } from '../../proto/esp/suite.ts';
import { newMasterKey, PROFILES, type ProfileName } from '../../proto/keys/generate.ts';
import { FIRST_KEY_ID, freeKeyId, type KeyId } from '../../proto/keys/keyid.ts';
import { ageText } from '../age.ts';
import type { CommandContext } from '../context.ts';
import { Failure } from '../failure.ts';
import { badKey, findKeySecret, keySecretName, missingKey } from '../keys.ts';
import { asking } from '../terminal.ts';

export interface CreateKeyFlags {
  authAlgo: ProfileName;
}

export interface KeyStatusFlags {
  showKey?: boolean;
  output: 'summary' | 'json' | 'yaml';
}

export async function createKey(context: CommandContext, flags: CreateKeyFlags): Promise<void> {
  const { client } = await context.cluster();
  const { namespace } = context.flags;
  const name = await keySecretName(client, namespace);
  const exists = () =>
    new Failure(
      `IPsec secret already exists (${namespace}/${name}), rotate key if needed using \`cilium encryption rotate-key\` command`,
    );
  if (await findKeySecret(client, namespace, name)) throw exists();
  const key = newMasterKey(
    firstId(await readWords(client)),
    PROFILES[flags.authAlgo],
    bytes => new Uint8Array(randomBytes(bytes)),
  );
  try {
    await client.create(SECRETS, newKeySecret(name, namespace, key, new Date()));
  } catch (error) {
    if (isConflict(error)) throw exists();
    if (isNotFound(error))
      throw new Failure(`there is no namespace ${namespace}: choose the one of the installation with -n`);
    throw error;
  }
  context.terminal.out(`IPsec key successfully created, new key SPI: ${key.id}\n`);
}

export async function keyStatus(context: CommandContext, flags: KeyStatusFlags): Promise<void> {
  const { client } = await context.cluster();
  const { namespace } = context.flags;
  const name = await keySecretName(client, namespace);
  const secret = await asking(
    context.terminal,
    `Asking the cluster at ${client.server}`,
    findKeySecret(client, namespace, name),
  );
  if (!secret) throw new Failure(missingKey(namespace, name));
  if ('problem' in secret) throw new Failure(badKey(namespace, name, secret.problem));
  const told = tell(secret, flags.showKey === true, Date.now());
  const { terminal } = context;
  if (flags.output === 'json') return terminal.out(`${JSON.stringify(told, null, 2)}\n`);
  if (flags.output === 'yaml') return terminal.out(stringify(told));
  terminal.out(keyText(secret, flags.showKey === true, Date.now()));
  for (const warning of secret.warnings) terminal.err(`⚠️  ${warning}\n`);
}

/** What the nodes say; nothing before there are any. */
export async function readWords(client: KubeClient): Promise<NodeWord[]> {
  try {
    return (await client.list(CILIUMNODES)).items.map(wordOf);
  } catch (error) {
    if (isNotFound(error)) return [];
    throw error;
  }
}

/** `rfc4106(gcm(aes)), 128-bit key, 128-bit tag`. */
export function algorithmText({ cipher, integrity, keyLength, icvLength }: Suite): string {
  const name = integrity === undefined ? cipher : `${integrity} ${cipher}`;
  return `${name}, ${8 * keyLength}-bit key, ${8 * icvLength}-bit tag`;
}

/** Nodes may still have a key from a Secret that was deleted. */
function firstId(words: NodeWord[]): KeyId {
  const taken = keyIdsInUse(words);
  const newest = taken.at(-1);
  return newest === undefined ? FIRST_KEY_ID : (freeKeyId(newest, taken) ?? FIRST_KEY_ID);
}

function tell({ current, created, warnings }: GoodKeySecret, showKey: boolean, now: number): object {
  const { suite } = current;
  return {
    apiVersion: 'pellicle.io/v1',
    kind: 'IPsecKeyStatus',
    id: current.id,
    algorithm: suite.cipher,
    ...(suite.integrity && { integrity: suite.integrity }),
    keyBits: 8 * suite.keyLength,
    tagBits: 8 * suite.icvLength,
    fingerprint: current.fingerprint,
    ...(created !== undefined && {
      created: new Date(created).toISOString(),
      ageSeconds: Math.floor(Math.max(0, now - created) / 1000),
    }),
    warnings: [...warnings],
    ...(showKey && { 'ipsec-key': current.secretLine() }),
  };
}

function keyText({ current, created }: GoodKeySecret, showKey: boolean, now: number): string {
  const age =
    created === undefined
      ? 'unknown'
      : `${ageText(now - created)} (since ${new Date(created).toISOString().slice(0, 19)}Z)`;
  const lines = [
    `IPsec key ID: ${current.id}`,
    `Algorithm: ${algorithmText(current.suite)}`,
    `Age: ${age}`,
    `Fingerprint: ${current.fingerprint}`,
    ...(showKey ? [`IPsec key: ${current.secretLine()}`] : []),
  ];
  return `${lines.join('\n')}\n`;
}
