/**
 * The SAs of one node. All peers use the same SPI (it is the key id), so an inbound SA is known by SPI, source and
 * destination together (RFC 4301, section 4.1, its longest form), and each has its own keys.
 *
 * What an SA opens must come from an address that its peer owns and go to one of this node: a node that has been taken
 * over speaks for its own pods alone.
 */
import { type Address, formatAddress } from '../ip/address.ts';
import { type Cidr, contains } from '../ip/cidr.ts';
import { readHeader } from '../ip/header.ts';
import type { InboundDrop, OutboundDrop } from './drops.ts';
import { readEspHeader } from './packet.ts';
import type { InboundSa, Opened, OutboundSa, Sealed } from './sa.ts';

/** The outer addresses of one direction. */
export interface Tunnel {
  readonly source: Address;
  readonly destination: Address;
}

/** What may come out of an SA. */
export interface Selectors {
  readonly sources: readonly Cidr[];
  readonly destinations: readonly Cidr[];
}

export class SaTable {
  readonly #inbound = new Map<string, { sa: InboundSa; selectors: Selectors }>();
  readonly #outbound = new Map<string, OutboundSa>();
  readonly drops = new Map<InboundDrop | OutboundDrop, number>();

  /** Throws when there is one already: an SA is never replaced, its counters would be lost. */
  addInbound(tunnel: Tunnel, sa: InboundSa, selectors: Selectors): void {
    const key = keyOf(sa.spi, tunnel);
    if (this.#inbound.has(key)) throw new Error(`there is an inbound SA ${key} already`);
    this.#inbound.set(key, { sa, selectors });
  }

  removeInbound(tunnel: Tunnel, spi: number): InboundSa | undefined {
    const key = keyOf(spi, tunnel);
    const found = this.#inbound.get(key);
    this.#inbound.delete(key);
    return found?.sa;
  }

  /** The SA that seals from now on; answers the one that did. */
  setOutbound(tunnel: Tunnel, sa: OutboundSa | undefined): OutboundSa | undefined {
    const key = keyOf(0, tunnel);
    const before = this.#outbound.get(key);
    if (sa) this.#outbound.set(key, sa);
    else this.#outbound.delete(key);
    return before;
  }

  seal(tunnel: Tunnel, inner: Uint8Array): Sealed {
    return this.#counted(this.#outbound.get(keyOf(0, tunnel))?.seal(inner) ?? { drop: 'no_state' });
  }

  open(tunnel: Tunnel, packet: Uint8Array): Opened {
    return this.#counted(this.#open(tunnel, packet));
  }

  #open(tunnel: Tunnel, packet: Uint8Array): Opened {
    const header = readEspHeader(packet);
    if (!header) return { drop: 'header' };
    const found = this.#inbound.get(keyOf(header.spi, tunnel));
    if (!found) return { drop: 'no_state' };
    const opened = found.sa.open(packet);
    if ('drop' in opened || !opened.inner) return opened;
    return matches(found.selectors, opened.inner) ? opened : { drop: 'template_mismatched' };
  }

  #counted<T extends Sealed | Opened>(result: T): T {
    if ('drop' in result) this.drops.set(result.drop, (this.drops.get(result.drop) ?? 0) + 1);
    return result;
  }
}

function matches({ sources, destinations }: Selectors, inner: Uint8Array): boolean {
  const header = readHeader(inner);
  if (!header) return false;
  return (
    sources.some(cidr => contains(cidr, header.source)) &&
    destinations.some(cidr => contains(cidr, header.destination))
  );
}

function keyOf(spi: number, { source, destination }: Tunnel): string {
  return `0x${spi.toString(16).padStart(8, '0')} ${formatAddress(source)} ${formatAddress(destination)}`;
}
