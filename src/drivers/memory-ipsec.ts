/** The memory twin of an ESP engine: its control socket's words on plain data, for tests and dry runs. */
import { randomUUID } from 'node:crypto';
import { DriverUnavailable } from './driver.ts';
import { sessionOver } from './ipsec-control.ts';
import { ControlledIpsec } from './ipsec-engine.ts';

export class MemoryIpsec extends ControlledIpsec {
  readonly engine: MemoryEngine;

  constructor(engine = new MemoryEngine()) {
    super('memory', async () => {
      if (!engine.running) throw new DriverUnavailable('the memory engine is switched off');
      return sessionOver(async request => engine.answer(request));
    });
    this.engine = engine;
  }
}

interface MemoryState {
  words: Map<string, string>;
  selectors: string[];
  key: string;
  lastUsed: number;
  sequence: number;
}

/** Answers requests as the engine does; seals nothing. */
export class MemoryEngine {
  /** False: as if no engine ran. */
  running = true;
  /** Lines that took effect, the latest last; those that only ask are left out. */
  readonly log: string[] = [];
  run = randomUUID() as string;
  #states = new Map<string, MemoryState>();
  #policies = new Map<string, Map<string, string>>();
  #local: string[] = [];

  /** Ends and starts again: another run, and nothing of what was there. */
  restart(): void {
    this.run = randomUUID();
    this.#states.clear();
    this.#policies.clear();
    this.#local = [];
  }

  /** As if something of that peer had been opened. */
  hear(label: string, at: number): void {
    for (const state of this.#states.values()) {
      if (state.words.get('label') === label && state.words.get('dir') === 'in') state.lastUsed = at;
    }
  }

  /** The key of a state, as it was given. */
  keyOf(label: string, direction: 'in' | 'out'): string | undefined {
    const states = [...this.#states.values()];
    return states.find(({ words }) => words.get('label') === label && words.get('dir') === direction)?.key;
  }

  answer(request: string): string {
    const [states, policies, local] = [structuredClone(this.#states), new Map(this.#policies), this.#local];
    const lines = request.split('\n').filter(line => line !== '');
    for (const [index, line] of lines.entries()) {
      const message = this.#take(split(line));
      if (message === undefined) continue;
      [this.#states, this.#policies, this.#local] = [states, policies, local];
      return JSON.stringify({ error: { line: index + 1, message } });
    }
    this.log.push(...lines.filter(line => line !== 'list'));
    return JSON.stringify(lines.includes('list') ? this.#list() : { ok: true });
  }

  /** What is wrong with the line, or undefined. */
  #take(words: string[]): string | undefined {
    const [noun, verb] = words;
    if (noun === 'list') return undefined;
    if (noun === 'local') this.#local = words.slice(1);
    else if (noun === 'probe') return this.#probe(pairs(words.slice(1)).words);
    else if (noun === 'state' && verb === 'add') return this.#add(words.slice(2));
    else if (noun === 'state' && verb === 'delete') {
      return this.#states.delete(place(pairs(words.slice(2)).words)) ? undefined : 'there is no such state';
    } else if (noun === 'state' && verb === 'flush') this.#states.clear();
    else if (noun === 'policy' && verb === 'set') {
      const policy = pairs(words.slice(2)).words;
      const named = new Map([...policy, ['dst', policy.get('to')!], ['dir', 'out']]);
      if (!this.#states.has(place(named))) return 'there is no such state';
      this.#policies.set(policy.get('dst')!, policy);
    } else if (noun === 'policy' && verb === 'delete') {
      return this.#policies.delete(words[3]!) ? undefined : 'there is no such policy';
    } else if (noun === 'policy' && verb === 'flush') this.#policies.clear();
    else return `${noun} is no command`;
    return undefined;
  }

  #add(words: string[]): string | undefined {
    const { words: named, selectors } = pairs(words);
    const key = words.filter(word => /^0x[0-9a-f]{16,}$/.test(word)).join(' ');
    const before = this.#states.get(place(named));
    if (before && before.key !== key) return 'it is there with another key: delete it first';
    const twin = [...this.#states.values()].find(state => state.key === key && state !== before);
    if (twin) return 'another state has the same key: give each its own';
    const counters = { lastUsed: before?.lastUsed ?? 0, sequence: before?.sequence ?? 0 };
    this.#states.set(place(named), { words: named, selectors, key, ...counters });
    return undefined;
  }

  #probe(words: Map<string, string>): string | undefined {
    const state = this.#states.get(place(new Map([...words, ['dir', 'out']])));
    if (!state) return 'there is no such state';
    state.sequence++;
    return undefined;
  }

  #list() {
    return {
      run: this.run,
      states: [...this.#states.values()].map(({ words, selectors, lastUsed, sequence }) => ({
        ...{ dir: words.get('dir'), src: words.get('src'), dst: words.get('dst') },
        ...{ spi: Number(words.get('spi')), label: words.get('label') ?? '', sel: selectors },
        ...{ algorithm: words.get('aead') ?? words.get('enc') ?? '' },
        ...{ sequence, packets: sequence, bytes: 0, lastUsed, due: false, expired: false },
        limits: Object.fromEntries(
          LIMITS.flatMap(([word, name]) => (words.has(word) ? [[name, words.get(word)]] : [])),
        ),
      })),
      policies: [...this.#policies].map(([dst, words]) => ({
        ...{ dst, src: words.get('src'), to: words.get('to'), spi: Number(words.get('spi')) },
      })),
      local: this.#local,
      drops: { no_state: 0 },
    };
  }
}

const LIMITS = [
  ['packet-soft', 'packetSoft'],
  ['packet-hard', 'packetHard'],
  ['byte-soft', 'byteSoft'],
  ['byte-hard', 'byteHard'],
] as const;

/** Words that others follow. */
const NAMING = new Set([
  ...['src', 'dst', 'to', 'spi', 'dir', 'label', 'aead', 'enc', 'auth-trunc'],
  ...LIMITS.map(([word]) => word),
]);

function split(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!);
}

function pairs(all: string[]): { words: Map<string, string>; selectors: string[] } {
  const words = new Map<string, string>();
  const selectors: string[] = [];
  for (const [i, word] of all.entries()) {
    const value = all[i + 1];
    if (value === undefined || NAMING.has(all[i - 1] ?? '')) continue;
    if (NAMING.has(word)) words.set(word, value);
    else if (word === 'sel') selectors.push(value);
  }
  return { words, selectors };
}

function place(words: Map<string, string>): string {
  return ['dir', 'spi', 'src', 'dst'].map(word => words.get(word)).join(' ');
}
