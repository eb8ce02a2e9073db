/** Receiver indices: 32 random bits that name one of our handshakes or keypairs to its peer. */

export class IndexTable<T> {
  readonly #entries = new Map<number, T>();
  readonly #random: (bytes: number) => Uint8Array;

  constructor(random: (bytes: number) => Uint8Array) {
    this.#random = random;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** A free index, which from now on finds `entry`. */
  allocate(entry: T): number {
    for (;;) {
      const bytes = this.#random(4);
      const index = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
      if (this.#entries.has(index)) continue;
      this.#entries.set(index, entry);
      return index;
    }
  }

  /** An index that was allocated in another process. */
  adopt(index: number, entry: T): void {
    this.#entries.set(index, entry);
  }

  get(index: number): T | undefined {
    return this.#entries.get(index);
  }

  release(index: number): boolean {
    return this.#entries.delete(index);
  }
}
