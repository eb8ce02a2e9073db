/** What a client has sent, until it is answered: requests that end with an empty line. Its bytes are wiped when they go. */
import { wipe } from '../proto/bytes.ts';

const END = Buffer.from('\n\n');
const NOTHING = Buffer.alloc(0);
const FIRST_BYTES = 4096;

export class RequestBuffer {
  #room = NOTHING;
  #start = 0;
  #end = 0;
  /** Up to where no request ends. */
  #searched = 0;

  /** Bytes that wait, in requests that are whole or have only begun. */
  get size(): number {
    return this.#end - this.#start;
  }

  /** A view, valid until the next call. */
  get bytes(): Uint8Array {
    return this.#room.subarray(this.#start, this.#end);
  }

  /** In whatever pieces they come: the memory stays in proportion to the bytes. Wipes the piece. */
  push(piece: Uint8Array): void {
    if (this.#end + piece.length > this.#room.length) this.#makeRoom(piece.length);
    this.#room.set(piece, this.#end);
    this.#end += piece.length;
    wipe(piece);
  }

  /** The next whole request without its empty line, and away with it; undefined when there is none. */
  take(): string | undefined {
    const at = this.#room.subarray(0, this.#end).indexOf(END, this.#searched);
    if (at < 0) {
      this.#searched = Math.max(this.#start, this.#end - 1);
      return undefined;
    }
    const request = this.#room.toString('utf8', this.#start, at + 1);
    const next = at + END.length;
    wipe(this.#room.subarray(this.#start, next));
    this.#start = next;
    this.#searched = next;
    if (this.#start === this.#end) this.#become(NOTHING);
    return request;
  }

  #makeRoom(more: number): void {
    const needed = this.size + more;
    this.#become(Buffer.alloc(Math.max(FIRST_BYTES, 2 * needed)));
  }

  /** Goes on in another piece of memory. */
  #become(room: Buffer<ArrayBuffer>): void {
    const { bytes, size } = this;
    room.set(bytes);
    wipe(bytes);
    this.#searched -= this.#start;
    this.#room = room;
    this.#start = 0;
    this.#end = size;
  }
}
