/** What the packet loop has of each peer: it knows them by numbers. */
import type { Peer } from '../proto/wireguard/device.ts';
import type { CarriedTunnel } from './carried-tunnel.ts';
import type { Place } from './native.ts';

export interface Slot {
  readonly peer: Peer;
  readonly number: number;
  endpoint: Place | undefined;
  /** A packet waits since before the link was up. */
  isWaiting: boolean;
}

export class Slots {
  readonly #newNumber: () => number;
  readonly #byId = new Map<string, Slot>();
  readonly #byNumber = new Map<number, Slot>();

  constructor(newNumber: () => number) {
    this.#newNumber = newNumber;
  }

  carry(): CarriedTunnel['slots'] {
    return [...this.all()].map(({ peer, number, endpoint, isWaiting }) => ({
      id: peer.id,
      number,
      endpoint,
      isWaiting,
    }));
  }

  /** Throws when one is of a peer that is not there. */
  goOn(carried: CarriedTunnel['slots'], peers: ReadonlyMap<string, Peer>): void {
    for (const { id, number, endpoint, isWaiting } of carried) {
      const peer = peers.get(id);
      if (!peer) throw new Error('the state of the engine has an endpoint of a peer that is not there');
      this.#add({ peer, number, endpoint, isWaiting });
    }
  }

  all(): Iterable<Slot> {
    return this.#byId.values();
  }

  at(number: number): Slot | undefined {
    return this.#byNumber.get(number);
  }

  /** Made when it is missing. */
  of(peer: Peer): Slot {
    const known = this.#byId.get(peer.id);
    if (known?.peer === peer) return known;
    return this.#add({ peer, number: this.#newNumber(), endpoint: undefined, isWaiting: false });
  }

  delete({ peer, number }: Slot): void {
    this.#byId.delete(peer.id);
    this.#byNumber.delete(number);
  }

  #add(slot: Slot): Slot {
    this.#byId.set(slot.peer.id, slot);
    this.#byNumber.set(slot.number, slot);
    return slot;
  }
}
