/**
 * The userspace engine as a driver. The engine is a process of its own (pellicle-engine, or any WireGuard with the same
 * socket) which may be there or not; it is configured again whenever it comes back.
 */
import { randomBytes } from 'node:crypto';
import { stat } from 'node:fs/promises';
import type { WireGuardDesired, WireGuardDriver, WireGuardObserved } from './driver.ts';
import { DriverUnavailable } from './driver.ts';
import { uapiGet, uapiSet } from './uapi-client.ts';
import { endpointText, nudges, wireguardChanges } from './wireguard-changes.ts';
import { publicKeyOf } from './wireguard-keys.ts';

export const UAPI_DIRECTORY = '/var/run/wireguard';

export interface EngineOptions {
  device: string;
  /** Default /var/run/wireguard. */
  directory?: string;
  timeoutMs?: number;
  /** Unix time in milliseconds. */
  now?: () => number;
}

export class WireGuardEngine implements WireGuardDriver {
  readonly name = 'wireguard-engine';
  readonly #socket: string;
  readonly #timeout: { timeoutMs?: number };
  readonly #now: () => number;
  /** Endpoints as set last, by public key. */
  #endpoints = new Map<string, string>();

  constructor(options: EngineOptions) {
    this.#socket = `${options.directory ?? UAPI_DIRECTORY}/${options.device}.sock`;
    this.#timeout = options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs };
    this.#now = options.now ?? Date.now;
  }

  async apply(desired: WireGuardDesired): Promise<string[]> {
    const observed = await this.observe();
    const { lines, phrases, added } = wireguardChanges(observed, desired, {
      publicKey: publicKeyOf(desired.privateKey),
      strangerKey: randomBytes(32).toString('base64'),
      endpoints: this.#endpoints,
      now: this.#now(),
    });
    await uapiSet(this.#socket, lines, this.#timeout);
    this.#endpoints = new Map(desired.peers.map(peer => [peer.publicKey, endpointText(peer.endpoint)]));
    const fresh = desired.peers.filter(peer => added.includes(peer.publicKey));
    const { now, after } = nudges(fresh);
    await uapiSet(this.#socket, now, this.#timeout);
    await uapiSet(this.#socket, after, this.#timeout);
    return phrases;
  }

  observe(): Promise<WireGuardObserved> {
    return uapiGet(this.#socket, this.#timeout);
  }

  /** Takes key and peers away; the engine itself and its device belong to others. */
  async cleanUp(): Promise<void> {
    try {
      await uapiSet(this.#socket, ['private_key=' + '0'.repeat(64), 'replace_peers=true'], this.#timeout);
    } catch (error) {
      if (!(error instanceof DriverUnavailable)) throw error;
    }
  }

  /** A text that differs for each run of the engine; undefined while there is none. */
  async incarnation(): Promise<string | undefined> {
    const found = await stat(this.#socket, { bigint: true }).catch(() => undefined);
    return found && `${found.ino}:${found.ctimeNs}`;
  }
}
