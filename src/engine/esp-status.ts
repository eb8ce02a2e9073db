/** What `list` answers: states with their counters, policies, and what was dropped. */
import { toHex } from '../proto/bytes.ts';
import { suiteName } from '../proto/esp/suite.ts';
import { formatAddress } from '../proto/ip/address.ts';
import { formatCidr } from '../proto/ip/cidr.ts';
import { fingerprintOf } from '../proto/keys/fingerprint.ts';
import type { EspDrop, EspLoop } from './esp-native.ts';
import type { StateSpec } from './esp-request.ts';
import { type EspTable, limitsOf, type StateEntry } from './esp-table.ts';

/** Numbers beyond 2^53 are rounded. */
export interface EspStatus {
  run: string;
  device: { name: string; mtu: number; up: boolean };
  states: StateStatus[];
  policies: { dst: string; src: string; to: string; spi: number }[];
  local: string[];
  drops: Record<EspDrop, number>;
}

export interface StateStatus {
  dir: 'in' | 'out';
  src: string;
  dst: string;
  spi: number;
  reqid: number;
  label: string;
  algorithm: string;
  aead?: AlgorithmStatus;
  auth?: AlgorithmStatus;
  enc?: AlgorithmStatus;
  fingerprint: string;
  esn: boolean;
  encap?: { sport: number; dport: number };
  /** Inner sources that are permitted. */
  sel: string[];
  /** Outbound the last one used, inbound the highest one taken. */
  sequence: number;
  packets: number;
  /** Of inner packets. */
  bytes: number;
  /** Unix milliseconds; 0 is never. */
  lastUsed: number;
  replay: { window: number };
  limits: { packetSoft: number; packetHard: number; byteSoft: number; byteHard: number };
  due: boolean;
  expired: boolean;
  drops: Record<EspDrop, number>;
}

interface AlgorithmStatus {
  name: string;
  /** Of the ICV. */
  bits?: number;
  /** Hex, when it was asked for. */
  key?: string;
}

export function printEspStatus(run: string, table: EspTable, loop: EspLoop, withKeys: boolean): EspStatus {
  const { name, mtu, up } = loop.device();
  return {
    run,
    device: { name, mtu, up },
    states: [...table.states.values()].map(entry => stateStatus(entry, loop, withKeys)),
    policies: [...table.policies.values()].map(({ destinations, name: state }) => ({
      dst: formatCidr(destinations),
      src: formatAddress(state.source),
      to: formatAddress(state.destination),
      spi: state.spi,
    })),
    local: table.local.map(formatCidr),
    drops: loop.drops(),
  };
}

function stateStatus({ id, spec }: StateEntry, loop: EspLoop, withKeys: boolean): StateStatus {
  const counters = loop.counters(id);
  if (!counters) throw new Error('the packet loop does not know a state of the table');
  const { dueSequence, lastSequence, dueBlocks, lastBlocks } = limitsOf(spec);
  const { suite, encapsulation } = spec;
  const { lastUsed } = counters;
  return {
    dir: spec.direction,
    src: formatAddress(spec.source),
    dst: formatAddress(spec.destination),
    spi: spec.spi,
    reqid: spec.reqid,
    label: spec.label,
    algorithm: suiteName(suite),
    ...algorithmsOf(spec, withKeys),
    fingerprint: fingerprintOfState(spec),
    esn: spec.esn,
    ...(encapsulation && {
      encap: { sport: encapsulation.sourcePort, dport: encapsulation.destinationPort },
    }),
    sel: spec.selectors.map(formatCidr),
    sequence: Number(counters.sequence),
    packets: counters.packets,
    bytes: counters.bytes,
    lastUsed: lastUsed === 0 ? 0 : Math.round(Date.now() - (loop.now() - lastUsed)),
    replay: { window: spec.window },
    limits: {
      packetSoft: Number(dueSequence),
      packetHard: Number(lastSequence),
      byteSoft: Number(dueBlocks) * 16,
      byteHard: Number(lastBlocks) * 16,
    },
    due: counters.due,
    expired: counters.expired,
    drops: counters.drops,
  };
}

const fingerprints = new WeakMap<StateSpec['keys'], string>();

/** Once for each key: a list is asked for often. */
function fingerprintOfState({ suite, keys }: StateSpec): string {
  const known = fingerprints.get(keys);
  if (known !== undefined) return known;
  const material = keys.integrity ? [keys.cipher, keys.integrity] : [keys.cipher];
  const fingerprint = fingerprintOf(suiteName(suite), ...material);
  fingerprints.set(keys, fingerprint);
  return fingerprint;
}

function algorithmsOf(
  { suite, keys }: StateSpec,
  withKeys: boolean,
): Pick<StateStatus, 'aead' | 'auth' | 'enc'> {
  const keyOf = (key: Uint8Array) => (withKeys ? { key: `0x${toHex(key)}` } : {});
  if (suite.integrity === undefined || keys.integrity === undefined) {
    return { aead: { name: suite.cipher, bits: 8 * suite.icvLength, ...keyOf(keys.cipher) } };
  }
  return {
    auth: { name: suite.integrity, bits: 8 * suite.icvLength, ...keyOf(keys.integrity) },
    enc: { name: suite.cipher, ...keyOf(keys.cipher) },
  };
}
