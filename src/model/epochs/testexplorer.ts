/** Goes through every state that a cluster can come to, or through some at random, and from each to where it ends. */
import type { Advertisement } from './advertisement.ts';
import { isKeyedByRun } from './epoch.ts';
import type { Sealing } from './plane.ts';
import { calmRound, type Rules, type Step, steps } from './testcluster.ts';
import { unsettled, violation } from './testlaw.ts';
import type { Node, World } from './testworld.ts';

export interface Exploration {
  readonly states: number;
  /** What is against the law, and how it came to it. */
  readonly wrong?: { readonly what: string; readonly events: readonly string[] };
}

/** No cluster takes longer than this to settle when nothing more happens to it. */
const MOST_ROUNDS = 60;
const PAUSE = 6;

export class Explorer {
  readonly #rules: Rules;
  readonly #nodes = new Map<string, Node>();
  readonly #nodeIds = new WeakMap<Node, number>();
  readonly #adverts = new Map<string, Advertisement>();
  readonly #advertIds = new WeakMap<Advertisement, number>();
  readonly #settles = new Set<string>();

  constructor(rules: Rules) {
    this.#rules = rules;
  }

  /** All that can come of it. Throws when there are more states than `most`. */
  explore(start: World, most: number): Exploration {
    const known = new Map<string, number>();
    const worlds: (World | undefined)[] = [];
    const origins: { parent: number; event: string }[] = [];
    const add = (world: World, parent: number, event: string, before?: World) => {
      const normal = this.#normal(world, before);
      const key = this.#keyOf(normal);
      if (known.has(key)) return;
      known.set(key, worlds.length);
      worlds.push(normal);
      origins.push({ parent, event });
    };
    add(start, -1, '');
    for (let i = 0; i < worlds.length; i++) {
      const world = worlds[i]!;
      worlds[i] = undefined;
      const what = this.#check(world, next => add(next.world, i, next.event, world));
      if (what !== undefined) return { states: worlds.length, wrong: { what, events: history(origins, i) } };
      if (worlds.length > most) throw new Error(`there are more than ${most} states`);
    }
    return { states: worlds.length };
  }

  /** One run: each number chooses what happens next. Now and then it is seen whether the run can come to its end. */
  follow(start: World, choices: readonly number[]): Exploration {
    let world = this.#normal(start);
    const events: string[] = [];
    for (const [i, choice] of choices.entries()) {
      const found: Step[] = [];
      const isPause = i % PAUSE === 0 || i === choices.length - 1;
      const what = this.#check(world, next => found.push(next), isPause);
      if (what !== undefined) return { states: events.length + 1, wrong: { what, events } };
      const { event, world: next } = found[choice % found.length]!;
      events.push(event);
      world = this.#normal(next, world);
    }
    return { states: events.length + 1 };
  }

  /** Where the world comes to when nothing more happens to it. Throws when it comes to no good end. */
  settle(start: World): World {
    const passed: string[] = [];
    let world = this.#normal(start);
    for (let round = 0; round < MOST_ROUNDS; round++) {
      const key = this.#keyOf(world);
      if (this.#settles.has(key)) break;
      passed.push(key);
      const next = this.#normal(calmRound(world, this.#rules), world);
      if (this.#keyOf(next) === key) {
        const what = unsettled(world);
        if (what !== undefined) throw new Error(`it ends, and ${what}`);
        break;
      }
      world = next;
      if (round === MOST_ROUNDS - 1) throw new Error('it does not come to an end');
    }
    for (const key of passed) this.#settles.add(key);
    return world;
  }

  #check(world: World, next: (step: Step) => void, settles = true): string | undefined {
    const what = violation(world, this.#rules.timing);
    if (what !== undefined) return what;
    try {
      for (const step of steps(world, this.#rules)) next(step);
      if (settles) this.settle(world);
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  /** The same for worlds between which nothing can tell: serials count by their order, lists are sorted. */
  #normal(world: World, before?: World): World {
    const api = [...world.api];
    const nodes = world.nodes.map((node, index) => {
      if (before && node === before.nodes[index] && api[index] === before.api[index]) return node;
      return this.#normalNode(node, index, api);
    });
    return { ...world, api, nodes };
  }

  #normalNode(node: Node, index: number, api: (Advertisement | undefined)[]): Node {
    const sent = node.sent.flatMap(({ over, said }) => [over, said]);
    const own = [api[index], node.view[index], node.memory.written, ...sent];
    const serials = [...new Set(own.flatMap(said => (said ? [said.serial] : [])))].sort((a, b) => a - b);
    const ranked = <T extends Advertisement | undefined>(said: T) =>
      (said && this.#advert(said, serials.indexOf(said.serial) + 1)) as T;
    api[index] = ranked(api[index]);
    const { written } = node.memory;
    const normal: Node = {
      ...node,
      able: [...node.able].sort(),
      view: node.view.map((said, i) => (i === index ? ranked(said) : said && this.#advert(said, 0))),
      memory: { ...node.memory, ...(written ? { written: ranked(written) } : {}) },
      sent: node.sent.map(({ over, said }) => ({ over: ranked(over), said: ranked(said) })),
      opens: sorted(node.opens.map(withoutRun)),
      seals: sorted(node.seals),
      probes: sorted(node.probes.map(withoutRun)),
      underway: sorted(node.underway),
    };
    const key = this.#nodeKey(index, normal);
    const known = this.#nodes.get(key);
    if (known) return known;
    this.#nodeIds.set(normal, this.#nodes.size);
    this.#nodes.set(key, normal);
    return normal;
  }

  #nodeKey(index: number, { view, sent, memory, ...rest }: Node): string {
    const { written, ...clocks } = memory;
    const said = [...view, written, ...sent.flatMap(({ over, said }) => [over, said])];
    return `${index} ${said.map(each => each && this.#advertIds.get(each))} ${JSON.stringify([rest, clocks])}`;
  }

  #advert(said: Advertisement, serial: number): Advertisement {
    if (said.serial === serial && this.#advertIds.has(said)) return said;
    const { incarnation, opens, seals, refuses } = said;
    const key = `${incarnation} ${serial} ${opens} ${seals} ${refuses}`;
    const known = this.#adverts.get(key);
    if (known) return known;
    const normal = { ...said, serial };
    this.#advertIds.set(normal, this.#adverts.size);
    this.#adverts.set(key, normal);
    return normal;
  }

  #keyOf({ target, later, api, nodes, fate }: World): string {
    const ids = nodes.map(node => this.#nodeIds.get(node));
    const said = api.map(each => each && this.#advertIds.get(each));
    return `${target} ${later} ${Object.values(fate)} ${ids} ${said}`;
  }
}

/** The run does not count where it is no part of the key. */
function withoutRun<T extends Sealing>(way: T): T {
  return isKeyedByRun(way.epoch) || way.incarnation === '' ? way : { ...way, incarnation: '' };
}

function sorted<T extends Sealing>(ways: readonly T[]): T[] {
  if (ways.length < 2) return [...ways];
  const key = ({ peer, incarnation, epoch }: T) => `${peer} ${incarnation} ${epoch}`;
  return ways.toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
}

function history(origins: readonly { parent: number; event: string }[], last: number): string[] {
  const events: string[] = [];
  for (let at = last; at > 0; at = origins[at]!.parent) events.unshift(origins[at]!.event);
  return events;
}
