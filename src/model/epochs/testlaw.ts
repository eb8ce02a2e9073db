/** What has to hold in every state of a test cluster, and what once all is over. */
import { isKeyedByRun } from './epoch.ts';
import { isForRun, type Sealing } from './plane.ts';
import type { Timing } from './sight.ts';
import { indexOf, nameOf, type Path, runOf, type World } from './testworld.ts';

/** What is against the law in this state, or undefined. */
export function violation(world: World, timing: Timing): string | undefined {
  for (const [index, node] of world.nodes.entries()) {
    if (node.state !== 'up') continue;
    const said = world.api[index];
    const run = runOf(index, node);
    for (const { epoch } of [...node.seals, ...node.probes]) {
      const holds = said && (said.incarnation === run || !isKeyedByRun(epoch));
      if (!holds || !said.seals.includes(epoch))
        return `${nameOf(index)} seals with ${epoch} and has not said so`;
    }
    const traffic = [...node.seals.filter(({ proven }) => proven), ...node.underway];
    const missed = traffic.find(path => isMissed(world, index, path, timing));
    if (missed) return `${missed.peer} is deaf to ${nameOf(index)}'s ${missed.epoch}`;
  }
  return undefined;
}

/** What is not as it should be once all is over, or undefined: one epoch everywhere, every pair of nodes joined by it. */
export function unsettled(world: World): string | undefined {
  const isClear = world.target === 'none';
  const hasDead = world.nodes.some(({ state }) => state === 'dead');
  for (const [index, node] of world.nodes.entries()) {
    if (node.state !== 'up') continue;
    const name = nameOf(index);
    const others = world.nodes.flatMap((other, i) =>
      i === index || other.state !== 'up' ? [] : [{ peer: nameOf(i), incarnation: runOf(i, other) }],
    );
    const said = world.api[index];
    const expected = JSON.stringify([runOf(index, node), [world.target], [world.target], []]);
    const refuses = hasDead ? [] : said?.refuses;
    const saying = JSON.stringify([said?.incarnation, said?.opens, said?.seals, refuses]);
    if (saying !== expected) return `${name} says ${saying}`;
    if (node.clear !== isClear) return `${name} lets in what is in the clear`;
    const old = node.opens.find(({ epoch }) => epoch !== world.target);
    if (old) return `${name} opens ${old.epoch}`;
    const left = [...node.opens, ...node.seals].find(
      ({ peer }) => world.nodes[indexOf(peer)]!.state === 'left',
    );
    if (left) return `${name} holds a way to ${left.peer}`;
    for (const { peer, incarnation } of others) {
      const fits = (way: Sealing) =>
        way.peer === peer && way.epoch === world.target && isForRun(way, incarnation);
      const openings = node.opens.filter(way => way.peer === peer);
      if (isClear ? openings.length > 0 : openings.length !== 1 || !openings.every(fits))
        return `${name} opens ${JSON.stringify(openings)} for ${peer}`;
      const sealings = node.seals.filter(way => way.peer === peer);
      if (sealings.length !== 1 || !sealings.every(fits))
        return `${name} seals ${JSON.stringify(sealings)} for ${peer}`;
    }
  }
  return undefined;
}

function isMissed(world: World, from: number, path: Path, timing: Timing): boolean {
  const index = indexOf(path.peer);
  const receiver = world.nodes[index]!;
  if (receiver.state !== 'up' || runOf(index, receiver) !== path.incarnation) return false;
  if (path.refused && (timing.bound !== undefined || !isKeyedByRun(path.epoch))) return false;
  if (path.epoch === 'none') return !receiver.clear;
  return !receiver.opens.some(
    opening =>
      opening.peer === nameOf(from) &&
      opening.epoch === path.epoch &&
      isForRun(opening, runOf(from, world.nodes[from]!)),
  );
}
