/**
 * The difference between the SAs that are there and those that should be, as the lines of one request to the ESP engine.
 * Pure. The request takes effect as a whole; within it a state is there before a policy names it, and goes after.
 */
import { type Epoch, epochLabel, keyIdOf } from '../model/epochs/epoch.ts';
import { toHex } from '../proto/bytes.ts';
import { BLOCK_BYTES, REPLAY_WINDOW, sealingLimits } from '../proto/esp/limits.ts';
import type { SaKeys, Suite } from '../proto/esp/suite.ts';
import type { IpsecDesired, IpsecDesiredPeer, OpeningKeys } from './driver.ts';
import { type IpsecStatus, labelOf, placeOf, type StatusPolicy, type StatusState } from './ipsec-status.ts';

export interface IpsecChanges {
  /** With key material. */
  lines: string[];
  /** Short phrases for the log, without. */
  phrases: string[];
}

export function ipsecChanges(status: IpsecStatus, desired: IpsecDesired): IpsecChanges {
  const there = new Map(status.states.map(state => [placeOf(state), state]));
  const wanted = wantedStates(desired.peers);
  const steps = {
    policiesGone: [] as string[],
    replaced: [] as string[],
    added: [] as string[],
    policies: [] as string[],
    gone: [] as string[],
  };
  const phrases = new Set<string>();

  for (const [place, state] of wanted) {
    const before = there.get(place);
    const isSame = before?.label === state.label;
    if (before && !isSame) {
      steps.replaced.push(deleteLine(before));
      if (!state.keys) phrases.add(closed(before));
    }
    if (!state.keys || (isSame && fits(before, state))) continue;
    steps.added.push(addLine(state, state.keys));
    phrases.add(`peer ${state.peer} ${isSame ? 'changed' : 'opened'} under ${epochLabel(state.epoch)}`);
  }
  for (const [place, state] of there) {
    if (wanted.has(place)) continue;
    steps.gone.push(deleteLine(state));
    phrases.add(closed(state));
  }
  policyChanges(status, desired, wanted, there, steps, phrases);
  const lines = [...steps.policiesGone, ...steps.replaced, ...steps.added, ...steps.policies, ...steps.gone];
  if ([...status.local].sort().join() !== [...desired.local].sort().join()) {
    lines.push(['local', ...desired.local].join(' '));
    phrases.add(`delivers to ${desired.local.join(', ') || 'nobody'}`);
  }
  return { lines, phrases: [...phrases] };
}

interface WantedState {
  direction: 'in' | 'out';
  source: string;
  destination: string;
  spi: number;
  peer: string;
  epoch: Epoch;
  label: string;
  /** Of direction `in`. */
  selectors: string[];
  keys?: { suite: Suite; sa: SaKeys; limits: Limit[] };
}

type Limit = [word: string, value: bigint];

/** By their places. Of two runs of a peer under one key id the later in the list is the one that lives. */
function wantedStates(peers: readonly IpsecDesiredPeer[]): Map<string, WantedState> {
  const wanted = new Map<string, WantedState>();
  for (const { name: peer, tunnel, cidrs, openings } of peers) {
    for (const { incarnation, epoch, keys } of openings) {
      const spi = keyIdOf(epoch);
      if (spi === undefined) continue;
      const label = labelOf({ peer, incarnation, epoch });
      const common = { spi, peer, epoch, label };
      const out: WantedState = {
        ...{ ...common, direction: 'out', source: tunnel.local, destination: tunnel.remote, selectors: [] },
        ...(keys ? { keys: { suite: keys.suite, sa: keys.out, limits: limitsOf(keys) } } : {}),
      };
      const back: WantedState = {
        ...{ ...common, direction: 'in', source: tunnel.remote, destination: tunnel.local, selectors: cidrs },
        ...(keys ? { keys: { suite: keys.suite, sa: keys.in, limits: [] } } : {}),
      };
      wanted.set(placeOf(out), out);
      wanted.set(placeOf(back), back);
    }
  }
  return wanted;
}

function policyChanges(
  status: IpsecStatus,
  desired: IpsecDesired,
  wanted: Map<string, WantedState>,
  there: Map<string, StatusState>,
  steps: { policiesGone: string[]; policies: string[] },
  phrases: Set<string>,
): void {
  const policies = new Map<string, StatusPolicy>();
  for (const { name: peer, tunnel, cidrs, seals } of desired.peers) {
    const spi = seals && keyIdOf(seals.epoch);
    if (!seals || spi === undefined) continue;
    const place = placeOf({ direction: 'out', source: tunnel.local, destination: tunnel.remote, spi });
    const state = wanted.get(place);
    const label = labelOf({ peer, ...seals });
    if (state?.label !== label || !(state.keys || there.get(place)?.label === label)) continue;
    for (const destination of cidrs) {
      const policy = { destination, source: tunnel.local, to: tunnel.remote, spi };
      policies.set(destination, policy);
      const before = status.policies.find(other => other.destination === destination);
      if (before && samePolicy(before, policy)) continue;
      steps.policies.push(
        `policy set dst ${destination} src ${policy.source} spi ${hex(spi)} to ${policy.to}`,
      );
      phrases.add(`peer ${peer} sealed with ${epochLabel(seals.epoch)}`);
    }
  }
  const silent = new Set(desired.peers.flatMap(({ seals, cidrs }) => (seals ? [] : cidrs)));
  for (const policy of status.policies) {
    const { destination } = policy;
    if (policies.has(destination)) continue;
    // What was on its way into the engine when the routes turned elsewhere is sealed as before, while that is open.
    const place = placeOf({ ...policy, direction: 'out', destination: policy.to });
    const isOpen = there.has(place) && there.get(place)?.label === wanted.get(place)?.label;
    if (silent.has(destination) && isOpen) continue;
    steps.policiesGone.push(`policy delete dst ${destination}`);
    phrases.add(`${destination} sealed with nothing`);
  }
}

function samePolicy(a: StatusPolicy, b: StatusPolicy): boolean {
  return a.source === b.source && a.to === b.to && a.spi === b.spi;
}

function fits(there: StatusState, { selectors, keys }: WantedState): boolean {
  const sameSelectors = [...there.selectors].sort().join() === [...selectors].sort().join();
  return sameSelectors && (keys?.limits ?? []).every(([word, value]) => hasLimit(there, word, value));
}

/** An engine that does not tell its limits is believed. */
function hasLimit({ limits }: StatusState, word: string, value: bigint): boolean {
  return limits[word] === undefined || limits[word] === Number(value);
}

const MOST = 2n ** 64n - 1n;

/** Those that are below what the protocol allows in any case, and that 64 bits can tell. */
function limitsOf({ suite, limits }: OpeningKeys): Limit[] {
  const protocol = sealingLimits(suite, true);
  const least = (a: bigint, b: bigint) => (a < b ? a : b);
  const bytes = (blocks: bigint) => blocks * BigInt(BLOCK_BYTES);
  const all: Limit[] = [
    ['packet-soft', least(limits.packets.due, protocol.packets.due)],
    ['packet-hard', least(limits.packets.last, protocol.packets.last)],
    ['byte-soft', bytes(least(limits.blocks.due, protocol.blocks.due))],
    ['byte-hard', bytes(least(limits.blocks.last, protocol.blocks.last))],
  ];
  return all.filter(([, value]) => value <= MOST);
}

function addLine(state: WantedState, { suite, sa, limits }: NonNullable<WantedState['keys']>): string {
  const { direction, source, destination, spi, label, selectors } = state;
  const words = [
    `state add src ${source} dst ${destination} proto esp spi ${hex(spi)} reqid 1 mode tunnel dir ${direction}`,
    algorithmWords(suite, sa),
    `replay-window ${REPLAY_WINDOW} flag esn`,
    ...(limits.length > 0 ? [`limit ${limits.map(([word, value]) => `${word} ${value}`).join(' ')}`] : []),
    ...selectors.map(cidr => `sel ${cidr}`),
    `label '${label}'`,
  ];
  return words.join(' ');
}

function algorithmWords({ cipher, integrity, icvLength }: Suite, sa: SaKeys): string {
  const bits = 8 * icvLength;
  if (integrity === undefined) return `aead '${cipher}' 0x${toHex(sa.cipher)} ${bits}`;
  const auth = `auth-trunc '${integrity}' 0x${toHex(sa.integrity ?? new Uint8Array())} ${bits}`;
  return `${auth} enc '${cipher}' 0x${toHex(sa.cipher)}`;
}

function deleteLine({ direction, source, destination, spi }: StatusState): string {
  return `state delete src ${source} dst ${destination} spi ${hex(spi)} dir ${direction}`;
}

function closed({ owner, direction, source, destination, spi }: StatusState): string {
  if (owner) return `peer ${owner.peer} closed under ${epochLabel(owner.epoch)}`;
  return `state ${direction} ${source} ${destination} ${hex(spi)} removed`;
}

function hex(spi: number): string {
  return `0x${spi.toString(16)}`;
}
