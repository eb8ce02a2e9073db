import type { Endpoint } from './api.ts';
import type { CarriedEndpoint } from './carried.ts';

/** Where one peer is: as it was configured, and as it moved since. */
export class PeerEndpoint {
  /** Where the packet loop sends to, if it knows better. */
  readonly #roamed: () => Endpoint | undefined;
  #configured: Endpoint | undefined;
  #heard: Endpoint | undefined;
  /** Moves that the packet loop was not yet told of: until then its own record is older than ours. */
  #untold = 0;
  #tries = 0;

  constructor(roamed: () => Endpoint | undefined, carried?: CarriedEndpoint) {
    this.#roamed = roamed;
    this.#configured = carried?.configured;
    this.#heard = carried?.heard;
    this.#tries = carried?.tries ?? 0;
  }

  /** Every move has to be told. */
  carry(): CarriedEndpoint {
    return { configured: this.#configured, heard: this.#heard, tries: this.#tries };
  }

  get current(): Endpoint | undefined {
    return (this.#untold === 0 ? this.#roamed() : undefined) ?? this.#heard;
  }

  /** Whether it is another one than before. */
  configure(endpoint: Endpoint): boolean {
    const before = this.current;
    this.#configured = endpoint;
    this.moveTo(endpoint);
    return before?.address !== endpoint.address || before.port !== endpoint.port;
  }

  moveTo(endpoint: Endpoint): void {
    this.#heard = endpoint;
    this.#untold++;
  }

  told(): void {
    this.#untold--;
  }

  attemptBegins(): void {
    this.#tries = 0;
  }

  /**
   * For the next initiation of the attempt. Every other retry goes to the configured endpoint: whoever once got ahead of
   * the peer with a copy of its packet, from another address, has not led us away for good.
   */
  nextDestination(): Endpoint | undefined {
    const isOther = this.#tries++ % 2 === 1;
    return isOther && this.#configured ? this.#configured : this.current;
  }
}
