/**
 * Longest-prefix lookup, one family per root, by a binary trie with skipped levels: every node either holds a value or
 * has two children, so that it never has more nodes than twice its prefixes.
 */
import type { Address } from './address.ts';
import { type Cidr, network } from './cidr.ts';

interface Node<T> {
  readonly cidr: Cidr;
  value: T | undefined;
  readonly children: [Node<T> | undefined, Node<T> | undefined];
}

export class PrefixTrie<T extends NonNullable<unknown>> {
  readonly #roots = { 4: undefined as Node<T> | undefined, 6: undefined as Node<T> | undefined };
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Returns what the same prefix held before. */
  set(cidr: Cidr, value: T): T | undefined {
    const leaf: Node<T> = { cidr: network(cidr), value, children: [undefined, undefined] };
    const family = cidr.address.family;
    const root = this.#roots[family];
    const before = root && find(root, leaf.cidr);
    this.#roots[family] = root ? insert(root, leaf) : leaf;
    if (before === undefined) this.#size++;
    return before;
  }

  /** The value of exactly this prefix. */
  get(cidr: Cidr): T | undefined {
    const root = this.#roots[cidr.address.family];
    return root && find(root, network(cidr));
  }

  delete(cidr: Cidr): T | undefined {
    const family = cidr.address.family;
    const before = this.get(cidr);
    if (before === undefined) return undefined;
    this.#roots[family] = remove(this.#roots[family], network(cidr));
    this.#size--;
    return before;
  }

  /** The value of the longest prefix that contains the address. */
  lookup(address: Address): T | undefined {
    let found: T | undefined;
    let node = this.#roots[address.family];
    while (node && commonBits(node.cidr.address.bytes, address.bytes) >= node.cidr.prefix) {
      found = node.value ?? found;
      node =
        node.cidr.prefix < 8 * address.bytes.length
          ? node.children[bitAt(address.bytes, node.cidr.prefix)]
          : undefined;
    }
    return found;
  }

  /** IPv4 first; each family by address, shorter prefixes first. */
  *entries(): Generator<[Cidr, T]> {
    yield* walk(this.#roots[4]);
    yield* walk(this.#roots[6]);
  }
}

function find<T>(root: Node<T>, cidr: Cidr): T | undefined {
  let node: Node<T> | undefined = root;
  while (node && covers(node.cidr, cidr)) {
    if (node.cidr.prefix === cidr.prefix) return node.value;
    node = node.children[bitAt(cidr.address.bytes, node.cidr.prefix)];
  }
  return undefined;
}

function insert<T>(node: Node<T>, leaf: Node<T>): Node<T> {
  if (covers(node.cidr, leaf.cidr)) {
    if (node.cidr.prefix === leaf.cidr.prefix) {
      node.value = leaf.value;
      return node;
    }
    const bit = bitAt(leaf.cidr.address.bytes, node.cidr.prefix);
    const child = node.children[bit];
    node.children[bit] = child ? insert(child, leaf) : leaf;
    return node;
  }
  if (covers(leaf.cidr, node.cidr)) {
    leaf.children[bitAt(node.cidr.address.bytes, leaf.cidr.prefix)] = node;
    return leaf;
  }
  const prefix = commonBits(node.cidr.address.bytes, leaf.cidr.address.bytes);
  const fork: Node<T> = {
    cidr: network({ address: leaf.cidr.address, prefix }),
    value: undefined,
    children: [undefined, undefined],
  };
  fork.children[bitAt(node.cidr.address.bytes, prefix)] = node;
  fork.children[bitAt(leaf.cidr.address.bytes, prefix)] = leaf;
  return fork;
}

function remove<T>(node: Node<T> | undefined, cidr: Cidr): Node<T> | undefined {
  if (!node || !covers(node.cidr, cidr)) return node;
  if (node.cidr.prefix === cidr.prefix) {
    node.value = undefined;
  } else {
    const bit = bitAt(cidr.address.bytes, node.cidr.prefix);
    node.children[bit] = remove(node.children[bit], cidr);
  }
  const [left, right] = node.children;
  return node.value !== undefined || (left && right) ? node : (left ?? right);
}

function* walk<T>(node: Node<T> | undefined): Generator<[Cidr, T]> {
  if (!node) return;
  if (node.value !== undefined) yield [node.cidr, node.value];
  yield* walk(node.children[0]);
  yield* walk(node.children[1]);
}

function covers(outer: Cidr, inner: Cidr): boolean {
  return outer.prefix <= inner.prefix && commonBits(outer.address.bytes, inner.address.bytes) >= outer.prefix;
}

function bitAt(bytes: Uint8Array, index: number): 0 | 1 {
  return ((bytes[index >> 3]! >> (7 - (index & 7))) & 1) as 0 | 1;
}

function commonBits(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) {
    const difference = a[i]! ^ b[i]!;
    if (difference !== 0) return 8 * i + Math.clz32(difference) - 24;
  }
  return 8 * a.length;
}
