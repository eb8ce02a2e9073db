/** What the nodes say of themselves in their CiliumNodes, for those who look at all of them. */
import type { CiliumNode } from '../kube/types.ts';
import { type Advertisement, EPOCHS_ANNOTATION, parseAdvertisement } from '../model/epochs/advertisement.ts';
import { type Epoch, keyIdOf, parseEpoch } from '../model/epochs/epoch.ts';
import type { KeyId } from '../proto/keys/keyid.ts';

/** Names the key (as an epoch) of which a node has an SA near its end. */
export const KEY_DUE_ANNOTATION = 'pellicle.io/key-due';

export interface NodeWord {
  name: string;
  /** Absent: the node says nothing, or nothing that can be read. */
  advertised?: Advertisement;
  keyDue?: Epoch;
}

export function wordOf({ metadata, spec }: CiliumNode): NodeWord {
  const { name, annotations = {} } = metadata;
  const advertised = parseAdvertisement(spec?.bootid ?? '', annotations[EPOCHS_ANNOTATION] ?? '');
  const keyDue = parseEpoch(annotations[KEY_DUE_ANNOTATION] ?? '');
  return { name, ...(advertised && { advertised }), ...(keyDue && { keyDue }) };
}

/** Every epoch that a node opens or seals with, each once; what was moved to last comes last. */
export function epochsInUse(words: readonly NodeWord[]): Epoch[] {
  const said = words.flatMap(({ advertised }) =>
    advertised ? [...advertised.seals, ...advertised.opens] : [],
  );
  return [...new Set(said)];
}

/** Ids that a new key must not have, or packets under it could not be told from those under another. */
export function keyIdsInUse(words: readonly NodeWord[]): KeyId[] {
  return epochsInUse(words)
    .map(keyIdOf)
    .filter(id => id !== undefined);
}

/** How far the nodes are with a move to one epoch: each node that says something stands in one of the lists. */
export interface Move {
  target: Epoch;
  /** Do not open the target yet. */
  behind: string[];
  /** Open it, and seal with another too. */
  opening: string[];
  /** Seal with it alone, and open another too. */
  sealing: string[];
  /** Have nothing but the target. */
  done: string[];
  /** Nothing is under way, and the target is what all have. */
  settled: boolean;
}

export function moveTo(target: Epoch, words: readonly NodeWord[]): Move {
  const move: Move = { target, behind: [], opening: [], sealing: [], done: [], settled: false };
  for (const { name, advertised } of words) {
    if (!advertised) continue;
    const { opens, seals } = advertised;
    if (!opens.includes(target)) move.behind.push(name);
    else if (seals.some(epoch => epoch !== target)) move.opening.push(name);
    else if (opens.some(epoch => epoch !== target)) move.sealing.push(name);
    else move.done.push(name);
  }
  const { behind, opening, sealing, done } = move;
  move.settled = behind.length + opening.length + sealing.length === 0 && done.length > 0;
  return move;
}

/** `key 4: 3/3 nodes open it, 1/3 seal with it alone, 0/3 have given up the one before; waiting for kind-worker`. */
export function moveText({ target, behind, opening, sealing, done }: Move): string {
  const all = behind.length + opening.length + sealing.length + done.length;
  const first = [behind, opening, sealing].find(list => list.length > 0) ?? [];
  return (
    `${epochText(target)}: ${all - behind.length}/${all} nodes open it, ${sealing.length + done.length}/${all} seal with it alone, ` +
    `${done.length}/${all} have given up what was before${first.length > 0 ? `; waiting for ${first.join(', ')}` : ''}`
  );
}

/** `key 4`, `WireGuard`, `no encryption`. */
export function epochText(epoch: Epoch): string {
  const id = keyIdOf(epoch);
  if (id !== undefined) return `key ${id}`;
  return epoch === 'wireguard' ? 'WireGuard' : 'no encryption';
}
