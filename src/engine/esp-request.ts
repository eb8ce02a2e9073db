/**
 * Requests to the ESP engine: lines of words as of `ip xfrm` (ip-xfrm(8)), ended by an empty line, carried out as one.
 * Words are separated by blanks; 'quotes' or "quotes" hold those with blanks together.
 */
import { wipe } from '../proto/bytes.ts';
import { LEAST_REPLAY_WINDOW, REPLAY_WINDOW } from '../proto/esp/limits.ts';
import {
  AEADS,
  aeadSuite,
  CIPHERS,
  cbcSuite,
  INTEGRITIES,
  type SaKeys,
  type Suite,
} from '../proto/esp/suite.ts';
import type { Address } from '../proto/ip/address.ts';
import type { Cidr } from '../proto/ip/cidr.ts';
import { shown, Words } from './esp-words.ts';

export type StateDirection = 'in' | 'out';

/** By what a state is known. */
export interface StateName {
  readonly direction: StateDirection;
  readonly source: Address;
  readonly destination: Address;
  readonly spi: number;
}

/** Packets are sequence numbers; bytes are those that are encrypted, in whole blocks of 16. Absent: the protocol's. */
export interface StateLimits {
  readonly packetSoft?: bigint;
  readonly packetHard?: bigint;
  readonly byteSoft?: bigint;
  readonly byteHard?: bigint;
}

export interface StateSpec extends StateName {
  readonly reqid: number;
  readonly suite: Suite;
  readonly keys: SaKeys;
  readonly esn: boolean;
  /** In packets. */
  readonly window: number;
  /** The last sequence number used, or taken. */
  readonly after: bigint;
  readonly limits: StateLimits;
  /** In UDP (RFC 3948). */
  readonly encapsulation?: { readonly sourcePort: number; readonly destinationPort: number };
  readonly label: string;
  /** Inner sources that are permitted: inbound. */
  readonly selectors: readonly Cidr[];
}

export type EspCommand = { readonly line: number } & (
  | { readonly verb: 'state add'; readonly state: StateSpec }
  | { readonly verb: 'state delete'; readonly name: StateName }
  | { readonly verb: 'state flush' }
  | { readonly verb: 'policy set'; readonly destinations: Cidr; readonly name: StateName }
  | { readonly verb: 'policy delete'; readonly destinations: Cidr }
  | { readonly verb: 'policy flush' }
  | { readonly verb: 'local'; readonly destinations: readonly Cidr[] }
  | { readonly verb: 'probe'; readonly name: StateName }
  | { readonly verb: 'list'; readonly withKeys: boolean }
);

/** The lines without the empty one at their end. Throws an EspRequestError; no message has key material in it. */
export function parseEspRequest(text: string): EspCommand[] {
  const commands: EspCommand[] = [];
  try {
    for (const [index, line] of text.split('\n').entries()) {
      if (line.trim() === '') continue;
      commands.push(parseLine(line, index + 1));
    }
    return commands;
  } catch (error) {
    wipeKeys(commands);
    throw error;
  }
}

/** For states that are not kept. */
export function wipeKeys(commands: readonly EspCommand[]): void {
  for (const command of commands) if (command.verb === 'state add') wipeStateKeys(command.state);
}

export function wipeStateKeys({ keys }: Pick<StateSpec, 'keys'>): void {
  wipe(keys.cipher, ...(keys.integrity ? [keys.integrity] : []));
}

function parseLine(text: string, line: number): EspCommand {
  const words = new Words(text, line);
  const command = parseCommand(words, line);
  words.end();
  return command;
}

function parseCommand(words: Words, line: number): EspCommand {
  const verb = words.next('a command');
  switch (verb) {
    case 'state':
      return parseStateCommand(words, line);
    case 'policy':
      return parsePolicyCommand(words, line);
    case 'local':
      return { line, verb, destinations: words.rest().map(word => words.cidr(word)) };
    case 'probe':
      return { line, verb, name: { ...parseName(words, ['src', 'dst', 'spi']), direction: 'out' } };
    case 'list':
      return { line, verb, withKeys: words.take('keys') };
    default:
      return words.fail(`${shown(verb)} is no command: state, policy, local, probe or list`);
  }
}

function parseStateCommand(words: Words, line: number): EspCommand {
  const verb = words.next('add, delete or flush');
  if (verb === 'add') return { line, verb: 'state add', state: parseState(words) };
  if (verb === 'delete')
    return { line, verb: 'state delete', name: parseName(words, ['src', 'dst', 'spi', 'dir']) };
  if (verb === 'flush') return { line, verb: 'state flush' };
  return words.fail(`${shown(verb)} cannot be done to a state: add, delete or flush`);
}

function parsePolicyCommand(words: Words, line: number): EspCommand {
  const verb = words.next('set, delete or flush');
  if (verb === 'flush') return { line, verb: 'policy flush' };
  if (verb !== 'set' && verb !== 'delete') {
    return words.fail(`${shown(verb)} cannot be done to a policy: set, delete or flush`);
  }
  words.expect('dst');
  const destinations = words.cidr(words.next('inner destinations'));
  if (verb === 'delete') return { line, verb: 'policy delete', destinations };
  const { source, destination, spi } = parseName(words, ['src', 'to', 'spi']);
  return { line, verb: 'policy set', destinations, name: { source, destination, spi, direction: 'out' } };
}

type NameWord = 'src' | 'dst' | 'to' | 'spi' | 'dir';

/** Each word once, in any order. */
function parseName(words: Words, wanted: readonly NameWord[]): StateName {
  const found = new Fields(words);
  while (words.more) {
    const word = words.next('a word');
    if (word === 'proto') words.expect('esp');
    else if (wanted.some(one => one === word)) found.read(word as NameWord);
    else words.fail(`${shown(word)} is not known here: ${wanted.join(', ')}`);
  }
  return found.name(wanted);
}

/** The words that name a state, and their checks. */
class Fields {
  readonly #words: Words;
  source?: Address;
  destination?: Address;
  spi?: number;
  direction?: StateDirection;

  constructor(words: Words) {
    this.#words = words;
  }

  read(word: NameWord): void {
    const words = this.#words;
    words.once(word === 'to' ? 'dst' : word);
    if (word === 'src') this.source = words.address(words.next('an address'));
    else if (word === 'dst' || word === 'to') this.destination = words.address(words.next('an address'));
    else if (word === 'spi') {
      this.spi = Number(words.number(words.next('an SPI'), 2n ** 32n - 1n));
      if (this.spi === 0) words.fail('spi 0 is reserved (RFC 4303, section 2.1): take the key id');
    } else {
      const direction = words.next('in or out');
      if (direction !== 'in' && direction !== 'out') words.fail(`dir ${shown(direction)}: in or out`);
      else this.direction = direction;
    }
  }

  name(wanted: readonly NameWord[]): StateName {
    const { source, destination, spi, direction } = this;
    if (source && destination && spi !== undefined && (direction || !wanted.includes('dir'))) {
      if (source.family !== destination.family) this.#words.fail('src and dst are of two families');
      return { source, destination, spi, direction: direction ?? 'out' };
    }
    const missing = [!source && 'src', !destination && 'dst', spi === undefined && 'spi', 'dir'].find(
      Boolean,
    );
    return this.#words.fail(`${missing || 'dir'} is missing: ${wanted.join(', ')} are needed`);
  }
}

function parseState(words: Words): StateSpec {
  const fields = new Fields(words);
  const algorithm = new Algorithm(words);
  const limits: Record<string, bigint> = {};
  const selectors: Cidr[] = [];
  const half = { 'replay-oseq': 0n, 'replay-oseq-hi': 0n, 'replay-seq': 0n, 'replay-seq-hi': 0n };
  let [reqid, window, esn, label] = [0, REPLAY_WINDOW, false, ''];
  let encapsulation: StateSpec['encapsulation'];
  while (words.more) {
    const word = words.next('a word');
    if (word !== 'sel' && word !== 'limit' && !(word === 'src' || word === 'dst')) words.once(`add ${word}`);
    switch (word) {
      case 'src':
      case 'dst':
      case 'spi':
      case 'dir':
        fields.read(word);
        break;
      case 'proto':
        words.expect('esp');
        break;
      case 'mode':
        words.expect('tunnel');
        break;
      case 'reqid':
        reqid = Number(words.number(words.next('a number'), 2n ** 32n - 1n));
        break;
      case 'aead':
      case 'auth-trunc':
      case 'enc':
        algorithm.read(word);
        break;
      case 'replay-window':
        window = Number(words.number(words.next('a number of packets'), BigInt(REPLAY_WINDOW)));
        if (window < LEAST_REPLAY_WINDOW)
          words.fail(`replay-window is ${LEAST_REPLAY_WINDOW} to ${REPLAY_WINDOW}`);
        break;
      case 'flag':
        words.expect('esn');
        esn = true;
        break;
      case 'replay-oseq':
      case 'replay-oseq-hi':
      case 'replay-seq':
      case 'replay-seq-hi':
        half[word] = words.number(words.next('a number'), 2n ** 32n - 1n);
        break;
      case 'limit':
        readLimits(words, limits);
        break;
      case 'encap':
        words.expect('espinudp');
        encapsulation = { sourcePort: words.port(), destinationPort: words.port() };
        words.address(words.next('an address (0.0.0.0)'));
        break;
      case 'label':
        label = words.next('a label');
        break;
      case 'sel':
        selectors.push(words.cidr(words.next('inner sources')));
        break;
      default:
        words.fail(`${shown(word)} is no word of a state`);
    }
  }
  const name = fields.name(['src', 'dst', 'spi', 'dir']);
  const { suite, keys } = algorithm.finish();
  try {
    const own = name.direction === 'out' ? 'replay-oseq' : 'replay-seq';
    const other = name.direction === 'out' ? 'replay-seq' : 'replay-oseq';
    if (half[other] !== 0n || half[`${other}-hi`] !== 0n)
      words.fail(`${other} is not of a state with dir ${name.direction}`);
    if (!esn && half[`${own}-hi`] !== 0n) words.fail(`${own}-hi needs flag esn`);
    if (name.direction === 'out' && selectors.length > 0)
      words.fail('sel is for dir in: policies tell what goes out');
    if (name.direction === 'in' && Object.keys(limits).length > 0) words.fail('limit is for dir out');
    const after = (half[`${own}-hi`] << 32n) | half[own];
    return {
      ...name,
      reqid,
      suite,
      keys,
      esn,
      window,
      after,
      limits,
      label,
      selectors,
      ...(encapsulation && { encapsulation }),
    };
  } catch (error) {
    wipeStateKeys({ keys });
    throw error;
  }
}

const LIMITS = new Map([
  ['packet-soft', 'packetSoft'],
  ['packet-hard', 'packetHard'],
  ['byte-soft', 'byteSoft'],
  ['byte-hard', 'byteHard'],
]);

function readLimits(words: Words, limits: Record<string, bigint>): void {
  do {
    const word = words.next([...LIMITS.keys()].join(', '));
    const name = LIMITS.get(word);
    if (!name) words.fail(`${shown(word)} is no limit: ${[...LIMITS.keys()].join(', ')}`);
    words.once(word);
    limits[name] = words.number(words.next('a number'), 2n ** 64n - 1n);
    if (limits[name] === 0n) words.fail(`limit ${word} 0 would let nothing through`);
  } while (LIMITS.has(words.peek() ?? ''));
}

/** `aead NAME 0xKEY ICV-BITS`, or `auth-trunc NAME 0xKEY ICV-BITS enc NAME 0xKEY`. */
class Algorithm {
  readonly #words: Words;
  #aead?: { name: string; key: Uint8Array; bits: number };
  #auth?: { name: string; key: Uint8Array; bits: number };
  #enc?: { name: string; key: Uint8Array };

  constructor(words: Words) {
    this.#words = words;
  }

  read(word: 'aead' | 'auth-trunc' | 'enc'): void {
    const words = this.#words;
    const name = words.next('the name of an algorithm');
    const key = words.key(word);
    if (word === 'enc') {
      this.#enc = { name, key };
      return;
    }
    const bits = Number(words.number(words.next('bits of the ICV'), 512n));
    if (word === 'aead') this.#aead = { name, key, bits };
    else this.#auth = { name, key, bits };
  }

  finish(): { suite: Suite; keys: SaKeys } {
    try {
      return this.#finish();
    } catch (error) {
      for (const part of [this.#aead, this.#auth, this.#enc]) if (part) wipe(part.key);
      throw error;
    }
  }

  #finish(): { suite: Suite; keys: SaKeys } {
    const [words, aead, auth, enc] = [this.#words, this.#aead, this.#auth, this.#enc];
    if (aead && !auth && !enc) {
      const name = AEADS.find(one => one === aead.name);
      if (!name) return words.fail(`aead ${shown(aead.name)} is not known: ${AEADS.join(', ')}`);
      const suite = words.ranged(() => aeadSuite(name, aead.key.length, aead.bits));
      return { suite, keys: { cipher: aead.key } };
    }
    if (!aead && auth && enc) {
      const integrity = INTEGRITIES.find(one => one === auth.name);
      if (!integrity)
        return words.fail(`auth-trunc ${shown(auth.name)} is not known: ${INTEGRITIES.join(', ')}`);
      if (!CIPHERS.some(one => one === enc.name)) {
        return words.fail(`enc ${shown(enc.name)} is not known: ${CIPHERS.join(', ')}`);
      }
      const suite = words.ranged(() => cbcSuite(integrity, auth.key.length, enc.key.length));
      if (auth.bits !== 8 * suite.icvLength)
        words.fail(`${integrity} has an ICV of ${8 * suite.icvLength} bits here`);
      return { suite, keys: { cipher: enc.key, integrity: auth.key } };
    }
    return words.fail('a state has either aead, or auth-trunc and enc');
  }
}
