/**
 * A small cluster as a value, and all that can happen to it next: the machine of each node, the API, the data planes, and
 * packets on their way. Made to be explored: each step is one event, and equal states have equal keys.
 *
 * What it grants the adversary: any node may see the target and the others' writings as late as it likes, do any one step
 * of its decision and crash after it, have its writing refused because its view is old, be rebooted, and leave; probes may
 * be heard late or never. What it grants the cluster: views follow the order of the API's writings, a starting agent
 * lists afresh, a packet is on its way for less than `drain`.
 */
import type { Advertisement } from './advertisement.ts';
import { type Epoch, protocolOf } from './epoch.ts';
import {
  type Decision,
  decide,
  type Memory,
  NO_MEMORY,
  type Opening,
  type Sealing,
  type Timing,
} from './machine.ts';

export interface World {
  readonly target: Epoch;
  /** What the target will be later. */
  readonly later: readonly Epoch[];
  readonly api: readonly (Advertisement | undefined)[];
  readonly nodes: readonly Node[];
  readonly reboots: number;
  readonly departures: number;
}

export interface Node {
  readonly runs: number;
  readonly state: 'up' | 'left';
  readonly target: Epoch;
  readonly able: readonly Epoch[];
  readonly view: readonly (Advertisement | undefined)[];
  readonly memory: Memory;
  readonly clear: boolean;
  readonly opens: readonly Opening[];
  readonly seals: readonly Path[];
  readonly probes: readonly Sealing[];
  /** Traffic that was sealed before the last change and is still on its way. */
  readonly underway: readonly (Sealing & { readonly ticks: number })[];
}

/** `proven`: it replaced another epoch, or the peer has been heard under it. */
type Path = Sealing & { readonly proven: boolean };

export interface Rules {
  readonly timing: Timing;
  /** One event is a step of a decision, in any order, or in the order in which they are listed; or it is all of them. */
  readonly grain: 'any step' | 'next step' | 'decision';
  readonly crashes: boolean;
}

export interface Step {
  readonly event: string;
  readonly world: World;
}

/** A tick of the clock is so long. */
export const TICK = 1000;
/** Ticks for which a packet can be on its way; `Timing.drain` has to be as long. */
export const UNDERWAY_TICKS = 2;
const NOW = 1_000_000;
const LONG_AGO = NOW - 100 * TICK;

export const nameOf = (index: number) => 'abcdefgh'[index]!;
export const runOf = (index: number, node: Node) => `${nameOf(index)}${node.runs}`;

/** A node that has not started yet. */
export function freshNode(target: Epoch, size: number): Node {
  return {
    runs: 0,
    state: 'up',
    target,
    able: [target],
    view: new Array(size).fill(undefined),
    memory: NO_MEMORY,
    clear: false,
    opens: [],
    seals: [],
    probes: [],
    underway: [],
  };
}

/** A cluster in which nobody has started. */
export function freshWorld(size: number, target: Epoch, later: readonly Epoch[] = []): World {
  return {
    target,
    later,
    api: new Array(size).fill(undefined),
    nodes: Array.from({ length: size }, () => freshNode(target, size)),
    reboots: 0,
    departures: 0,
  };
}

export function decisionOf(world: World, index: number, timing: Timing): Decision {
  const node = world.nodes[index]!;
  const known = decisions.get(node);
  if (known?.timing === timing && known.index === index) return known.decision;
  const peers = node.view.flatMap((advertised, i) =>
    i === index || !advertised ? [] : [{ name: nameOf(i), advertised }],
  );
  const decision = decide(
    {
      incarnation: runOf(index, node),
      target: node.target,
      able: node.able,
      advertised: node.view[index],
      peers,
      plane: { clear: node.clear, opens: node.opens, seals: node.seals, probes: node.probes },
    },
    node.memory,
    NOW,
    timing,
  );
  const remembering = { ...decision, memory: forget(decision.memory, timing) };
  decisions.set(node, { index, timing, decision: remembering });
  return remembering;
}

/** Nodes are values, and the same ones come again and again. */
const decisions = new WeakMap<Node, { index: number; timing: Timing; decision: Decision }>();

/** All that can happen next. */
export function steps(world: World, rules: Rules): Step[] {
  const found: Step[] = [];
  const [next, ...later] = world.later;
  if (next !== undefined) found.push({ event: `target ${next}`, world: { ...world, target: next, later } });
  found.push({ event: 'tick', world: tick(world, rules.timing) });
  for (const [index, node] of world.nodes.entries()) {
    if (node.state === 'left') continue;
    found.push(...actions(world, index, rules));
    found.push(...hearings(world, index));
    found.push({ event: `${nameOf(index)} sees the nodes`, world: look(world, index) });
    if (node.target !== world.target) {
      found.push({ event: `${nameOf(index)} sees the target`, world: seeTarget(world, index) });
    }
    if (rules.crashes) found.push({ event: `${nameOf(index)} crashes`, world: restart(world, index, node) });
    if (world.reboots > 0) {
      found.push({ event: `${nameOf(index)} reboots`, world: reboot(world, index, node) });
    }
    if (world.departures > 0)
      found.push({ event: `${nameOf(index)} leaves`, world: leave(world, index, node) });
  }
  return found;
}

/** What is against the law in this state, or undefined. */
export function violation(world: World, timing: Timing): string | undefined {
  for (const [index, node] of world.nodes.entries()) {
    if (node.state === 'left') continue;
    const said = world.api[index];
    const isMine = said?.incarnation === runOf(index, node);
    for (const path of [...node.seals, ...node.probes]) {
      if (!isMine || !said.seals.includes(path.epoch)) {
        return `${nameOf(index)} seals with ${path.epoch} and has not said so`;
      }
    }
    const traffic = [...node.seals.filter(({ proven }) => proven), ...node.underway];
    for (const { peer, incarnation, epoch } of traffic) {
      const other = world.nodes.findIndex((_, i) => nameOf(i) === peer);
      const receiver = world.nodes[other]!;
      if (receiver.state === 'left' || runOf(other, receiver) !== incarnation) continue;
      const isOpen =
        epoch === 'none'
          ? receiver.clear
          : receiver.opens.some(
              opening =>
                opening.peer === nameOf(index) &&
                opening.incarnation === runOf(index, node) &&
                opening.epoch === epoch,
            );
      if (!isOpen && timing.bound === undefined) return `${peer} is deaf to ${nameOf(index)}'s ${epoch}`;
    }
  }
  return undefined;
}

/** What is not as it should be once all is over, or undefined: one epoch everywhere, every pair of nodes joined by it. */
export function unsettled(world: World): string | undefined {
  for (const [index, node] of world.nodes.entries()) {
    if (node.state === 'left') continue;
    const name = nameOf(index);
    const others = world.nodes.flatMap((other, i) =>
      i === index || other.state === 'left' ? [] : [{ peer: nameOf(i), incarnation: runOf(i, other) }],
    );
    const said = world.api[index];
    const expected = JSON.stringify([runOf(index, node), [world.target], [world.target], []]);
    const saying = JSON.stringify([said?.incarnation, said?.opens, said?.seals, said?.refuses]);
    if (saying !== expected) return `${name} says ${saying}`;
    const isClear = world.target === 'none';
    if (node.clear !== isClear) return `${name} lets in what is in the clear`;
    if (node.opens.length !== (isClear ? 0 : others.length))
      return `${name} opens ${JSON.stringify(node.opens)}`;
    for (const { peer, incarnation } of others) {
      const fits = (way: Sealing) =>
        way.peer === peer && way.incarnation === incarnation && way.epoch === world.target;
      if (!isClear && !node.opens.some(fits)) return `${name} does not open ${world.target} of ${peer}`;
      if (!node.seals.some(fits)) return `${name} does not seal with ${world.target} for ${peer}`;
    }
    if (node.seals.length !== others.length) return `${name} seals ${JSON.stringify(node.seals)}`;
  }
  return undefined;
}

/** One round in which everybody sees, hears and does all there is, and the clock goes on. */
export function calmRound(world: World, timing: Timing): World {
  let now = world;
  for (const [index, { state }] of world.nodes.entries()) {
    if (state === 'left') continue;
    now = seeTarget(look(now, index), index);
    for (let more = true; more; ) {
      const [first] = [
        ...hearings(now, index),
        ...actions(now, index, { timing, grain: 'decision', crashes: false }),
      ];
      more = first !== undefined;
      if (first) now = first.world;
    }
  }
  return tick(now, timing);
}

// What nodes do.

function actions(world: World, index: number, rules: Rules): Step[] {
  const node = world.nodes[index]!;
  const decision = decisionOf(world, index, rules.timing);
  const name = nameOf(index);
  const done: { event: string; apply: (world: World) => World }[] = [
    ...(decision.clear === node.clear
      ? []
      : [
          {
            event: `lets ${decision.clear ? 'in' : 'out'} the clear`,
            apply: (on: World) => letIn(on, index, decision.clear),
          },
        ]),
    ...decision.open.map(way => ({ event: `opens ${say(way)}`, apply: (on: World) => open(on, index, way) })),
    ...decision.close.map(way => ({
      event: `closes ${say(way)}`,
      apply: (on: World) => close(on, index, way),
    })),
    ...decision.seal.map(way => ({ event: `seals ${say(way)}`, apply: (on: World) => seal(on, index, way) })),
    ...decision.probe.map(way => ({
      event: `probes ${say(way)}`,
      apply: (on: World) => probe(on, index, way),
    })),
  ];
  const { advertise } = decision;
  if (advertise && sameWriting(node.view[index], world.api[index])) {
    const { opens, seals, refuses } = advertise;
    const event = `writes opens ${opens}, seals ${seals}${refuses.length > 0 ? `, refuses ${refuses}` : ''}`;
    done.push({ event, apply: on => write(on, index, advertise) });
  }
  const decided = change(world, index, { memory: decision.memory });
  const isNew = JSON.stringify(decision.memory) !== JSON.stringify(node.memory);
  if (done.length === 0) return isNew ? [{ event: `${name} thinks`, world: decided }] : [];
  if (rules.grain === 'decision') {
    const event = `${name} ${done.map(({ event }) => event).join(' and ')}`;
    return [{ event, world: done.reduce((on, { apply }) => apply(on), decided) }];
  }
  const possible = rules.grain === 'any step' ? done : done.slice(0, 1);
  return possible.map(({ event, apply }) => ({ event: `${name} ${event}`, world: apply(decided) }));
}

function letIn(world: World, index: number, clear: boolean): World {
  if (clear && world.nodes[index]!.target !== 'none')
    throw new Error(`${nameOf(index)} lets in what is in the clear`);
  return change(world, index, { clear });
}

function open(world: World, index: number, way: Sealing): World {
  return change(world, index, { opens: [...world.nodes[index]!.opens, way] });
}

function close(world: World, index: number, way: Sealing): World {
  const node = world.nodes[index]!;
  return change(world, index, { opens: node.opens.filter(opening => !sameWay(opening, way)) });
}

function seal(
  world: World,
  index: number,
  way: Sealing | (Omit<Sealing, 'epoch'> & { epoch: undefined }),
): World {
  const node = world.nodes[index]!;
  const before = node.seals.find(({ peer }) => peer === way.peer);
  const others = node.seals.filter(path => path !== before);
  if (way.epoch === 'none' && node.target !== 'none')
    throw new Error(`${nameOf(index)} begins to send in the clear`);
  const other = world.nodes.findIndex((_, i) => nameOf(i) === way.peer);
  const isSameRun =
    before !== undefined &&
    world.nodes[other]!.state === 'up' &&
    runOf(other, world.nodes[other]!) === before.incarnation;
  if (way.epoch === undefined) {
    if (
      isSameRun &&
      before.proven &&
      world.api[other]!.refuses.length === 0 &&
      world.api[index]!.refuses.length === 0
    ) {
      throw new Error(`${nameOf(index)} loses its way to ${way.peer}`);
    }
    return change(world, index, { seals: others, underway: left(node, before) });
  }
  const hasOther = before?.incarnation === way.incarnation;
  const proven = protocolOf(way.epoch) !== 'wireguard' || hasOther;
  return change(world, index, { seals: [...others, { ...way, proven }], underway: left(node, before) });
}

function left(node: Node, before: Path | undefined): Node['underway'] {
  if (!before?.proven) return node.underway;
  const { peer, incarnation, epoch } = before;
  return [...node.underway.filter(way => !sameWay(way, before)), { peer, incarnation, epoch, ticks: 0 }];
}

function probe(
  world: World,
  index: number,
  way: Sealing | (Omit<Sealing, 'epoch'> & { epoch: undefined }),
): World {
  const others = world.nodes[index]!.probes.filter(({ peer }) => peer !== way.peer);
  return change(world, index, { probes: way.epoch === undefined ? others : [...others, way] });
}

function write(world: World, index: number, advertisement: Advertisement): World {
  return { ...world, api: world.api.map((said, i) => (i === index ? advertisement : said)) };
}

/** What `index` can hear for the first time. */
function hearings(world: World, index: number): Step[] {
  const node = world.nodes[index]!;
  return node.opens.flatMap(opening => {
    if (opening.heardAt !== undefined) return [];
    const from = world.nodes.findIndex((_, i) => nameOf(i) === opening.peer);
    const sender = world.nodes[from]!;
    const isSent = [...sender.probes, ...sender.seals].some(
      way =>
        way.peer === nameOf(index) && way.incarnation === runOf(index, node) && way.epoch === opening.epoch,
    );
    if (!isSent || sender.state === 'left' || runOf(from, sender) !== opening.incarnation) return [];
    const opens = node.opens.map(each => (each === opening ? { ...each, heardAt: LONG_AGO } : each));
    const seals = node.seals.map(path => (sameWay(path, opening) ? { ...path, proven: true } : path));
    return [
      { event: `${nameOf(index)} hears ${say(opening)}`, world: change(world, index, { opens, seals }) },
    ];
  });
}

// What happens to them.

function look(world: World, index: number): World {
  return change(world, index, { view: world.api });
}

function seeTarget(world: World, index: number): World {
  const node = world.nodes[index]!;
  const able = node.able.includes(world.target) ? node.able : [...node.able, world.target];
  return change(world, index, { target: world.target, able });
}

function restart(world: World, index: number, node: Node): World {
  const nodes = world.nodes.map((each, i) =>
    i === index
      ? { ...node, memory: NO_MEMORY, view: world.api, target: world.target, able: [world.target] }
      : each,
  );
  return { ...world, nodes };
}

function reboot(world: World, index: number, node: Node): World {
  const empty = { ...freshNode(world.target, world.nodes.length), runs: node.runs + 1 };
  return restart({ ...world, reboots: world.reboots - 1 }, index, empty);
}

function leave(world: World, index: number, node: Node): World {
  const api = world.api.map((said, i) => (i === index ? undefined : said));
  const gone: Node = { ...freshNode(world.target, world.nodes.length), runs: node.runs, state: 'left' };
  return change({ ...world, api, departures: world.departures - 1 }, index, gone);
}

function tick(world: World, timing: Timing): World {
  const oldest = NOW - Math.max(timing.drain, timing.patience ?? 0, timing.bound ?? 0);
  const earlier = (time: number) => Math.max(time - TICK, oldest);
  const older = (times: Readonly<Record<string, number>>) =>
    Object.fromEntries(Object.entries(times).map(([epoch, time]) => [epoch, earlier(time)]));
  const nodes = world.nodes.map(node => {
    const { memory, underway } = node;
    const { moving, left, quiet } = memory;
    if (!moving && underway.length === 0 && isEmpty(left) && isEmpty(quiet)) return node;
    return {
      ...node,
      memory: {
        ...memory,
        ...(moving ? { moving: { ...moving, since: earlier(moving.since) } } : {}),
        left: older(left),
        quiet: older(quiet),
      },
      underway: underway
        .map(way => ({ ...way, ticks: way.ticks + 1 }))
        .filter(({ ticks }) => ticks < UNDERWAY_TICKS),
    };
  });
  return { ...world, nodes };
}

function isEmpty(times: Readonly<Record<string, number>>): boolean {
  return Object.keys(times).length === 0;
}

/** Clocks that nothing depends on would only multiply the states. */
function forget(memory: Memory, timing: Timing): Memory {
  const { moving, ...rest } = memory;
  return {
    ...rest,
    ...(moving && timing.patience !== undefined ? { moving } : {}),
    left: timing.bound === undefined ? {} : memory.left,
  };
}

function change(world: World, index: number, part: Partial<Node>): World {
  return { ...world, nodes: world.nodes.map((node, i) => (i === index ? { ...node, ...part } : node)) };
}

function sameWay(a: Sealing, b: Sealing): boolean {
  return a.peer === b.peer && a.incarnation === b.incarnation && a.epoch === b.epoch;
}

function sameWriting(a: Advertisement | undefined, b: Advertisement | undefined): boolean {
  return a?.incarnation === b?.incarnation && a?.serial === b?.serial;
}

function say(way: { incarnation: string; epoch: Epoch | undefined }): string {
  return `${way.epoch ?? 'nothing'} for ${way.incarnation}`;
}
