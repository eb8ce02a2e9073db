/** Calls back once, at the earliest of the times asked for. */
export class Alarm {
  readonly #ring: () => void;
  #set: { at: number; handle: NodeJS.Timeout } | undefined;

  constructor(ring: () => void) {
    this.#ring = ring;
  }

  within(ms: number): void {
    const at = performance.now() + ms;
    if (this.#set && this.#set.at <= at) return;
    clearTimeout(this.#set?.handle);
    const handle = setTimeout(() => {
      this.#set = undefined;
      this.#ring();
    }, ms);
    this.#set = { at, handle };
  }

  cancel(): void {
    clearTimeout(this.#set?.handle);
    this.#set = undefined;
  }
}
