/** One ESP device: the table of states and policies, and the packet loop (native/engine) that carries it out. */
import type { Cidr } from '../proto/ip/cidr.ts';
import type { EspLoop, EspLoopOptions } from './esp-native.ts';
import { espAddon } from './esp-native.ts';
import { type EspCommand, parseEspRequest, wipeKeys, wipeStateKeys } from './esp-request.ts';
import { type EspStatus, printEspStatus } from './esp-status.ts';
import { EspTable, type PolicyEntry, type StateEntry } from './esp-table.ts';
import { EspRequestError } from './esp-words.ts';
import { detached } from './handover-codec.ts';
import type { Log } from './log.ts';
import type { SavedLoop } from './native.ts';

export interface EspTunnelOptions extends EspLoopOptions {
  /** The run id: as long as it is the same, counters go on. */
  run: string;
  log: Log;
  /** The device was deleted. */
  onGone(): void;
}

/** An ESP device on its way to another process. The byte strings are those that are in use, secrets too: not to be kept. */
export interface CarriedEsp {
  readonly run: string;
  readonly lastId: number;
  readonly states: readonly StateEntry[];
  readonly policies: readonly PolicyEntry[];
  readonly local: readonly Cidr[];
  readonly loop: SavedLoop;
}

export class EspTunnel {
  readonly #run: string;
  readonly #log: Log;
  readonly #loop: EspLoop;
  #table = new EspTable();
  #lastId = 0;
  #isGoneTold = false;

  /**
   * Throws with a sentence when the device cannot be had. One that goes on in the place of another process's stands still
   * until `start`.
   */
  constructor(options: EspTunnelOptions, carried?: CarriedEsp) {
    const { run, log, onGone, ...loopOptions } = options;
    this.#run = run;
    this.#log = log;
    const addon = espAddon();
    const adopted = carried && { adopted: carried.loop };
    this.#loop = new addon.EspLoop({ ...loopOptions, ...adopted }, () => {
      if (this.#isGoneTold) return;
      this.#isGoneTold = true;
      onGone();
    });
    log.verbose(`AES-GCM is sealed and opened by ${addon.gcmLibraries()[0]}`);
    if (carried) this.#goOn(carried);
  }

  /** What it knows and has, for another process: from now on it stands still. */
  carry(): CarriedEsp {
    const { states, policies, local } = this.#table;
    return {
      run: this.#run,
      lastId: this.#lastId,
      states: [...states.values()],
      policies: [...policies.values()].map(({ destinations, name }) => ({ destinations, name })),
      local,
      loop: this.#loop.save(),
    };
  }

  /** Goes on where it, or the one in whose place it is, stood still. */
  start(): void {
    this.#loop.start();
  }

  #goOn({ lastId, states, policies, local, loop }: CarriedEsp): void {
    this.#lastId = lastId;
    this.#table = EspTable.of(detached(states), detached(policies), detached(local));
    this.#loop.apply(this.#table.changeFrom(new EspTable()));
    this.#loop.load(loop.state);
  }

  close(): void {
    this.#isGoneTold = true;
    this.#loop.close();
    for (const { spec } of this.#table.states.values()) wipeStateKeys(spec);
  }

  /** The answer to a request: one line of JSON. */
  answer(request: string): string {
    try {
      return `${JSON.stringify(this.#execute(request))}\n`;
    } catch (error) {
      const line = error instanceof EspRequestError ? error.line : 0;
      const message = error instanceof Error ? error.message : String(error);
      this.#log.error(`Request refused: line ${line}: ${message}`);
      return `${JSON.stringify({ error: { line, message } })}\n`;
    }
  }

  #execute(request: string): { run: string } | EspStatus {
    const commands = parseEspRequest(request);
    const before = this.#table;
    let table = before;
    try {
      table = before.after(commands, () => ++this.#lastId);
      if (commands.some(isChange)) this.#loop.apply(table.changeFrom(before));
      this.#table = table;
    } catch (error) {
      wipeKeys(commands);
      throw error;
    }
    wipeUnused(table, before, commands);
    for (const state of table.probes) this.#loop.probe(state);
    const list = commands.findLast(command => command.verb === 'list');
    return list ? printEspStatus(this.#run, this.#table, this.#loop, list.withKeys) : { run: this.#run };
  }
}

function isChange({ verb }: EspCommand): boolean {
  return verb !== 'list' && verb !== 'probe';
}

/** Keys that no state of the table has. */
function wipeUnused(table: EspTable, before: EspTable, commands: readonly EspCommand[]): void {
  const used = new Set([...table.states.values()].map(({ spec }) => spec.keys));
  for (const { spec } of before.states.values()) if (!used.has(spec.keys)) wipeStateKeys(spec);
  for (const command of commands) {
    if (command.verb === 'state add' && !used.has(command.state.keys)) wipeStateKeys(command.state);
  }
}
