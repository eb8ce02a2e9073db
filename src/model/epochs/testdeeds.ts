/** What a node of the test cluster does to its data plane when it follows a decision; throws where that is against the law. */
import { type Epoch, isKeyedByRun, protocolOf } from './epoch.ts';
import { type Change, isForRun, type Sealing, sameSealing } from './plane.ts';
import type { Decision } from './sight.ts';
import {
  BEFORE_THAT,
  change,
  indexOf,
  mapPaths,
  type Node,
  nameOf,
  type Path,
  runOf,
  type World,
} from './testworld.ts';

export interface Deed {
  readonly event: string;
  readonly apply: (world: World) => World;
}

/** Without the writing. */
export function deeds(node: Node, index: number, decision: Decision): Deed[] {
  const { clear } = decision;
  const each = <T extends Change>(
    verb: string,
    ways: readonly T[],
    apply: (world: World, index: number, way: T) => World,
  ) => ways.map(way => ({ event: `${verb} ${say(way)}`, apply: (on: World) => apply(on, index, way) }));
  return [
    ...(clear === node.clear
      ? []
      : [{ event: `lets ${clear ? 'in' : 'out'} the clear`, apply: (on: World) => letIn(on, index, clear) }]),
    ...each('opens', decision.open, open),
    ...each('closes', decision.close, close),
    ...each('seals', decision.seal, seal),
    ...each('probes', decision.probe, probe),
  ];
}

function letIn(world: World, index: number, clear: boolean): World {
  if (clear && world.nodes[index]!.target !== 'none')
    throw new Error(`${nameOf(index)} lets in what is in the clear`);
  const next = change(world, index, { clear });
  return clear ? promise(next, index, 'none') : next;
}

function open(world: World, index: number, way: Sealing): World {
  const next = change(world, index, { opens: [...world.nodes[index]!.opens, way] });
  return isKeyedByRun(way.epoch) ? next : promise(next, index, way.epoch, indexOf(way.peer));
}

/** From now on this run of the node is not deaf to what is sent to it under the epoch. */
function promise(world: World, index: number, promised: Epoch, by?: number): World {
  const incarnation = runOf(index, world.nodes[index]!);
  const nodes = mapPaths(world.nodes, (path, from) =>
    path.peer === nameOf(index) &&
    path.epoch === promised &&
    path.incarnation !== incarnation &&
    (by ?? from) === from
      ? { ...path, incarnation }
      : path,
  );
  return { ...world, nodes };
}

function close(world: World, index: number, way: Sealing): World {
  const opens = world.nodes[index]!.opens.filter(opening => !sameSealing(opening, way));
  return change(world, index, { opens });
}

function seal(world: World, index: number, way: Change): World {
  const node = world.nodes[index]!;
  const { epoch } = way;
  const before = node.seals.find(({ peer }) => peer === way.peer);
  const others = node.seals.filter(path => path !== before);
  const receiver = world.nodes[indexOf(way.peer)]!;
  const run = runOf(indexOf(way.peer), receiver);
  const underway = leave(node, before);
  if (epoch === undefined) {
    const isAlive = before?.proven === true && before.incarnation === run && receiver.state === 'up';
    if (isAlive && !before.refused && !(before.epoch in node.memory.left))
      throw new Error(`${nameOf(index)} loses its way to ${way.peer}`);
    return change(world, index, { seals: others, underway });
  }
  if (epoch === 'none' && node.target !== 'none')
    throw new Error(`${nameOf(index)} begins to send in the clear`);
  const hasOther = before !== undefined && isForRun(before, way.incarnation);
  if (protocolOf(epoch) === 'wireguard' && hasOther && isStale(node, way))
    throw new Error(
      `${nameOf(index)} moves to a session with a run of ${way.peer} that it knows to have ended`,
    );
  const path: Path = {
    peer: way.peer,
    epoch,
    incarnation: opensNow(receiver, epoch, nameOf(index)) ? run : way.incarnation,
    proven: protocolOf(epoch) !== 'wireguard' || hasOther,
    ...(world.api[indexOf(way.peer)]?.refuses.includes(epoch) ? { refused: true as const } : {}),
  };
  return change(world, index, { seals: [...others, path], underway });
}

function isStale(node: Node, { peer, epoch }: Change): boolean {
  const opening = node.opens.find(each => each.peer === peer && each.epoch === epoch);
  return opening?.heardAt === BEFORE_THAT && node.memory.met[peer]?.since !== undefined;
}

/** Of an epoch that is not keyed by runs. */
function opensNow(receiver: Node, epoch: Epoch, sender: string): boolean {
  if (epoch === 'none') return receiver.clear;
  return !isKeyedByRun(epoch) && receiver.opens.some(each => each.peer === sender && each.epoch === epoch);
}

function leave(node: Node, before: Path | undefined): Node['underway'] {
  if (!before?.proven) return node.underway;
  return [...node.underway.filter(way => !sameSealing(way, before)), { ...before, ticks: 0 }];
}

function probe(world: World, index: number, way: Change): World {
  const { peer, incarnation, epoch } = way;
  const others = world.nodes[index]!.probes.filter(each => each.peer !== peer);
  return change(world, index, {
    probes: epoch === undefined ? others : [...others, { peer, incarnation, epoch }],
  });
}

function say(way: Change): string {
  return `${way.epoch ?? 'nothing'} for ${way.incarnation}`;
}
