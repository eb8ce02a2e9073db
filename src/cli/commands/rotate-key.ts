/** `cilium encryption rotate-key`: a new key in the Secret, and a look at the nodes while they move to it. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { isConflict, type KubeClient, KubeUnreachable } from '../../kube/client.ts';
import { CONFIGMAPS, SECRETS, type Secret } from '../../kube/types.ts';
import { ipsecEpoch } from '../../model/epochs/epoch.ts';
import { keyIdsInUse, moveText, moveTo, type NodeWord } from '../../operator/advertised.ts';
import { type KeySecret, replaceKey } from '../../operator/keysecret.ts';
import { newMasterKey, PROFILES, type ProfileName } from '../../proto/keys/generate.ts';
import { freeKeyId, LAST_KEY_ID } from '../../proto/keys/keyid.ts';
import type { MasterKey } from '../../proto/keys/master.ts';
import { refuseSuccessor } from '../../proto/keys/succession.ts';
import { type CommandContext, parseWait } from '../context.ts';
import { Failure } from '../failure.ts';
import { CONFIG_NAME } from '../install/config.ts';
import { readOr } from '../install/facts.ts';
import { badKey, findKeySecret, keySecretName, missingKey } from '../keys.ts';
import { Progress } from '../terminal.ts';
import { readWords } from './encryption-keys.ts';

export interface RotateKeyFlags {
  authAlgo?: ProfileName;
  wait?: boolean;
  timeout: string;
  force?: boolean;
}

const BETWEEN_LOOKS = 250;

export async function rotateKey(context: CommandContext, flags: RotateKeyFlags): Promise<void> {
  const { terminal } = context;
  const { namespace } = context.flags;
  const patience = parseWait(flags.timeout, '--timeout');
  const { client } = await context.cluster();
  const name = await keySecretName(client, namespace);
  const [secret, words, config] = await Promise.all([
    findKeySecret(client, namespace, name),
    readWords(client),
    readOr(client, CONFIGMAPS, CONFIG_NAME, namespace),
  ]);
  const active = config?.data?.['enable-ipsec'] === 'true';
  if (!secret) throw new Failure(missingKey(namespace, name));
  if (!flags.force) refuse(secret, active ? words : []);
  const key = successor(secret, words, flags.authAlgo);
  await write(client, secret, key);
  terminal.out(`IPsec key successfully rotated, new key SPI: ${key.id}\n`);
  if (active && config.data?.['enable-ipsec-key-watcher'] === 'false')
    terminal.err(
      `Agents take it when they start next (enable-ipsec-key-watcher is "false"): kubectl -n ${namespace} rollout restart ds/cilium\n`,
    );
  if (!active) {
    if (flags.wait) terminal.err('The cluster does not encrypt with IPsec: there is nothing to wait for\n');
  } else if (flags.wait) await follow(context, secret, key, patience);
  else if (terminal.columns !== undefined)
    terminal.err('The nodes move to it one by one: "cilium encryption status" shows how far they are\n');
}

/** Two moves at once are safe, but seldom meant; and a bad Secret wants to be looked at. */
function refuse(secret: KeySecret, words: NodeWord[]): void {
  if ('problem' in secret)
    throw new Failure(
      `${badKey(secret.namespace, secret.name, secret.problem)}; write it right, or put a new key in its place with --force`,
    );
  const move = moveTo(secret.epoch, words);
  if (!move.settled && words.some(({ advertised }) => advertised))
    throw new Failure(
      `a rotation is still in progress (${moveText(move)}): wait until it is done, "cilium encryption status" shows it, or go on all the same with --force`,
    );
}

function successor(secret: KeySecret, words: NodeWord[], profile: ProfileName | undefined): MasterKey {
  const good = 'keys' in secret ? secret : undefined;
  const taken = [...keyIdsInUse(words), ...(good?.keys ?? []).map(({ id }) => id)];
  const id = freeKeyId(good?.current.id ?? taken.at(-1) ?? LAST_KEY_ID, taken);
  if (id === undefined)
    throw new Failure(
      'all 15 key ids are in use: wait until a rotation is done ("cilium encryption status")',
    );
  const suite = profile ? PROFILES[profile] : (good?.current.suite ?? PROFILES['rfc4106-gcm-aes']);
  const key = newMasterKey(id, suite, bytes => new Uint8Array(randomBytes(bytes)));
  const refusal = refuseSuccessor(key, good?.keys ?? []);
  if (refusal) throw new Failure(refusal);
  return key;
}

async function write(client: KubeClient, secret: KeySecret, key: MasterKey): Promise<void> {
  const { name, namespace } = secret;
  try {
    await client.patch<Secret>(SECRETS, name, namespace, replaceKey(secret, key, new Date()), 'merge');
  } catch (error) {
    if (!isConflict(error)) throw error;
    throw new Failure(
      `somebody else wrote the Secret ${namespace}/${name} at the same moment: look at it with "cilium encryption key-status", and rotate again if that is still wanted`,
    );
  }
}

async function follow(
  context: CommandContext,
  { name, namespace }: KeySecret,
  key: MasterKey,
  patience: number,
): Promise<void> {
  const { terminal } = context;
  const { client } = await context.cluster();
  const epoch = ipsecEpoch(key);
  const progress = new Progress(terminal);
  const started = performance.now();
  let last = `key ${key.id}: no node has told of it yet`;
  try {
    for (;;) {
      const [words, secret] = await lookAt(client, namespace, name, started + patience, terminal.signal);
      const move = moveTo(epoch, words);
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      if (move.settled) {
        progress.end();
        return terminal.out(
          `Every node seals with key ${key.id}, and what was before is gone (${move.done.length} nodes, ${seconds} s)\n`,
        );
      }
      if (words.some(({ advertised }) => advertised)) last = moveText(move);
      if (!secret || !('epoch' in secret) || secret.epoch !== epoch)
        throw new Failure(
          `the Secret ${namespace}/${name} has key ${key.id} no longer, somebody changed it before all nodes had moved (${last}): "cilium encryption key-status" shows what it has`,
        );
      if (performance.now() - started > patience)
        throw new Failure(
          `after ${seconds} s the rotation is not done (${last}): it goes on by itself, "cilium encryption status" shows it`,
        );
      progress.show(last);
      await sleep(BETWEEN_LOOKS, undefined, { signal: terminal.signal });
    }
  } finally {
    progress.end();
  }
}

/** An API server that is away for a while is waited for. */
async function lookAt(
  client: KubeClient,
  namespace: string,
  name: string,
  deadline: number,
  signal: AbortSignal,
): Promise<[NodeWord[], KeySecret | undefined]> {
  for (;;) {
    try {
      return await Promise.all([readWords(client), findKeySecret(client, namespace, name)]);
    } catch (error) {
      if (!(error instanceof KubeUnreachable) || performance.now() > deadline) throw error;
      await sleep(BETWEEN_LOOKS, undefined, { signal });
    }
  }
}
