/**
 * All that can happen next in a small cluster: to the machine of each node, to the API, to the data planes, and to packets
 * on their way. Made to be explored: each step is one event.
 *
 * What it grants the adversary: any node may see the target and the others' writings as late as it likes, do any one step
 * of its decision and crash after it, have its writing refused because its view is old or arrive long after it was sent,
 * be rebooted, get a new run of its data plane, start while there is no Secret, leave, and die; probes may be heard late
 * or never. What it grants the cluster: views follow the order of the API's writings, a starting agent lists afresh, a
 * packet is on its way for less than `drain`.
 */
import { sayTheSame } from './advertisement.ts';
import { type Epoch, isKeyedByRun } from './epoch.ts';
import { decide } from './machine.ts';
import { isForRun, type Sealing } from './plane.ts';
import { type Decision, type Memory, NO_MEMORY, type Timing, targetWithoutKey } from './sight.ts';
import { type Deed, deeds } from './testdeeds.ts';
import {
  BEFORE_THAT,
  change,
  type Fate,
  freshNode,
  indexOf,
  LONG_AGO,
  mapPaths,
  NOW,
  type Node,
  nameOf,
  type Path,
  runOf,
  TICK,
  UNDERWAY_TICKS,
  type World,
} from './testworld.ts';

export interface Rules {
  readonly timing: Timing;
  /** One event is a step of a decision, in any order, or in the order in which they are listed; or it is all of them. */
  readonly grain: 'any step' | 'next step' | 'decision';
  readonly crashes: boolean;
  /** Probes are heard at once, not at any time or never. */
  readonly hearsAtOnce?: boolean;
  /** Writings are on their way for any time. */
  readonly slowWrites?: boolean;
  /** Another machine than ours. */
  readonly decide?: typeof decide;
  /** What somebody will have to give the cluster for a target before it can settle. */
  readonly remedy?: Epoch;
}

export interface Step {
  readonly event: string;
  readonly world: World;
}

export function decisionOf(world: World, index: number, rules: Rules): Decision {
  const node = world.nodes[index]!;
  const known = decisions.get(node);
  const isKnown = known?.index === index && known.timing === rules.timing && known.decidedBy === rules.decide;
  if (isKnown) return known.decision;
  const peers = node.view.flatMap((advertised, i) =>
    i === index || !advertised ? [] : [{ name: nameOf(i), advertised }],
  );
  const { target, able, clear, opens, seals, probes } = node;
  const plane = { clear, opens, seals, probes };
  const incarnation = runOf(index, node);
  const sight = { incarnation, target, able, advertised: node.view[index], peers, plane };
  const decision = (rules.decide ?? decide)(sight, node.memory, NOW, rules.timing);
  const remembering = { ...decision, memory: forget(decision.memory, rules.timing, able) };
  const { timing, decide: decidedBy } = rules;
  decisions.set(node, { index, timing, decidedBy, decision: remembering });
  return remembering;
}

/** Nodes are values, and the same ones come again and again. */
const decisions = new WeakMap<
  Node,
  { index: number; timing: Timing; decidedBy: Rules['decide'] | undefined; decision: Decision }
>();

/** All that can happen next. */
export function steps(world: World, rules: Rules): Step[] {
  const found: Step[] = [];
  const { later, fate } = world;
  if (later[0] !== undefined)
    found.push({ event: `target ${later[0]}`, world: { ...world, target: later[0], later: later.slice(1) } });
  found.push({ event: 'tick', world: tick(world, rules.timing) });
  for (const [index, node] of world.nodes.entries()) {
    if (node.state !== 'up') continue;
    const add = (event: string, next: World) =>
      found.push({ event: `${nameOf(index)} ${event}`, world: next });
    for (const step of actions(world, index, rules)) add(step.event, step.world);
    for (const step of arrivals(world, index)) add(step.event, step.world);
    if (!rules.hearsAtOnce) for (const step of hearings(world, index)) add(step.event, step.world);
    if (isBehind(world, index)) add('sees the nodes', look(world, index));
    if (node.target !== world.target || !node.able.includes(world.target))
      add('sees the target', seeTarget(world, index));
    if (rules.crashes) add('crashes', restart(world, index, node));
    const spend = (what: keyof Fate) => ({ ...world, fate: { ...fate, [what]: fate[what]! - 1 } });
    if (fate.reboots) add('reboots', reboot(spend('reboots'), index, node));
    if (fate.renewals) add('gets a new run', renew(spend('renewals'), index, node));
    if (fate.losses) add('starts without Secret', restartWithoutKey(spend('losses'), index, node));
    if (fate.departures) add('leaves', leave(spend('departures'), index, node));
    if (fate.deaths) add('dies', change(spend('deaths'), index, { state: 'dead', underway: [] }));
  }
  return rules.hearsAtOnce ? found.map(step => ({ ...step, world: hearAll(step.world) })) : found;
}

/** One round in which everybody sees, hears and does all there is, and the clock goes on. */
export function calmRound(world: World, rules: Rules): World {
  const calm: Rules = { ...rules, grain: 'decision', crashes: false };
  let now = rules.remedy === undefined ? world : { ...world, target: rules.remedy };
  for (const [index, { state }] of world.nodes.entries()) {
    if (state !== 'up') continue;
    now = seeTarget(now, index);
    for (let more = true; more; ) {
      now = look(now, index);
      const [first] = [...arrivals(now, index), ...hearings(now, index), ...actions(now, index, calm)];
      more = first !== undefined;
      if (first) now = first.world;
    }
  }
  return tick(now, rules.timing);
}

// What nodes do.

function actions(world: World, index: number, rules: Rules): Step[] {
  const node = world.nodes[index]!;
  const decision = decisionOf(world, index, rules);
  const done: Deed[] = deeds(node, index, decision);
  const { advertise } = decision;
  if (advertise && (rules.slowWrites || world.api[index] === node.view[index])) {
    const { opens, seals, refuses } = advertise;
    const said = `writes opens ${opens}, seals ${seals}${refuses.length > 0 ? `, refuses ${refuses}` : ''}`;
    const writing = { over: node.view[index], said: advertise };
    if (!rules.slowWrites) done.push({ event: said, apply: on => arrive(on, index, writing) });
    else if (
      node.sent.length < MOST_SENT &&
      !node.sent.some(each => each.over === writing.over && sayTheSame(each.said, advertise))
    )
      done.push({ event: said, apply: on => change(on, index, { sent: [...node.sent, writing] }) });
  }
  const decided = change(world, index, { memory: decision.memory });
  if (done.length === 0)
    return JSON.stringify(decision.memory) !== JSON.stringify(node.memory)
      ? [{ event: 'thinks', world: decided }]
      : [];
  if (rules.grain === 'decision') {
    const event = done.map(({ event }) => event).join(' and ');
    return [{ event, world: done.reduce((on, { apply }) => apply(on), decided) }];
  }
  const possible = rules.grain === 'any step' ? done : done.slice(0, 1);
  return possible.map(({ event, apply }) => ({ event, world: apply(decided) }));
}

/** Writings that come to the API now, or are refused because they would replace another than they were meant to. */
function arrivals(world: World, index: number): Step[] {
  return world.nodes[index]!.sent.map(writing => {
    const isRefused = world.api[index] !== writing.over;
    const event = isRefused ? 'is refused a writing' : 'has its writing arrive';
    const sent = world.nodes[index]!.sent.filter(each => each !== writing);
    const next = isRefused ? world : arrive(world, index, writing);
    return { event, world: change(next, index, { sent }) };
  });
}

function arrive(world: World, index: number, { said }: Node['sent'][number]): World {
  const refused = (path: Path) =>
    path.peer === nameOf(index) && said.refuses.includes(path.epoch)
      ? { ...path, refused: true as const }
      : path;
  return {
    ...world,
    api: world.api.map((before, i) => (i === index ? said : before)),
    nodes: said.refuses.length === 0 ? world.nodes : mapPaths(world.nodes, refused),
  };
}

/** A client waits for its answer; only a crash lets another one begin meanwhile. */
const MOST_SENT = 2;

/** What `index` can hear for the first time. */
function hearings(world: World, index: number): Step[] {
  const node = world.nodes[index]!;
  return node.opens.flatMap(opening => {
    if (opening.heardAt === LONG_AGO) return [];
    const from = indexOf(opening.peer);
    const sender = world.nodes[from]!;
    const isSent = [...sender.probes, ...sender.seals].some(
      way => way.peer === nameOf(index) && way.epoch === opening.epoch && isForRun(way, runOf(index, node)),
    );
    if (!isSent || sender.state !== 'up' || !isForRun(opening, runOf(from, sender))) return [];
    const opens = node.opens.map(each => (each === opening ? { ...each, heardAt: LONG_AGO } : each));
    const seals = node.seals.map(path =>
      path.peer === opening.peer && path.epoch === opening.epoch ? { ...path, proven: true } : path,
    );
    const event = `hears ${opening.epoch} of ${runOf(from, sender)}`;
    return [{ event, world: change(world, index, { opens, seals }) }];
  });
}

function hearAll(world: World): World {
  for (const index of world.nodes.keys()) {
    const [heard] = hearings(world, index);
    if (heard) return hearAll(heard.world);
  }
  return world;
}

// What happens to them.

function isBehind({ api, nodes }: World, index: number): boolean {
  return nodes[index]!.view.some((seen, i) => {
    const said = api[i];
    const isSame = i === index || !seen || !said ? seen === said : sayTheSame(seen, said);
    return !isSame;
  });
}

function look(world: World, index: number): World {
  return change(world, index, { view: world.api });
}

function seeTarget(world: World, index: number): World {
  const node = world.nodes[index]!;
  const able = node.able.includes(world.target) ? node.able : [...node.able, world.target];
  return change(world, index, { target: world.target, able });
}

function restart(world: World, index: number, node: Node): World {
  const { api, target, always } = world;
  const able = [...new Set([target, ...always])];
  return change(world, index, { ...node, memory: NO_MEMORY, view: api, target, able });
}

function restartWithoutKey(world: World, index: number, node: Node): World {
  const started = restart(world, index, node);
  const { target } = world;
  if (!isKeyedByRun(target)) return started;
  return change(started, index, { target: targetWithoutKey(world.api[index]) ?? target, able: world.always });
}

function reboot(world: World, index: number, node: Node): World {
  const isHere = ({ peer }: Sealing) => peer === nameOf(index);
  const nodes = mapPaths(world.nodes, path =>
    isHere(path) && path.epoch === 'wireguard' ? { ...path, proven: false } : path,
  ).map(other => ({
    ...other,
    opens: other.opens.map(opening =>
      isHere(opening) && opening.heardAt !== undefined ? { ...opening, heardAt: BEFORE_THAT } : opening,
    ),
  }));
  return restart({ ...world, nodes }, index, { ...freshNode(world), sent: node.sent, runs: node.runs + 1 });
}

/** The data plane's IPsec comes back empty; the promises for the rest of it hold on. */
function renew(world: World, index: number, node: Node): World {
  const runs = node.runs + 1;
  const incarnation = runOf(index, { ...node, runs });
  const lasting = <T extends Sealing>(ways: readonly T[]) => ways.filter(({ epoch }) => !isKeyedByRun(epoch));
  const nodes = mapPaths(world.nodes, path =>
    path.incarnation === runOf(index, node) && !isKeyedByRun(path.epoch) ? { ...path, incarnation } : path,
  );
  return change({ ...world, nodes }, index, {
    runs,
    opens: lasting(node.opens),
    seals: lasting(node.seals),
    probes: lasting(node.probes),
    underway: lasting(node.underway),
  });
}

function leave(world: World, index: number, node: Node): World {
  const api = world.api.map((said, i) => (i === index ? undefined : said));
  return change({ ...world, api }, index, { ...freshNode(world), runs: node.runs, state: 'left' });
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
function forget(memory: Memory, timing: Timing, able: readonly Epoch[]): Memory {
  const { moving, met, ...rest } = memory;
  const since = ({ incarnation, since }: Memory['met'][string]) =>
    since === undefined ? { incarnation } : { incarnation, since: LONG_AGO };
  return {
    ...rest,
    ...(moving && timing.patience !== undefined ? { moving } : {}),
    left: timing.bound === undefined ? {} : memory.left,
    met: able.includes('wireguard')
      ? Object.fromEntries(Object.entries(met).map(([peer, run]) => [peer, since(run)]))
      : {},
  };
}
