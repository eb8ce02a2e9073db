/** Which keypairs of one peer the packet loop may have, and since when. */

import type { Keypair } from './api.ts';
import type { CarriedPeer } from './carried.ts';
import { REJECT_AFTER_TIME } from './limits.ts';

type Carried = Pick<CarriedPeer, 'keypairs' | 'sessionAt' | 'unconfirmedAt'>;

const NONE: readonly number[] = [];

export class PeerSessions {
  #keypairs = NONE;
  #sessionAt: number | undefined;
  #unconfirmedAt: number | undefined;

  constructor(carried?: Carried) {
    if (!carried) return;
    if (carried.keypairs.length > 0) this.#keypairs = carried.keypairs;
    this.#sessionAt = carried.sessionAt;
    this.#unconfirmedAt = carried.unconfirmedAt;
  }

  carry(): Carried {
    return { keypairs: this.#keypairs, sessionAt: this.#sessionAt, unconfirmedAt: this.#unconfirmedAt };
  }

  /** Local indexes of the keypairs. */
  get indexes(): readonly number[] {
    return this.#keypairs;
  }

  /** When we answered an initiation, until the first packet confirms that session. */
  get unconfirmedAt(): number | undefined {
    return this.#unconfirmedAt;
  }

  hasUsable(now: number): boolean {
    return this.#sessionAt !== undefined && now - this.#sessionAt < REJECT_AFTER_TIME;
  }

  begin({ localIndex, initiator, createdAt }: Pick<Keypair, 'localIndex' | 'initiator' | 'createdAt'>): void {
    this.#keypairs = [...this.#keypairs, localIndex];
    this.#unconfirmedAt = initiator ? undefined : createdAt;
    this.#sessionAt = createdAt;
  }

  confirm(): void {
    this.#unconfirmedAt = undefined;
  }

  /** False when there is no such keypair. */
  forget(localIndex: number): boolean {
    if (!this.#keypairs.includes(localIndex)) return false;
    this.#keypairs = this.#keypairs.filter(index => index !== localIndex);
    return true;
  }

  /** The indexes of those that end now. */
  end(): readonly number[] {
    const ended = this.#keypairs;
    this.#keypairs = NONE;
    this.#sessionAt = undefined;
    this.#unconfirmedAt = undefined;
    return ended;
  }
}
