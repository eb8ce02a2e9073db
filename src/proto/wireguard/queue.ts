/** First in, first out: unlike an array's `shift`, taking one costs the same however many wait. */
export class Queue<T> {
  #items: T[] = [];
  #taken = 0;

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T | undefined {
    if (this.#items.length === 0) return undefined;
    const item = this.#items[this.#taken++];
    if (this.#taken < this.#items.length) return item;
    this.#items = [];
    this.#taken = 0;
    return item;
  }
}
