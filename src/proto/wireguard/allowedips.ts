/** Cryptokey routing (paper, 2): which peer may send from an address, and gets what is sent to it. */
import type { Address } from '../ip/address.ts';
import type { Cidr } from '../ip/cidr.ts';
import { PrefixTrie } from '../ip/trie.ts';

export class AllowedIps<Peer extends NonNullable<unknown>> {
  readonly #trie = new PrefixTrie<Peer>();

  /** A range belongs to one peer: it is taken from the one that had it. */
  add(range: Cidr, peer: Peer): void {
    this.#trie.set(range, peer);
  }

  /** Only if it is this peer's. */
  remove(range: Cidr, peer: Peer): boolean {
    return this.#trie.get(range) === peer && this.#trie.delete(range) !== undefined;
  }

  removePeer(peer: Peer): void {
    for (const range of this.rangesOf(peer)) this.#trie.delete(range);
  }

  /** The peer with the longest range that has the address. */
  lookup(address: Address): Peer | undefined {
    return this.#trie.lookup(address);
  }

  rangesOf(peer: Peer): Cidr[] {
    return [...this.#trie.entries()].filter(([, owner]) => owner === peer).map(([range]) => range);
  }
}
