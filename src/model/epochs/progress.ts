/** How far a cluster has come on its way to an epoch, out of what its nodes advertise: for those who wait and watch. */
import type { Advertisement } from './advertisement.ts';
import type { Epoch } from './epoch.ts';

export interface Member {
  readonly name: string;
  /** Absent: it has not said anything yet, or nothing that can be read. */
  readonly advertised?: Advertisement | undefined;
}

/** Nodes are named in the order in which they were given. */
export interface Progress {
  readonly target: Epoch;
  /**
   * What is being waited for: that all nodes open the target, that none seals with an older epoch any more, that none
   * opens an older one any more; or nothing.
   */
  readonly stage: 'distribute' | 'switch' | 'drain' | 'settled';
  /** Nodes that open the target. */
  readonly has: readonly string[];
  readonly lacks: readonly string[];
  /** Nodes that seal with the target and with nothing else. */
  readonly moved: readonly string[];
  /** Every other epoch that anybody has to do with, the first one said first. */
  readonly older: readonly Older[];
  /** Nodes that have said nothing. They hold nobody up, and count nowhere else. */
  readonly silent: readonly string[];
}

export interface Older {
  readonly epoch: Epoch;
  readonly opens: readonly string[];
  /** Nodes that seal with it, or may do so from one moment to the next. */
  readonly seals: readonly string[];
  /** Nodes that do not open it any more although somebody seals with it. */
  readonly refuses: readonly string[];
}

type Speaker = Member & { readonly advertised: Advertisement };

export function progress(members: readonly Member[], target: Epoch): Progress {
  const speakers = members.filter(isSpeaker);
  const has = namesOf(speakers, ({ opens }) => opens.includes(target));
  const moved = namesOf(speakers, ({ seals }) => seals.length === 1 && seals[0] === target);
  const older = epochsOf(speakers)
    .filter(epoch => epoch !== target)
    .map(epoch => ({
      epoch,
      opens: namesOf(speakers, ({ opens }) => opens.includes(epoch)),
      seals: namesOf(speakers, ({ seals }) => seals.includes(epoch)),
      refuses: namesOf(speakers, ({ refuses }) => refuses.includes(epoch)),
    }));
  return {
    target,
    stage: stageOf(speakers, { has, moved, older }),
    has,
    lacks: namesOf(speakers, ({ opens }) => !opens.includes(target)),
    moved,
    older,
    silent: members.filter(member => !isSpeaker(member)).map(({ name }) => name),
  };
}

/** The one epoch that all nodes which say anything open, and seal with; undefined while they move, or if none says anything. */
export function settledOn(members: readonly Member[]): Epoch | undefined {
  const [first] = members.filter(isSpeaker).flatMap(({ advertised }) => advertised.opens);
  return first !== undefined && progress(members, first).stage === 'settled' ? first : undefined;
}

function stageOf(
  speakers: readonly Speaker[],
  { has, moved, older }: Pick<Progress, 'has' | 'moved' | 'older'>,
): Progress['stage'] {
  if (speakers.length === 0 || has.length < speakers.length) return 'distribute';
  if (moved.length < speakers.length) return 'switch';
  return older.length > 0 ? 'drain' : 'settled';
}

function isSpeaker(member: Member): member is Speaker {
  return member.advertised !== undefined;
}

function namesOf(speakers: readonly Speaker[], fits: (said: Advertisement) => boolean): string[] {
  return speakers.filter(({ advertised }) => fits(advertised)).map(({ name }) => name);
}

function epochsOf(speakers: readonly Speaker[]): Epoch[] {
  const said = speakers.flatMap(({ advertised: { opens, seals, refuses } }) => [
    ...opens,
    ...seals,
    ...refuses,
  ]);
  return [...new Set(said)];
}
