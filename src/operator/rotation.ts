/**
 * When the operator makes a new key for IPsec: when the key has reached its age, or when a node says that one of its SAs
 * comes to its end. Never while the nodes still move to another key, and never in the place of what cannot be read.
 */
import type { CiliumNode, Node } from '../kube/types.ts';
import { freeKeyId, type KeyId } from '../proto/keys/keyid.ts';
import { keyIdsInUse, moveText, moveTo, type NodeWord, wordOf } from './advertised.ts';
import type { KeySecret } from './keysecret.ts';

export interface RotationSight {
  /** Unix milliseconds. */
  now: number;
  /** Age in milliseconds at which a key is replaced; 0: none. */
  interval: number;
  /** Undefined when there is none. */
  secret: KeySecret | undefined;
  /** What every node says. */
  words: readonly NodeWord[];
  /** Nodes that run: the others are not waited for. */
  alive: ReadonlySet<string>;
}

export type RotationCause = 'age' | 'use';

/** `why` and `obstacle` are halves of sentences: "… because <why>", "… but <obstacle>". */
export type RotationVerdict =
  | { what: 'rest' }
  | { what: 'rotate'; cause: RotationCause; why: string; id: KeyId }
  | { what: 'hold'; cause: RotationCause; why: string; obstacle: string; transient: boolean };

/** A key lives so many milliseconds at the least: nodes that wear keys out faster than this would do nothing else. */
export const SHORTEST_LIFE = 10_000;

export function judgeRotation(sight: RotationSight): RotationVerdict {
  const due = dueOf(sight);
  if (!due) return { what: 'rest' };
  const { cause, why } = due;
  const hold = (obstacle: string, transient: boolean): RotationVerdict => ({
    what: 'hold',
    cause,
    why,
    obstacle,
    transient,
  });
  const { now, secret, words, alive } = sight;
  if (!secret) return hold('the Secret is not there', false);
  if ('problem' in secret) return hold(`the Secret has no key that can be used: ${secret.problem}`, false);
  const move = moveTo(
    secret.epoch,
    words.filter(({ name }) => alive.has(name)),
  );
  if (!move.settled) return hold(`the nodes still move (${moveText(move)})`, true);
  if (secret.created !== undefined && now >= secret.created && now - secret.created < SHORTEST_LIFE)
    return hold('the key is only a few seconds old', true);
  const taken = [...keyIdsInUse(words), ...secret.keys.map(key => key.id)];
  const id = freeKeyId(secret.current.id, taken);
  if (id === undefined) return hold('every key id is still in use', true);
  return { what: 'rotate', cause, why, id };
}

/** Names of the nodes whose kubelet says that they are ready. */
export function aliveNodes(nodes: readonly Node[]): Set<string> {
  const ready = nodes.filter(({ status }) =>
    status?.conditions?.some(condition => condition.type === 'Ready' && condition.status === 'True'),
  );
  return new Set(ready.map(({ metadata }) => metadata.name));
}

export function wordsOf(ciliumNodes: readonly CiliumNode[]): NodeWord[] {
  return ciliumNodes.map(wordOf);
}

function dueOf({
  now,
  interval,
  secret,
  words,
}: RotationSight): { cause: RotationCause; why: string } | undefined {
  const good = secret && 'epoch' in secret ? secret : undefined;
  // Without a Secret to compare with, what is due is what the node seals with.
  const isCurrent = ({ keyDue, advertised }: NodeWord) =>
    keyDue !== undefined && (good ? keyDue === good.epoch : advertised?.seals.includes(keyDue) === true);
  const worn = words.filter(isCurrent).map(({ name }) => name);
  if (worn.length > 0) return { cause: 'use', why: `an SA of ${worn.join(', ')} comes to its end` };
  const age = good?.created === undefined ? undefined : now - good.created;
  if (interval > 0 && age !== undefined && age >= interval)
    return {
      cause: 'age',
      why: `the key is ${Math.floor(age / 1000)} s old, of ${interval / 1000} at the most`,
    };
  return undefined;
}
