/**
 * What a node says of itself in the API, for its peers to act upon: one line of text in an annotation of its CiliumNode.
 *
 *     serial=7 opens=ipsec/3/9c1185a5c5e9fc54,ipsec/4/1b4f0e9851971998 seals=ipsec/3/9c1185a5c5e9fc54
 *
 * The incarnation stands in `spec.bootid` beside it, where Cilium has it too.
 */
import { isBootId } from '../../proto/keys/derive.ts';
import { type Epoch, parseEpoch } from './epoch.ts';

export const EPOCHS_ANNOTATION = 'pellicle.io/epochs';

export interface Advertisement {
  /** The run of the node for which this holds: its boot ID, or what stands for it. */
  readonly incarnation: string;
  /** Grows with each writing. */
  readonly serial: number;
  /** What the node can open, the newest last. */
  readonly opens: readonly Epoch[];
  /** What the node seals with, or may seal with from one moment to the next. */
  readonly seals: readonly Epoch[];
  /** What the node opens no longer although somebody seals with it: the time for it has run out. */
  readonly refuses: readonly Epoch[];
}

/** More than this at once is nobody's rotation. */
const MOST_EPOCHS = 20;
const LONGEST_TEXT = 4096;

export function formatAdvertisement(advertisement: Advertisement): string {
  const { serial, opens, seals, refuses } = advertisement;
  const list = (name: string, epochs: readonly Epoch[]) =>
    epochs.length > 0 ? [`${name}=${epochs.join(',')}`] : [];
  return [
    `serial=${serial}`,
    ...list('opens', opens),
    ...list('seals', seals),
    ...list('refuses', refuses),
  ].join(' ');
}

/** Undefined for what is no advertisement. Words that it does not know are left aside: a newer version's, perhaps. */
export function parseAdvertisement(incarnation: string, text: string): Advertisement | undefined {
  if (!isBootId(incarnation) || text.length > LONGEST_TEXT) return undefined;
  const words = new Map<string, string>();
  for (const word of text.split(' ').filter(Boolean)) {
    const equals = word.indexOf('=');
    if (equals < 1) return undefined;
    words.set(word.slice(0, equals), word.slice(equals + 1));
  }
  const serial = words.get('serial') ?? '';
  const opens = parseList(words.get('opens'));
  const seals = parseList(words.get('seals'));
  const refuses = parseList(words.get('refuses'));
  if (!/^[0-9]{1,15}$/.test(serial) || !opens || !seals || !refuses) return undefined;
  return { incarnation, serial: Number(serial), opens, seals, refuses };
}

/** Whether two say the same, whenever they were written. */
export function sayTheSame(a: Advertisement, b: Advertisement): boolean {
  return (
    a.incarnation === b.incarnation &&
    sameList(a.opens, b.opens) &&
    sameList(a.seals, b.seals) &&
    sameList(a.refuses, b.refuses)
  );
}

function parseList(text = ''): Epoch[] | undefined {
  if (text === '') return [];
  const epochs = text.split(',').map(parseEpoch);
  if (epochs.length > MOST_EPOCHS || !epochs.every(epoch => epoch !== undefined)) return undefined;
  return new Set(epochs).size === epochs.length ? epochs : undefined;
}

function sameList(a: readonly Epoch[], b: readonly Epoch[]): boolean {
  return a.length === b.length && a.every((epoch, i) => epoch === b[i]);
}
