/** What a client has sent, until it is answered: requests that end with an empty line. Its bytes are wiped when they go. */
import { wipe } from '../proto/bytes.ts';

const END = Buffer.from('\n\n');
const LEAST_CHUNK = 4096;
const MOST_CHUNK = 65_536;

interface Chunk {
  readonly room: Buffer;
  /** Of the room that is used. */
  end: number;
}

export class RequestBuffer {
  #chunks: Chunk[] = [];
  /** Of the first chunk: what is before it was taken. */
  #start = 0;
  #size = 0;
  #last: number | undefined;
  #mayEnd = false;

  /** Bytes that wait, in requests that are whole or have only begun. */
  get size(): number {
    return this.#size;
  }

  /** A view, valid until the next call. */
  get bytes(): Uint8Array {
    const { room, end } = this.#whole();
    return room.subarray(this.#start, end);
  }

  /** In whatever pieces they come: the memory stays in proportion to the bytes. Wipes the piece. */
  push(piece: Uint8Array): void {
    const first = piece[0];
    if (first === undefined) return;
    this.#mayEnd ||=
      (this.#last === END[0] && first === END[0]) ||
      Buffer.from(piece.buffer, piece.byteOffset, piece.length).includes(END);
    this.#last = piece[piece.length - 1];
    for (let rest = piece; rest.length > 0; ) {
      const chunk = this.#roomFor(rest.length);
      const part = rest.subarray(0, chunk.room.length - chunk.end);
      chunk.room.set(part, chunk.end);
      chunk.end += part.length;
      rest = rest.subarray(part.length);
    }
    this.#size += piece.length;
    wipe(piece);
  }

  /** The next whole request without its empty line, and away with it; undefined when there is none. */
  take(): string | undefined {
    if (!this.#mayEnd) return undefined;
    let { room, end } = this.#chunks[0] ?? this.#whole();
    let at = room.subarray(0, end).indexOf(END, this.#start);
    if (at < 0 && this.#chunks.length > 1) {
      ({ room, end } = this.#whole());
      at = room.subarray(0, end).indexOf(END, this.#start);
    }
    if (at < 0) {
      this.#mayEnd = false;
      return undefined;
    }
    const request = room.toString('utf8', this.#start, at + 1);
    const next = at + END.length;
    wipe(room.subarray(this.#start, next));
    this.#size -= next - this.#start;
    this.#start = next;
    if (this.#start === end) {
      this.#chunks.shift();
      this.#start = 0;
    }
    return request;
  }

  #roomFor(more: number): Chunk {
    const last = this.#chunks.at(-1);
    if (last && last.end < last.room.length) return last;
    const size = Math.min(MOST_CHUNK, Math.max(LEAST_CHUNK, this.#size, more));
    const chunk = { room: Buffer.alloc(size), end: 0 };
    this.#chunks.push(chunk);
    return chunk;
  }

  /** Everything in one chunk. */
  #whole(): Chunk {
    const [first] = this.#chunks;
    if (first && this.#chunks.length === 1) return first;
    const whole = { room: Buffer.alloc(this.#size), end: 0 };
    for (const { room, end } of this.#chunks) {
      const part = room.subarray(whole.end === 0 ? this.#start : 0, end);
      whole.room.set(part, whole.end);
      whole.end += part.length;
      wipe(part);
    }
    this.#chunks = [whole];
    this.#start = 0;
    return whole;
  }
}
