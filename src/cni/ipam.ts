/** Which addresses of the node's pod CIDRs are in use. Pure: the kernel's links are the memory. */
import { addressToInteger, formatAddress, parseAddress } from '../proto/ip/address.ts';
import { type Cidr, contains, network, nthAddress, parseCidr, sizeOf } from '../proto/ip/cidr.ts';

/**
 * One CIDR's addresses. The first and the last one (network and broadcast) and the reserved ones are never given out.
 * An address that was released comes again only after every other one: what still points at its old owner (conntrack,
 * DNS, a peer's cache) has the longest time to forget.
 */
export class AddressPool {
  readonly cidr: Cidr;
  readonly #reserved: Set<string>;
  readonly #used = new Set<string>();
  /** In the order of their release. */
  readonly #released = new Set<string>();
  /** Ranges of indexes, each up to its end, that were not given out since the start; consumed from the front. */
  readonly #fresh: { next: bigint; end: bigint }[];

  /** `inUse` that are not of this CIDR are left out. Throws TypeError for what is no CIDR. */
  constructor(cidr: string, reserved: Iterable<string> = [], inUse: Iterable<string> = []) {
    const parsed = parseCidr(cidr);
    if (!parsed) throw new TypeError(`not a CIDR: ${JSON.stringify(cidr)}`);
    this.cidr = parsed;
    this.#reserved = new Set(reserved);
    for (const address of inUse) this.take(address);
    // After a restart nobody knows what was released last: go on above what is in use, the gaps come after.
    const indexes = [...this.#used].map(address => this.#indexOf(address));
    const highest = indexes.reduce((a, b) => (a > b ? a : b), 0n);
    this.#fresh = [
      { next: highest + 1n, end: this.#last },
      { next: 1n, end: highest },
    ];
  }

  get family(): 4 | 6 {
    return this.cidr.address.family;
  }

  get used(): number {
    return this.#used.size;
  }

  /** An address for a new pod; undefined when all are in use. */
  allocate(): string | undefined {
    for (const range of this.#fresh) {
      while (range.next < range.end) {
        const address = this.#at(range.next++);
        if (this.#isFree(address) && !this.#released.has(address)) return this.#use(address);
      }
    }
    for (const address of this.#released) return this.#use(address);
    return undefined;
  }

  /** Marks this very address as used. False when it is not of this CIDR, reserved or in use. */
  take(address: string): boolean {
    if (!this.#holds(address) || !this.#isFree(address)) return false;
    this.#use(address);
    return true;
  }

  /** Nothing happens when it was not in use. */
  release(address: string): void {
    if (this.#used.delete(address)) this.#released.add(address);
  }

  #use(address: string): string {
    this.#released.delete(address);
    this.#used.add(address);
    return address;
  }

  #isFree(address: string): boolean {
    return !this.#used.has(address) && !this.#reserved.has(address);
  }

  #holds(text: string): boolean {
    const address = parseAddress(text);
    if (!address || !contains(this.cidr, address)) return false;
    const index = this.#indexOf(text);
    return index > 0n && index < this.#last;
  }

  get #last(): bigint {
    return sizeOf(this.cidr) - 1n;
  }

  #indexOf(text: string): bigint {
    return addressToInteger(parseAddress(text)!) - addressToInteger(network(this.cidr).address);
  }

  #at(index: bigint): string {
    return formatAddress(nthAddress(this.cidr, index)!);
  }
}
