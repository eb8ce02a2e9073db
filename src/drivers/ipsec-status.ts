/** What the ESP engine tells of itself, read field by field. */
import { type Epoch, parseEpoch } from '../model/epochs/epoch.ts';
import { addressOf, prefixOf } from '../model/net.ts';
import type { IpsecObserved, ObservedState } from './driver.ts';

export interface IpsecStatus {
  /** UUID of this run of the engine. */
  run: string;
  states: StatusState[];
  policies: StatusPolicy[];
  /** Inner destinations that are let in. */
  local: string[];
  drops: Record<string, number>;
}

export interface StatusState extends ObservedState {
  label: string;
  /** Of direction `out`, by their words: `packet-soft` and so on. Rounded beyond 2^53. */
  limits: Record<string, number>;
}

export interface StatusPolicy {
  /** Inner destinations. */
  destination: string;
  /** Of the state that seals. */
  source: string;
  to: string;
  spi: number;
}

/** Of an SA, to tell an agent that starts again what stands. */
export interface Owner {
  peer: string;
  incarnation: string;
  epoch: Epoch;
}

export function labelOf({ peer, incarnation, epoch }: Owner): string {
  return `${peer} ${incarnation} ${epoch}`;
}

export function parseLabel(label: string): Owner | undefined {
  const [peer, incarnation, text, ...rest] = label.split(' ');
  const epoch = text === undefined ? undefined : parseEpoch(text);
  if (!peer || !incarnation || epoch === undefined || rest.length > 0) return undefined;
  return { peer, incarnation, epoch };
}

/** What is known of a state by its place: there is one such state at a time. */
export function placeOf(state: {
  direction: string;
  source: string;
  destination: string;
  spi: number;
}): string {
  const { direction, source, destination, spi } = state;
  return `${direction} ${spi} ${source} ${destination}`;
}

/** The status, or what is wrong with it as a sentence. */
export function readStatus(answer: Record<string, unknown>): IpsecStatus | string {
  try {
    return {
      run: text(answer, 'run'),
      states: list(answer, 'states').map(readState),
      policies: list(answer, 'policies').map(policy => ({
        destination: prefix(policy['dst']),
        source: address(policy, 'src'),
        to: address(policy, 'to'),
        spi: count(policy, 'spi'),
      })),
      local: strings(answer, 'local').map(prefix),
      drops: Object.fromEntries(
        Object.entries(record(answer['drops'], 'drops')).filter(
          (entry): entry is [string, number] => typeof entry[1] === 'number',
        ),
      ),
    };
  } catch (error) {
    if (error instanceof OddStatus) return error.message;
    throw error;
  }
}

export function observedOf(status: IpsecStatus): IpsecObserved {
  const byPlace = new Map(status.states.map(state => [placeOf(state), state]));
  const openings = status.states.flatMap(state => {
    const { direction, source, destination, spi, owner, lastUsed } = state;
    if (direction !== 'in' || !owner) return [];
    const way = byPlace.get(placeOf({ direction: 'out', source: destination, destination: source, spi }));
    if (way?.label !== state.label) return [];
    return [
      {
        ...owner,
        ...(lastUsed === undefined ? {} : { heardAt: lastUsed }),
        in: state.counters,
        out: { ...way.counters, due: way.due, expired: way.expired },
      },
    ];
  });
  const owners = status.policies.flatMap(({ source, to, spi }) => {
    const state = byPlace.get(placeOf({ direction: 'out', source, destination: to, spi }));
    return state?.owner ? [state] : [];
  });
  const seals = [...new Map(owners.map(({ label, owner }) => [label, owner!])).values()];
  const states = status.states.map(({ label: _, limits: __, ...state }) => state);
  return { run: status.run, openings, seals, states, drops: status.drops };
}

class OddStatus extends Error {}

function readState(state: Record<string, unknown>): StatusState {
  const direction = state['dir'];
  if (direction !== 'in' && direction !== 'out') throw new OddStatus('a state has no "dir"');
  const label = typeof state['label'] === 'string' ? state['label'] : '';
  const owner = parseLabel(label);
  const lastUsed = count(state, 'lastUsed');
  return {
    direction,
    source: address(state, 'src'),
    destination: address(state, 'dst'),
    spi: count(state, 'spi'),
    algorithm: typeof state['algorithm'] === 'string' ? state['algorithm'] : '',
    label,
    ...(owner === undefined ? {} : { owner }),
    counters: {
      sequence: counter(state, 'sequence'),
      packets: counter(state, 'packets'),
      bytes: counter(state, 'bytes'),
    },
    ...(lastUsed === 0 ? {} : { lastUsed }),
    due: state['due'] === true,
    expired: state['expired'] === true,
    selectors: state['sel'] === undefined ? [] : strings(state, 'sel').map(prefix),
    limits: state['limits'] === undefined ? {} : readLimits(record(state['limits'], 'limits')),
  };
}

const LIMIT_WORDS = {
  packetSoft: 'packet-soft',
  packetHard: 'packet-hard',
  byteSoft: 'byte-soft',
  byteHard: 'byte-hard',
};

function readLimits(limits: Record<string, unknown>): Record<string, number> {
  const found: Record<string, number> = {};
  for (const [name, word] of Object.entries(LIMIT_WORDS)) {
    const value = Number(limits[name]);
    if (Number.isFinite(value)) found[word] = value;
  }
  return found;
}

function record(value: unknown, name: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new OddStatus(`"${name}" is no object`);
  return value as Record<string, unknown>;
}

function list(of: Record<string, unknown>, name: string): Record<string, unknown>[] {
  const value = of[name];
  if (!Array.isArray(value)) throw new OddStatus(`"${name}" is no list`);
  return value.map(item => record(item, name));
}

function strings(of: Record<string, unknown>, name: string): string[] {
  const value = of[name];
  if (!Array.isArray(value) || !value.every(item => typeof item === 'string'))
    throw new OddStatus(`"${name}" is no list of words`);
  return value;
}

function text(of: Record<string, unknown>, name: string): string {
  const value = of[name];
  if (typeof value !== 'string' || value === '') throw new OddStatus(`"${name}" is missing`);
  return value;
}

function address(of: Record<string, unknown>, name: string): string {
  const found = addressOf(text(of, name));
  if (found === undefined) throw new OddStatus(`"${name}" is no address`);
  return found;
}

function prefix(value: unknown): string {
  const found = typeof value === 'string' ? prefixOf(value) : undefined;
  if (found === undefined) throw new OddStatus('what should be a CIDR is none');
  return found;
}

function count(of: Record<string, unknown>, name: string): number {
  const value = of[name];
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw new OddStatus(`"${name}" is no number`);
  return value;
}

/** Also such as no number of JavaScript holds. */
function counter(of: Record<string, unknown>, name: string): bigint {
  const value = of[name];
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0) return BigInt(value);
  if (typeof value === 'string' && /^\d{1,20}$/.test(value)) return BigInt(value);
  throw new OddStatus(`"${name}" is no number`);
}
