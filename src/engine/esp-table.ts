/**
 * The states and policies of the ESP engine as its clients asked for them, and what the packet loop has to change for
 * them. A request makes a new table out of the one before, or none.
 */
import { createHash } from 'node:crypto';
import { equalBytes } from '../proto/bytes.ts';
import { BLOCK_BYTES, sealingLimits } from '../proto/esp/limits.ts';
import type { Suite } from '../proto/esp/suite.ts';
import { formatAddress } from '../proto/ip/address.ts';
import { type Cidr, formatCidr } from '../proto/ip/cidr.ts';
import type { NativeChange, NativeLimits, NativeState, NativeSuite } from './esp-native.ts';
import type { EspCommand, StateName, StateSpec } from './esp-request.ts';
import { EspRequestError } from './esp-words.ts';

export interface StateEntry {
  /** Of the packet loop's state. */
  readonly id: number;
  readonly spec: StateSpec;
  readonly keyName: string;
}

export interface PolicyEntry {
  readonly destinations: Cidr;
  /** The state need not be there: then nothing is sent. */
  readonly name: StateName;
}

export class EspTable {
  readonly states = new Map<string, StateEntry>();
  readonly policies = new Map<string, PolicyEntry>();
  local: readonly Cidr[] = [];

  /** States that may be asked for a probe, in the order of the commands. */
  readonly probes: number[] = [];

  /** One that was carried over from another process, where the loop knows these states by their ids already. */
  static of(
    states: readonly StateEntry[],
    policies: readonly PolicyEntry[],
    local: readonly Cidr[],
  ): EspTable {
    const table = new EspTable();
    for (const entry of states) table.states.set(keyOf(entry.spec), entry);
    for (const entry of policies) table.policies.set(formatCidr(entry.destinations), entry);
    table.local = local;
    return table;
  }

  /** The table after these commands; this one stays as it is. Throws an EspRequestError. */
  after(commands: readonly EspCommand[], nextId: () => number): EspTable {
    const table = new EspTable();
    for (const [key, entry] of this.states) table.states.set(key, entry);
    for (const [key, entry] of this.policies) table.policies.set(key, entry);
    table.local = this.local;
    for (const command of commands) table.#apply(command, nextId);
    table.#checkKeys(commands);
    return table;
  }

  #apply(command: EspCommand, nextId: () => number): void {
    switch (command.verb) {
      case 'state add':
        this.#addState(command.state, command.line, nextId);
        return;
      case 'state delete':
        if (!this.states.delete(keyOf(command.name))) throw noState(command.line, command.name);
        return;
      case 'state flush':
        this.states.clear();
        return;
      case 'policy set':
        if (!this.states.has(keyOf(command.name))) throw noState(command.line, command.name);
        this.policies.set(formatCidr(command.destinations), command);
        return;
      case 'policy delete': {
        const destinations = formatCidr(command.destinations);
        if (this.policies.delete(destinations)) return;
        throw new EspRequestError(command.line, `there is no policy for ${destinations}`);
      }
      case 'policy flush':
        this.policies.clear();
        return;
      case 'local':
        this.local = command.destinations;
        return;
      case 'probe': {
        const state = this.states.get(keyOf(command.name));
        if (!state) throw noState(command.line, command.name);
        this.probes.push(state.id);
        return;
      }
      case 'list':
        return;
    }
  }

  #addState(spec: StateSpec, line: number, nextId: () => number): void {
    const key = keyOf(spec);
    const before = this.states.get(key);
    if (!before) {
      this.states.set(key, { id: nextId(), spec, keyName: keyNameOf(spec) });
      return;
    }
    const difference = differenceOf(before.spec, spec);
    if (difference) {
      throw new EspRequestError(
        line,
        `${describe(spec)} is there with another ${difference}: delete it first`,
      );
    }
    // The keys stay those that are there already.
    this.states.set(key, { ...before, spec: { ...spec, keys: before.spec.keys, after: before.spec.after } });
  }

  /** A key seals in one direction of one pair alone: two counters would give the same nonce twice. */
  #checkKeys(commands: readonly EspCommand[]): void {
    if (!commands.some(({ verb }) => verb === 'state add')) return;
    const owners = new Map<string, StateEntry>();
    for (const entry of this.states.values()) {
      const other = owners.get(entry.keyName);
      owners.set(entry.keyName, entry);
      if (!other) continue;
      const names = [other, entry].map(({ spec }) => keyOf(spec));
      const late = commands.findLast(
        command => command.verb === 'state add' && names.includes(keyOf(command.state)),
      );
      throw new EspRequestError(
        late?.line ?? 0,
        `${describe(other.spec)} and ${describe(entry.spec)} have the same key: give each its own`,
      );
    }
  }

  /** What makes the packet loop's state of this table out of that of the one before. */
  changeFrom(before: EspTable): NativeChange {
    const change: NativeChange = { removed: [], outbound: [], inbound: [], updated: [], policies: [] };
    for (const [key, { id }] of before.states) {
      if (this.states.get(key)?.id !== id) change.removed.push(id);
    }
    for (const [key, entry] of this.states) {
      const old = before.states.get(key);
      if (old?.id !== entry.id) {
        change[entry.spec.direction === 'out' ? 'outbound' : 'inbound'].push(nativeState(entry));
      } else if (old !== entry) {
        change.updated.push(nativeState(entry));
      }
    }
    for (const [key, { destinations }] of before.policies) {
      if (!this.policies.has(key)) {
        change.policies.push({ destinations: encodeCidrs([destinations]), state: 0 });
      }
    }
    for (const [key, policy] of this.policies) {
      const state = this.#stateOf(policy);
      const old = before.policies.get(key);
      if (old && before.#stateOf(old) === state) continue;
      change.policies.push({ destinations: encodeCidrs([policy.destinations]), state });
    }
    if (this.local !== before.local) change.local = encodeCidrs(this.local);
    return change;
  }

  #stateOf(policy: PolicyEntry | undefined): number {
    return (policy && this.states.get(keyOf(policy.name))?.id) ?? 0;
  }
}

/** Names do not change. */
const keys = new WeakMap<StateName, string>();

export function keyOf(name: StateName): string {
  const known = keys.get(name);
  if (known !== undefined) return known;
  const { direction, spi, source, destination } = name;
  const key = `${direction} 0x${spi.toString(16)} ${formatAddress(source)} ${formatAddress(destination)}`;
  keys.set(name, key);
  return key;
}

/** The limits that hold: those of the protocol, or lower ones. */
export function limitsOf(spec: StateSpec): NativeLimits {
  const { packets, blocks } = sealingLimits(spec.suite, spec.esn);
  const { packetSoft, packetHard, byteSoft, byteHard } = spec.limits;
  const least = (a: bigint, b: bigint | undefined) => (b !== undefined && b < a ? b : a);
  const inBlocks = (bytes: bigint | undefined) => bytes && bytes / BigInt(BLOCK_BYTES);
  return {
    dueSequence: least(packets.due, packetSoft),
    lastSequence: least(packets.last, packetHard),
    dueBlocks: least(blocks.due, inBlocks(byteSoft)),
    lastBlocks: BigInt.asUintN(64, least(least(blocks.last, inBlocks(byteHard)), 2n ** 64n - 1n)),
  };
}

/** The state as the packet loop takes it. */
export function nativeState({ id, spec, keyName }: StateEntry): NativeState {
  const { suite, keys, encapsulation } = spec;
  return {
    id,
    spi: spec.spi,
    source: spec.source.bytes,
    destination: spec.destination.bytes,
    suite: nativeSuite(suite),
    key: keys.cipher,
    ...(keys.integrity && { integrityKey: keys.integrity }),
    keyName,
    esn: spec.esn,
    sourcePort: encapsulation?.sourcePort ?? 0,
    destinationPort: encapsulation?.destinationPort ?? 0,
    limits: limitsOf(spec),
    sources: encodeCidrs(spec.selectors),
    window: spec.window,
    after: spec.after,
  };
}

function nativeSuite(suite: Suite): NativeSuite {
  const { cipher, integrity } = suite;
  const { keyLength, saltLength, integrityKeyLength, ivLength, icvLength, alignment } = suite;
  const kind = cipher === 'cbc(aes)' ? 2 : cipher === 'rfc4106(gcm(aes))' ? 0 : 1;
  const hashBits = integrity ? Number(integrity.slice('hmac(sha'.length, -1)) : 0;
  return { kind, hashBits, keyLength, saltLength, integrityKeyLength, ivLength, icvLength, alignment };
}

/** One-way, and short: the engine remembers it for as long as it lives, and so does the one that takes over from it. */
function keyNameOf({ suite, keys }: StateSpec): string {
  const hash = createHash('sha256').update(`${suite.cipher}\n`).update(keys.cipher);
  return hash.digest('base64').slice(0, 22);
}

/** What cannot be changed while the state stands. */
function differenceOf(a: StateSpec, b: StateSpec): string | undefined {
  const isSameSuite = JSON.stringify(a.suite) === JSON.stringify(b.suite);
  if (!isSameSuite) return 'algorithm';
  const integrity = (spec: StateSpec) => spec.keys.integrity ?? new Uint8Array();
  if (!equalBytes(a.keys.cipher, b.keys.cipher) || !equalBytes(integrity(a), integrity(b))) return 'key';
  if (a.esn !== b.esn) return 'flag esn';
  if (a.window !== b.window) return 'replay-window';
  return JSON.stringify(a.encapsulation) === JSON.stringify(b.encapsulation) ? undefined : 'encap';
}

function noState(line: number, name: StateName): EspRequestError {
  return new EspRequestError(line, `there is no ${describe(name)}`);
}

function describe({ direction, spi, source, destination }: StateName): string {
  return `state dir ${direction} src ${formatAddress(source)} dst ${formatAddress(destination)} spi 0x${spi.toString(16)}`;
}

const ENTRY_BYTES = 20;

function encodeCidrs(cidrs: readonly Cidr[]): Uint8Array {
  const entries = new Uint8Array(cidrs.length * ENTRY_BYTES);
  for (const [i, { address, prefix }] of cidrs.entries()) {
    entries.set([address.family, prefix], i * ENTRY_BYTES);
    entries.set(address.bytes, i * ENTRY_BYTES + 4);
  }
  return entries;
}
