/** The memory twin of a WireGuard device: UAPI's semantics on plain data, for tests and dry runs. */
import { randomBytes } from 'node:crypto';
import type { ObservedPeer, WireGuardDesired, WireGuardDriver, WireGuardObserved } from './driver.ts';
import { DriverUnavailable } from './driver.ts';
import { endpointText, wireguardChanges } from './wireguard-changes.ts';
import { hexToBase64, publicKeyOf } from './wireguard-keys.ts';

export class MemoryWireGuard implements WireGuardDriver {
  readonly name = 'memory';
  /** False: as if no engine ran. */
  running = true;
  /** Called after each line that took effect. */
  onLine: ((line: string, state: WireGuardObserved) => void) | undefined;
  #state = empty();
  #endpoints = new Map<string, string>();
  readonly #now: () => number;

  constructor(options: { now?: () => number } = {}) {
    this.#now = options.now ?? Date.now;
  }

  async apply(desired: WireGuardDesired): Promise<string[]> {
    const { lines, phrases } = wireguardChanges(await this.observe(), desired, {
      publicKey: publicKeyOf(desired.privateKey),
      strangerKey: randomBytes(32).toString('base64'),
      endpoints: this.#endpoints,
      now: this.#now(),
    });
    this.#endpoints = new Map(desired.peers.map(peer => [peer.publicKey, endpointText(peer.endpoint)]));
    this.set(lines);
    return phrases;
  }

  async observe(): Promise<WireGuardObserved> {
    if (!this.running) throw new DriverUnavailable('the memory engine is switched off');
    return structuredClone(this.#state);
  }

  async cleanUp(): Promise<void> {
    this.#state = empty();
  }

  /** The lines of a `set=1`. */
  set(lines: string[]): void {
    let peer: ObservedPeer | undefined;
    for (const line of lines) {
      const [key, value] = [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)];
      if (key === 'public_key') peer = this.#peer(hexToBase64(value));
      else if (key === 'private_key') this.#state.publicKey = publicKeyOf(Buffer.from(value, 'hex'));
      else if (key === 'listen_port') this.#state.listenPort = Number(value);
      else if (key === 'fwmark') this.#state.mark = Number(value);
      else if (peer && key === 'remove') this.#remove(peer.publicKey);
      else if (peer && key === 'endpoint') peer.endpoint = endpointOf(value);
      else if (peer && key === 'persistent_keepalive_interval') peer.persistentKeepalive = Number(value);
      else if (peer && key === 'allowed_ip') this.#give(value, peer);
      else if (key !== 'update_only') throw new TypeError(`line out of place: ${line}`);
      this.onLine?.(line, this.#state);
    }
  }

  #peer(publicKey: string): ObservedPeer {
    const found = this.#state.peers.find(peer => peer.publicKey === publicKey);
    if (found) return found;
    const peer = { publicKey, allowedIPs: [], persistentKeepalive: 0, receivedBytes: 0, sentBytes: 0 };
    this.#state.peers.push(peer);
    return peer;
  }

  #remove(publicKey: string): void {
    this.#state.peers = this.#state.peers.filter(peer => peer.publicKey !== publicKey);
  }

  #give(ip: string, to: ObservedPeer): void {
    for (const peer of this.#state.peers) peer.allowedIPs = peer.allowedIPs.filter(other => other !== ip);
    to.allowedIPs.push(ip);
  }
}

function empty(): WireGuardObserved {
  return { listenPort: 0, mark: 0, peers: [] };
}

function endpointOf(text: string): { address: string; port: number } {
  const colon = text.lastIndexOf(':');
  return { address: text.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(text.slice(colon + 1)) };
}
