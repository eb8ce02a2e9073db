/**
 * The drivers of the node's data plane taken together: what it does now, and in which order it is changed. Guards first;
 * what seals and opens before the routes that lead to it; and away in reverse.
 */
import {
  type Driver,
  DriverUnavailable,
  type IpsecDesired,
  type IpsecDriver,
  type IpsecObserved,
  type WireGuardDriver,
  type WireGuardObserved,
} from '../drivers/driver.ts';
import type { GroundObserved } from '../drivers/host-ground.ts';
import type { Route } from '../linux/route.ts';
import type { Rtnetlink } from '../linux/rtnetlink.ts';
import { TABLE } from '../model/names.ts';
import type { Ground, NodePlan, Paths } from '../model/plan.ts';
import type { PodMtu } from './pod-mtu.ts';

export interface DataPlaneOptions {
  rtnetlink: Rtnetlink;
  ground: Driver<Ground, GroundObserved>;
  paths: Driver<Paths, unknown>;
  wireguard: WireGuardDriver;
  ipsec: IpsecDriver;
  podMtu: PodMtu;
  /** Told of each change that was made. */
  tell: (what: string) => void;
}

export interface DataPlaneObserved {
  clear: boolean;
  routes: Route[];
  /** Whether there is who would do it. */
  answers: { wireguard: boolean; ipsec: boolean };
  /** Absent: no engine, or none that has a key. */
  wireguard?: WireGuardObserved;
  ipsec?: IpsecObserved;
}

/** What a plan leaves out, as it is secret. */
export interface Secrets {
  /** Of WireGuard, 32 bytes. */
  privateKey?: Uint8Array;
  /** The plan of IPsec with its keys. */
  ipsec?: IpsecDesired;
}

export class DataPlane {
  readonly #options: DataPlaneOptions;
  /** Whether the guards let in the clear, once this agent has set them: nobody else may open them. */
  #clear: boolean | undefined;

  constructor(options: DataPlaneOptions) {
    this.#options = options;
  }

  /** What the engine does is asked of it; who cannot answer must not be `needed`. Throws DriverUnavailable. */
  async observe(needed: { wireguard: boolean; ipsec: boolean }): Promise<DataPlaneObserved> {
    const { rtnetlink, ground, wireguard, ipsec } = this.#options;
    const answerOf = async <T>(driver: Driver<never, T>, isNeeded: boolean): Promise<T | undefined> => {
      try {
        return await driver.observe();
      } catch (error) {
        if (isNeeded || !(error instanceof DriverUnavailable)) throw error;
        return undefined;
      }
    };
    this.#clear ??= (await ground.observe()).clear ?? false;
    const [routes, byWireGuard, byIpsec] = await Promise.all([
      rtnetlink.routes({ table: TABLE.pods }),
      answerOf(wireguard, needed.wireguard),
      answerOf(ipsec, needed.ipsec),
    ]);
    return {
      clear: this.#clear,
      routes,
      answers: { wireguard: byWireGuard !== undefined, ipsec: byIpsec !== undefined },
      ...(byWireGuard?.publicKey === undefined ? {} : { wireguard: byWireGuard }),
      ...(byIpsec === undefined ? {} : { ipsec: byIpsec }),
    };
  }

  /** Whether the guards let in the clear, as far as is known. */
  get clear(): boolean {
    return this.#clear ?? false;
  }

  /** Guards and devices alone: what stands whether there is an engine or not. */
  async applyGround(plan: NodePlan, clear: boolean): Promise<void> {
    this.#tell(await this.#options.ground.apply(plan.ground));
    this.#clear = clear;
  }

  /** The rest. `before`: what was observed. */
  async apply(plan: NodePlan, secrets: Secrets, before: DataPlaneObserved): Promise<void> {
    const { wireguard, ipsec, paths, podMtu } = this.#options;
    const { privateKey, ipsec: desired } = secrets;
    // Longer packets than before come only when the routes lead where they fit.
    await podMtu.shorten(plan.network.mtu);
    if (plan.wireguard && privateKey) this.#tell(await wireguard.apply({ ...plan.wireguard, privateKey }));
    const widened = desired && withOldSeals(desired, before.ipsec);
    if (widened) this.#tell(await ipsec.apply(widened));
    this.#tell(await paths.apply(await this.#possible(plan.paths)));
    if (desired && desired !== widened) this.#tell(await ipsec.apply(desired));
    if (!plan.wireguard && before.wireguard) {
      await wireguard.cleanUp();
      this.#options.tell('WireGuard is given up');
    }
    if (!plan.ipsec && before.ipsec && before.ipsec.states.length > 0) {
      await ipsec.cleanUp();
      this.#options.tell('IPsec is given up');
    }
    const inUse = [plan.wireguard !== undefined, plan.ipsec !== undefined, this.clear];
    const isSettled = inUse.filter(Boolean).length === 1;
    await podMtu.follow(plan.network.mtu, isSettled);
  }

  async cleanUp(): Promise<void> {
    const { ground, paths, wireguard, ipsec } = this.#options;
    await paths.cleanUp();
    await wireguard.cleanUp();
    await ipsec.cleanUp();
    await ground.cleanUp();
    this.#clear = undefined;
  }

  /** A device that somebody has taken away comes back with its engine, and brings the next round. */
  async #possible(paths: Paths): Promise<Paths> {
    const devices = new Set((await this.#options.rtnetlink.links()).map(({ name }) => name));
    return {
      ...paths,
      routes: paths.routes.filter(({ device }) => device === undefined || devices.has(device)),
    };
  }

  #tell(done: string[]): void {
    for (const what of done) this.#options.tell(what);
  }
}

/** While routes still lead there, a peer that will be sealed for otherwise is sealed for as before. */
function withOldSeals(desired: IpsecDesired, before: IpsecObserved | undefined): IpsecDesired {
  let isWider = false;
  const peers = desired.peers.map(peer => {
    if (peer.seals) return peer;
    const old = before?.seals.find(seal => seal.peer === peer.name);
    const isOpen = peer.openings.some(
      ({ incarnation, epoch }) => old?.incarnation === incarnation && old.epoch === epoch,
    );
    if (!old || !isOpen) return peer;
    isWider = true;
    return { ...peer, seals: { incarnation: old.incarnation, epoch: old.epoch } };
  });
  return isWider ? { ...desired, peers } : desired;
}
