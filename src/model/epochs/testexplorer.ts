/** Goes through every state that a cluster can come to, and from every one of them to where it ends. */
import type { Advertisement } from './advertisement.ts';
import type { Sealing } from './machine.ts';
import { calmRound, type Node, type Rules, steps, unsettled, violation, type World } from './testcluster.ts';

export interface Exploration {
  readonly states: number;
  /** What is against the law, and how it came to it. */
  readonly wrong?: { readonly what: string; readonly events: readonly string[] };
}

/** No cluster takes longer than this to settle when nothing more happens to it. */
const MOST_ROUNDS = 60;

export class Explorer {
  readonly #rules: Rules;
  readonly #nodes = new Map<string, Node>();
  readonly #ids = new WeakMap<Node, number>();
  readonly #adverts = new Map<string, Advertisement>();
  readonly #settles = new Set<string>();

  constructor(rules: Rules) {
    this.#rules = rules;
  }

  /** Throws when there are more states than `most`. */
  explore(start: World, most: number): Exploration {
    const known = new Map<string, number>();
    const worlds: World[] = [];
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
      const what = this.#check(world, next => add(next.world, i, next.event, world));
      if (what !== undefined) return { states: worlds.length, wrong: { what, events: history(origins, i) } };
      if (worlds.length > most) throw new Error(`there are more than ${most} states`);
      (worlds as (World | undefined)[])[i] = undefined;
    }
    return { states: worlds.length };
  }

  /** Where the world comes to when nothing more happens to it. Throws when it comes to no good end. */
  settle(start: World): World {
    const passed: string[] = [];
    let world = this.#normal(start);
    for (let round = 0; round < MOST_ROUNDS; round++) {
      const key = this.#keyOf(world);
      if (this.#settles.has(key)) break;
      passed.push(key);
      const next = this.#normal(calmRound(world, this.#rules.timing), world);
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

  #check(world: World, next: (step: { event: string; world: World }) => void): string | undefined {
    const what = violation(world, this.#rules.timing);
    if (what !== undefined) return what;
    try {
      for (const step of steps(world, this.#rules)) next(step);
      this.settle(world);
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
    const own = [api[index], node.view[index], node.memory.written];
    const serials = [...new Set(own.flatMap(said => (said ? [said.serial] : [])))].sort((a, b) => a - b);
    const ranked = (said: Advertisement | undefined) =>
      said && this.#advert({ ...said, serial: serials.indexOf(said.serial) + 1 });
    api[index] = ranked(api[index]);
    const written = ranked(node.memory.written);
    const normal: Node = {
      ...node,
      able: [...node.able].sort(),
      view: node.view.map((said, i) =>
        i === index ? ranked(said) : said && this.#advert({ ...said, serial: 0 }),
      ),
      memory: { ...node.memory, ...(written ? { written } : {}) },
      opens: sorted(node.opens),
      seals: sorted(node.seals),
      probes: sorted(node.probes),
      underway: sorted(node.underway),
    };
    const key = `${index}${JSON.stringify(normal)}`;
    const known = this.#nodes.get(key);
    if (known) return known;
    this.#ids.set(normal, this.#nodes.size);
    this.#nodes.set(key, normal);
    return normal;
  }

  #advert(said: Advertisement): Advertisement {
    const key = JSON.stringify(said);
    const known = this.#adverts.get(key);
    if (known) return known;
    this.#adverts.set(key, said);
    return said;
  }

  #keyOf({ target, later, api, nodes, reboots, departures }: World): string {
    const said = api.map(each =>
      each ? `${each.incarnation}${each.serial}${each.opens}|${each.seals}|${each.refuses}` : '',
    );
    return `${target} ${later} ${reboots} ${departures} ${nodes.map(node => this.#ids.get(node))} ${said}`;
  }
}

function sorted<T extends Sealing>(ways: readonly T[]): T[] {
  const key = ({ peer, incarnation, epoch }: T) => `${peer} ${incarnation} ${epoch}`;
  return ways.toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
}

function history(origins: readonly { parent: number; event: string }[], last: number): string[] {
  const events: string[] = [];
  for (let at = last; at > 0; at = origins[at]!.parent) events.unshift(origins[at]!.event);
  return events;
}
