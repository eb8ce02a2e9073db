/** The words of a request to the ESP engine, and the checks of each kind of them. */
import { fromHex, secretCopy, wipe } from '../proto/bytes.ts';
import { type Address, parseAddress } from '../proto/ip/address.ts';
import { type Cidr, network, parseCidr } from '../proto/ip/cidr.ts';

/** A request that is not carried out. `line` counts from 1; 0 is the request as a whole. */
export class EspRequestError extends Error {
  readonly line: number;
  constructor(line: number, message: string) {
    super(message);
    this.line = line;
  }
}

/** The words of one line. */
export class Words {
  readonly #words: string[];
  readonly #line: number;
  readonly #seen = new Set<string>();
  #at = 0;

  constructor(text: string, line: number) {
    this.#line = line;
    this.#words = [];
    const pattern = /\s*(?:'([^']*)'|"([^"]*)"|([^\s'"]+))(?=\s|$)|\s*$/y;
    while (pattern.lastIndex < text.length) {
      const found = pattern.exec(text);
      if (!found) this.fail('a quote is not closed, or stands inside a word');
      const word = found?.[1] ?? found?.[2] ?? found?.[3];
      if (word !== undefined) this.#words.push(word);
    }
  }

  get more(): boolean {
    return this.#at < this.#words.length;
  }

  peek(): string | undefined {
    return this.#words[this.#at];
  }

  next(what: string): string {
    const word = this.#words[this.#at++];
    return word ?? this.fail(`the line ends where ${what} is expected`);
  }

  take(word: string): boolean {
    const isNext = this.peek() === word;
    if (isNext) this.#at++;
    return isNext;
  }

  expect(word: string): void {
    const found = this.next(word);
    if (found !== word) this.fail(`${shown(found)} stands where ${word} is expected`);
  }

  rest(): string[] {
    const rest = this.#words.slice(this.#at);
    this.#at = this.#words.length;
    return rest;
  }

  end(): void {
    const word = this.peek();
    if (word !== undefined) this.fail(`${shown(word)} is too much`);
  }

  /** Fails when the word was there before. */
  once(word: string): void {
    if (this.#seen.has(word)) this.fail(`${word.replace('add ', '')} is there twice`);
    this.#seen.add(word);
  }

  number(text: string, most: bigint): bigint {
    const value = /^(0|[1-9][0-9]{0,19}|0x[0-9a-fA-F]{1,16})$/.test(text) ? BigInt(text) : -1n;
    if (value < 0n || value > most) return this.fail(`${shown(text)} is no number from 0 to ${most}`);
    return value;
  }

  port(): number {
    const port = Number(this.number(this.next('a port'), 65_535n));
    return port === 0 ? this.fail('port 0 is none') : port;
  }

  address(text: string): Address {
    return parseAddress(text) ?? this.fail(`${shown(text)} is no IP address`);
  }

  cidr(text: string): Cidr {
    const parsed = parseCidr(text);
    return parsed ? network(parsed) : this.fail(`${shown(text)} is no range of addresses, as 10.244.1.0/24`);
  }

  /** Never shown. */
  key(of: string): Uint8Array {
    const text = this.next('a key');
    const key = text.startsWith('0x') ? fromHex(text.slice(2)) : undefined;
    if (!key || key.length === 0) return this.fail(`the key of ${of} is not 0x and whole bytes of hex`);
    const own = secretCopy(key);
    wipe(key);
    return own;
  }

  ranged<T>(make: () => T): T {
    try {
      return make();
    } catch (error) {
      if (error instanceof RangeError) return this.fail(error.message);
      throw error;
    }
  }

  fail(message: string): never {
    throw new EspRequestError(this.#line, message);
  }
}

/** Somebody's word in a message; not when it may be a key in the wrong place. */
export function shown(word: string): string {
  if (/[0-9a-fA-F]{8}/.test(word)) return 'a word of hex digits';
  return JSON.stringify(word.length > 40 ? `${word.slice(0, 40)}…` : word);
}
