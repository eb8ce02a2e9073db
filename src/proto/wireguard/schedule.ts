/** Which of many holders of timers is due first: a binary heap that can move its members. */

interface Entry<T> {
  readonly member: T;
  at: number;
  position: number;
}

export class Schedule<T> {
  readonly #heap: Entry<T>[] = [];
  readonly #entries = new Map<T, Entry<T>>();

  get first(): T | undefined {
    return this.#heap[0]?.member;
  }

  /** Sets, moves, or with undefined takes out. */
  set(member: T, at: number | undefined): void {
    if (at === undefined) {
      this.delete(member);
      return;
    }
    const known = this.#entries.get(member);
    const entry = known ?? { member, at, position: this.#heap.length };
    entry.at = at;
    if (!known) {
      this.#entries.set(member, entry);
      this.#heap.push(entry);
    }
    this.#settle(entry);
  }

  delete(member: T): void {
    const entry = this.#entries.get(member);
    if (!entry) return;
    this.#entries.delete(member);
    const last = this.#heap.pop()!;
    if (last === entry) return;
    this.#place(last, entry.position);
    this.#settle(last);
  }

  /** Takes out, earliest first, all that are due by `now`. */
  due(now: number): T[] {
    const members: T[] = [];
    for (let entry = this.#heap[0]; entry && entry.at <= now; entry = this.#heap[0]) {
      members.push(entry.member);
      this.delete(entry.member);
    }
    return members;
  }

  #settle(entry: Entry<T>): void {
    for (;;) {
      const parent = this.#heap[(entry.position - 1) >> 1];
      if (entry.position === 0 || !parent || parent.at <= entry.at) break;
      this.#swap(entry, parent);
    }
    for (;;) {
      const left = this.#heap[2 * entry.position + 1];
      const right = this.#heap[2 * entry.position + 2];
      const child = right && left && right.at < left.at ? right : left;
      if (!child || child.at >= entry.at) return;
      this.#swap(entry, child);
    }
  }

  #swap(a: Entry<T>, b: Entry<T>): void {
    const position = a.position;
    this.#place(a, b.position);
    this.#place(b, position);
  }

  #place(entry: Entry<T>, position: number): void {
    this.#heap[position] = entry;
    entry.position = position;
  }
}
