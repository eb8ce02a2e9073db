/**
 * The three keypairs of a peer (the Linux module's noise.c). `current` seals. `previous` still opens what was under way
 * when it was replaced. `next` is a responder's: it opens only, until the first packet shows that the initiator has it.
 */
export class KeypairSlots<T> {
  #current: T | undefined;
  #previous: T | undefined;
  #next: T | undefined;

  get current(): T | undefined {
    return this.#current;
  }

  get previous(): T | undefined {
    return this.#previous;
  }

  get next(): T | undefined {
    return this.#next;
  }

  all(): T[] {
    return [this.#current, this.#previous, this.#next].filter(keypair => keypair !== undefined);
  }

  /** Returns what fell out. */
  install(keypair: T, initiator: boolean): T[] {
    const before = this.all();
    if (initiator) {
      this.#previous = this.#next ?? this.#current;
      this.#next = undefined;
      this.#current = keypair;
    } else {
      this.#next = keypair;
      this.#previous = undefined;
    }
    return this.#missingFrom(before);
  }

  /** A packet opened with `next`. Returns what fell out. */
  confirm(): T[] {
    const before = this.all();
    if (this.#next === undefined) return [];
    this.#previous = this.#current;
    this.#current = this.#next;
    this.#next = undefined;
    return this.#missingFrom(before);
  }

  remove(keypair: T): void {
    if (this.#current === keypair) this.#current = undefined;
    if (this.#previous === keypair) this.#previous = undefined;
    if (this.#next === keypair) this.#next = undefined;
  }

  #missingFrom(before: readonly T[]): T[] {
    const now = new Set(this.all());
    return before.filter(keypair => !now.has(keypair));
  }
}
