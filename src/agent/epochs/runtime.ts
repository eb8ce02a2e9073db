/**
 * Runs the law of epochs on this node: keeps what the machine remembers between two decisions, and does what it decides in
 * its order: open, advertise, probe, seal, close. Each step is safe by itself, so whatever stops it half-way is mended by
 * the next decision.
 */
import type { Advertisement } from '../../model/epochs/advertisement.ts';
import type { Epoch } from '../../model/epochs/epoch.ts';
import { decide } from '../../model/epochs/machine.ts';
import {
  applyTo,
  type Plane,
  type PlaneChange,
  type Sealing,
  sameSealing,
} from '../../model/epochs/plane.ts';
import { type Decision, type Memory, NO_MEMORY, type Sight, type Timing } from '../../model/epochs/sight.ts';
import type { Failpoint } from '../failpoints.ts';

export interface EpochsOptions {
  failpoint: Failpoint;
  /** Asks for the next round. */
  again: () => void;
  /** Unix time in milliseconds. */
  now?: () => number;
}

/** What a decision needs of the node. */
export interface Hands {
  /** Makes the data plane as the plane says. */
  apply(plane: Plane): Promise<void>;
  /** Writes the CiliumNode with this advertisement, or as it stands. Answers false when the writing has to be done again. */
  publish(advertisement: Advertisement | undefined): Promise<boolean>;
}

/** What the last decision came to. */
export interface EpochState {
  readonly decision: Decision;
  /** The data plane before it. */
  readonly before: Plane;
  readonly after: Plane;
  readonly sight: Sight;
}

/** How long a packet can be on its way. */
const DRAIN_MS = 1500;
const REPEAT_MS = 1000;

/** `rotationDuration` in milliseconds: after it an old key is refused. */
export function timingOf(rotationDuration: number): Timing {
  return { drain: DRAIN_MS, patience: rotationDuration / 2, bound: rotationDuration };
}

export class Epochs {
  readonly #options: EpochsOptions & { now: () => number };
  #memory: Memory = NO_MEMORY;
  /** Whom this node probes: nothing in the kernel or the engine tells. */
  #probes: readonly Sealing[] = [];
  readonly #awaited = new Set<string>();
  #lastSteps = '';
  #state: EpochState | undefined;
  #wake: NodeJS.Timeout | undefined;

  constructor(options: EpochsOptions) {
    this.#options = { now: Date.now, ...options };
  }

  get state(): EpochState | undefined {
    return this.#state;
  }

  get probes(): readonly Sealing[] {
    return this.#probes;
  }

  /** Peers for which WireGuard was opened though they have yet to say their public key. */
  get awaited(): ReadonlySet<string> {
    return this.#awaited;
  }

  /** One decision, done. Rejects when a step cannot be done; those before it stand. */
  async step(sight: Sight, timing: Timing, hands: Hands): Promise<EpochState> {
    const decision = decide(sight, this.#memory, this.#options.now(), timing);
    // Before anything is written: a writing may arrive although its answer does not.
    this.#memory = decision.memory;
    this.#state = { decision, sight, before: sight.plane, after: applyTo(sight.plane, decision) };
    this.#await(decision);
    let outcome: Outcome = 'failed';
    try {
      outcome = (await this.#carryOut(this.#state, hands)) ? 'written' : 'overtaken';
    } finally {
      this.#sleep(decision, outcome);
    }
    return this.#state;
  }

  /** Everything of ours is off the node. */
  forget(): void {
    this.#memory = NO_MEMORY;
    this.#probes = [];
    this.#awaited.clear();
    this.#state = undefined;
    clearTimeout(this.#wake);
  }

  stop(): void {
    clearTimeout(this.#wake);
  }

  async #carryOut({ decision, before, after, sight }: EpochState, hands: Hands): Promise<boolean> {
    const { failpoint } = this.#options;
    const only = (parts: Partial<PlaneChange>): PlaneChange => ({
      ...NO_CHANGE,
      clear: decision.clear,
      ...parts,
    });

    const opened = applyTo(before, only({ open: decision.open }));
    if (decision.open.length > 0) failpoint('before-open');
    await hands.apply(opened);
    if (decision.open.length > 0) failpoint('after-open');

    const { advertise } = decision;
    const step = advertise && kindOf(advertise, sight.advertised);
    if (step) failpoint(`before-${step}`);
    let failure: unknown;
    const isWritten = await hands.publish(advertise).catch(error => {
      failure = error;
      return false;
    });
    if (step && isWritten) failpoint(`after-${step}`);

    const isTrial = decision.probe.some(
      way => way.epoch !== undefined && !before.seals.some(seal => sameSealing(seal, way)),
    );
    if (isTrial) failpoint('before-probe');
    this.#probes = after.probes;
    if (isTrial) failpoint('after-probe');

    if (decision.seal.length > 0) {
      failpoint('before-seal');
      await hands.apply(
        applyTo(before, only({ open: decision.open, seal: decision.seal, probe: decision.probe })),
      );
      failpoint('after-seal');
    }
    if (decision.close.length > 0) {
      failpoint('before-close');
      await hands.apply(after);
      failpoint('after-close');
    }
    if (failure !== undefined) throw failure;
    return isWritten;
  }

  #await({ open, close }: Decision): void {
    for (const { peer, epoch } of close) if (epoch === 'wireguard') this.#awaited.delete(peer);
    for (const { peer, epoch } of open) if (epoch === 'wireguard') this.#awaited.add(peer);
  }

  /** One step leads to the next; a step that came to nothing is not tried without a pause, and what failed at the caller's. */
  #sleep({ open, close, seal, probe, clear, advertise, wakeAt }: Decision, outcome: Outcome): void {
    clearTimeout(this.#wake);
    const steps = JSON.stringify([open, close, seal, probe, clear]);
    const isNew = steps !== this.#lastSteps;
    this.#lastSteps = steps;
    const hasSteps = open.length + close.length + seal.length + probe.length > 0;
    if (outcome === 'failed' && !isNew) return;
    const pauses = [
      ...(isNew ? [0] : hasSteps ? [REPEAT_MS] : []),
      ...(advertise ? [outcome === 'written' ? REPEAT_MS : REPEAT_MS / 10] : []),
      ...(wakeAt === undefined ? [] : [Math.max(0, wakeAt - this.#options.now())]),
    ];
    if (pauses.length === 0) return;
    const pause = Math.min(...pauses);
    if (pause === 0) this.#options.again();
    else this.#wake = setTimeout(() => this.#options.again(), Math.min(pause, LONGEST_TIMER));
  }
}

/** Of what was to be said in the API; `failed`: something was not done at all. */
type Outcome = 'written' | 'overtaken' | 'failed';

const NO_CHANGE = { open: [], close: [], seal: [], probe: [] } as const;
/** `setTimeout` takes no more. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** An epoch is opened no longer, or one comes to what is opened; neither when the same is said anew, or only of sealing. */
function kindOf(
  advertise: Advertisement,
  before: Advertisement | undefined,
): 'withdraw' | 'advertise' | undefined {
  const lacks = (a: readonly Epoch[], b: readonly Epoch[]) => a.some(epoch => !b.includes(epoch));
  const old = before?.opens ?? [];
  if (lacks(old, advertise.opens)) return 'withdraw';
  return lacks(advertise.opens, old) ? 'advertise' : undefined;
}
