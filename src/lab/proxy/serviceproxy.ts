/** Keeps the Services of the cluster reachable on one node, whose network namespace this process is in. */
import type { KubeClient } from '../../kube/client.ts';
import { Reflector } from '../../kube/reflector.ts';
import { ENDPOINTSLICES, type EndpointSlice, SERVICES, type Service } from '../../kube/types.ts';
import { applyNft } from '../../linux/nft.ts';
import { type Clock, systemClock, WorkQueue } from '../controllers/workqueue.ts';
import { endStaleFlows } from './conntrack.ts';
import { renderRemoval, renderRuleset } from './ruleset.ts';
import { type Target, targetsOf } from './targets.ts';

export interface ServiceProxyOptions {
  nodeName: string;
  /** Applies a script of nft, whole or not at all; `nft -f -` by default. */
  exec?: (script: string) => Promise<void>;
  /** Ends the UDP flows to pods that no longer serve. */
  endFlows?: (targets: readonly Target[]) => Promise<unknown>;
  log?: (message: string) => void;
  clock?: Clock;
}

/** Changes that come together are applied together (milliseconds). */
const GATHER = 20;
/** The rules are set anew so often, in case somebody flushed them (milliseconds). */
const REFRESH = 60_000;
const RULES = 'rules';

export class ServiceProxy {
  readonly #options: Required<ServiceProxyOptions>;
  readonly #services: Reflector<Service>;
  readonly #slices: Reflector<EndpointSlice>;
  readonly #queue: WorkQueue;
  #complete = false;
  #applied: { ruleset: string; at: number } | undefined;

  constructor(client: KubeClient, options: ServiceProxyOptions) {
    this.#options = {
      exec: script => applyNft(script),
      endFlows: targets => endStaleFlows(targets),
      log: () => {},
      clock: systemClock,
      ...options,
    };
    const { clock, log } = this.#options;
    this.#queue = new WorkQueue({
      clock,
      reconcile: () => this.#apply(),
      onError: (_, error) => log(`services: ${error instanceof Error ? error.message : String(error)}`),
      backoff: { first: 200, longest: 10_000 },
    });
    const onChange = () => {
      if (this.#complete) this.#queue.addAfter(RULES, GATHER);
    };
    this.#services = new Reflector(client, SERVICES, { onChange });
    this.#slices = new Reflector(client, ENDPOINTSLICES, { onChange });
  }

  /** Nothing is applied before both lists are complete: half the truth would cut what works. */
  start(): void {
    this.#services.start();
    this.#slices.start();
    void Promise.all([this.#services.synced, this.#slices.synced]).then(() => {
      this.#complete = true;
      this.#queue.add(RULES);
    });
  }

  /** Ends the watching; the rules stay, and with them what they serve. */
  async stop(): Promise<void> {
    this.#services.stop();
    this.#slices.stop();
    await this.#queue.stop();
  }

  /** Takes the rules away, whoever set them. */
  async cleanUp(): Promise<void> {
    await this.stop();
    await this.#options.exec(renderRemoval());
  }

  async #apply(): Promise<number> {
    const targets = targetsOf(this.#services.items(), this.#slices.items(), this.#options.nodeName);
    const ruleset = renderRuleset(targets);
    const now = this.#options.clock.now();
    const fresh = this.#applied !== undefined && now - this.#applied.at < REFRESH;
    if (!fresh || ruleset !== this.#applied?.ruleset) {
      await this.#options.exec(ruleset);
      if (ruleset !== this.#applied?.ruleset) await this.#endFlows(targets);
      this.#applied = { ruleset, at: now };
    }
    return this.#applied!.at + REFRESH - now;
  }

  /** The rules hold either way: a flow that could not be ended ends by its own time. */
  async #endFlows(targets: readonly Target[]): Promise<void> {
    try {
      await this.#options.endFlows(targets);
    } catch (error) {
      this.#options.log(`services: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}
