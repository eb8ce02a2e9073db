/**
 * The userspace engine as a driver. The engine is a process of its own (pellicle-engine, or any WireGuard with the same
 * socket) which may be there or not; it is configured again whenever it comes back.
 */
import { randomBytes } from 'node:crypto';
import { stat } from 'node:fs/promises';
import type { WireGuardDesired, WireGuardDriver, WireGuardObserved } from './driver.ts';
import { DriverUnavailable } from './driver.ts';
import { UapiError, uapiGet, uapiSet } from './uapi-client.ts';
import { endpointText, nudges, type WireGuardChanges, wireguardChanges } from './wireguard-changes.ts';
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
  #applied: WireGuardDesired | undefined;

  constructor(options: EngineOptions) {
    this.#socket = `${options.directory ?? UAPI_DIRECTORY}/${options.device}.sock`;
    this.#timeout = options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs };
    this.#now = options.now ?? Date.now;
  }

  async apply(desired: WireGuardDesired): Promise<string[]> {
    const { lines, phrases, added } = await this.#changes(desired);
    await uapiSet(this.#socket, lines, this.#timeout).catch(error => {
      throw isPortTaken(error) ? portTaken(desired.listenPort) : error;
    });
    this.#applied = desired;
    this.#endpoints = new Map(desired.peers.map(peer => [peer.publicKey, endpointText(peer.endpoint)]));
    const fresh = desired.peers.filter(peer => added.includes(peer.publicKey));
    const { now, after } = nudges(fresh);
    await uapiSet(this.#socket, now, this.#timeout);
    await uapiSet(this.#socket, after, this.#timeout);
    return phrases;
  }

  /** Whether somebody changed what the last `apply` made; one question to the engine. Rejects as `observe` does. */
  async drifted(): Promise<boolean> {
    return this.#applied !== undefined && (await this.#changes(this.#applied)).lines.length > 0;
  }

  observe(): Promise<WireGuardObserved> {
    return uapiGet(this.#socket, this.#timeout);
  }

  /** Takes key and peers away; the engine itself and its device belong to others. */
  async cleanUp(): Promise<void> {
    this.#applied = undefined;
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

  async #changes(desired: WireGuardDesired): Promise<WireGuardChanges> {
    return wireguardChanges(await this.observe(), desired, {
      publicKey: publicKeyOf(desired.privateKey),
      strangerKey: randomBytes(32).toString('base64'),
      endpoints: this.#endpoints,
      now: this.#now(),
    });
  }
}

const EADDRINUSE = 98;

function isPortTaken(error: unknown): boolean {
  return error instanceof UapiError && error.errno === EADDRINUSE;
}

function portTaken(port: number): DriverUnavailable {
  return new DriverUnavailable(
    `UDP port ${port} of this node is taken: stop what listens on it (ss -lunp 'sport = :${port}')`,
    'PortTaken',
  );
}
