/** The devices of one engine, each with the socket that it is configured by: WireGuard's, ESP's, or both. */
import { randomUUID } from 'node:crypto';
import type { CarriedTunnel } from './carried-tunnel.ts';
import { type CarriedEsp, EspTunnel } from './esp-tunnel.ts';
import { detached } from './handover-codec.ts';
import type { Log } from './log.ts';
import { type CarriedServer, type RequestServer, serveRequests } from './request-server.ts';
import { Tunnel } from './tunnel.ts';
import { serveUapi } from './uapi-server.ts';

export const DEFAULT_MTU = 1420;
/** What stands in 1500 bytes with vxlan and AES-GCM around it, as pods have it. */
export const DEFAULT_ESP_MTU = 1373;
export const SOCKET_FOLDER = '/var/run/wireguard';
export const ESP_SOCKET_FOLDER = '/var/run/pellicle';
/** Of the mark that sets the engine's own packets apart: 0xe00 of the mask 0xf00. */
const ESP_MARK = 0xe00;

export interface EngineDevices {
  /** Of the WireGuard device. */
  readonly name?: string;
  /** Of the ESP device. */
  readonly ipsec?: string;
}

export interface EngineOptions extends EngineDevices {
  readonly persist: boolean;
  readonly mtu?: number;
  logOf(device: string): Log;
  /** A device or a socket was removed by somebody: there is nothing left to do. */
  onEnd(why: string): void;
}

/** An engine on its way to another process. */
export interface CarriedEngine {
  readonly wireguard?: { readonly tunnel: CarriedTunnel; readonly server: CarriedServer } | undefined;
  readonly ipsec?: { readonly tunnel: CarriedEsp; readonly server: CarriedServer } | undefined;
}

interface Service<Carried> {
  readonly tunnel: { start(): void; carry(): Carried; close(): void };
  readonly isCarried: boolean;
  serve(): Promise<RequestServer>;
  server?: RequestServer;
}

/** Undefined parts are not there. */
export class Engine {
  readonly #wireguard: Service<CarriedTunnel> | undefined;
  readonly #ipsec: Service<CarriedEsp> | undefined;

  /**
   * Throws with a sentence, and leaves nothing, when a device or a socket cannot be had. With `carried`, devices that another
   * engine had go on in its place as soon as `confirm` returns, and not at all when that throws; others are made.
   */
  static async start(
    options: EngineOptions,
    taken?: { carried: CarriedEngine; confirm(): void },
  ): Promise<Engine> {
    const engine = new Engine(options, taken?.carried ?? {});
    try {
      taken?.confirm();
      for (const { tunnel, isCarried } of engine.#services) if (isCarried) tunnel.start();
      for (const service of engine.#services) service.server = await service.serve();
    } catch (error) {
      engine.close();
      throw error;
    }
    return engine;
  }

  private constructor(options: EngineOptions, carried: CarriedEngine) {
    const { name, ipsec } = options;
    if (name) this.#wireguard = wireguardService(name, options, carried.wireguard);
    try {
      if (ipsec) this.#ipsec = espService(ipsec, options, carried.ipsec);
    } catch (error) {
      this.#wireguard?.tunnel.close();
      throw error;
    }
  }

  get #services(): readonly Service<unknown>[] {
    return [this.#wireguard, this.#ipsec].filter(service => service !== undefined);
  }

  /** For another process. From now on nothing is sealed or opened, until `resume`. */
  carry(): CarriedEngine {
    return { wireguard: carry(this.#wireguard), ipsec: carry(this.#ipsec) };
  }

  /** Nobody took it: it goes on where it stopped. */
  resume(): void {
    for (const { tunnel } of this.#services) tunnel.start();
  }

  /** Somebody took it. What it has is given up, and left as it is. */
  async leave(): Promise<void> {
    for (const { tunnel } of this.#services) tunnel.close();
    await Promise.all(this.#services.map(({ server }) => server?.leave()));
  }

  close(): void {
    for (const { tunnel, server } of this.#services) {
      server?.close();
      tunnel.close();
    }
  }
}

function carry<Carried>(service: Service<Carried> | undefined) {
  if (!service?.server) return undefined;
  return { tunnel: service.tunnel.carry(), server: service.server.carry() };
}

function wireguardService(
  name: string,
  { persist, mtu = DEFAULT_MTU, logOf, onEnd }: EngineOptions,
  carried: CarriedEngine['wireguard'],
): Service<CarriedTunnel> {
  const log = logOf(name);
  const onGone = () => onEnd('the device was deleted');
  // As the device, so what its peers remember of it.
  const kept = persist && { timestampFile: `${SOCKET_FOLDER}/${name}.timestamp` };
  const tunnel = new Tunnel({ name, persist, mtu, log, onGone, ...kept }, carried?.tunnel);
  const onRemoved = () => onEnd('the socket was removed');
  const path = `${SOCKET_FOLDER}/${name}.sock`;
  const server = carried && { carried: detached(carried.server) };
  return {
    tunnel,
    isCarried: !!carried,
    serve: () => serveUapi({ path, tunnel, log, onRemoved, ...server }),
  };
}

function espService(
  name: string,
  { persist, mtu = DEFAULT_ESP_MTU, logOf, onEnd }: EngineOptions,
  carried: CarriedEngine['ipsec'],
): Service<CarriedEsp> {
  const log = logOf(name);
  const run = carried?.tunnel.run ?? randomUUID();
  const onGone = () => onEnd('the device for ESP was deleted');
  const tunnel = new EspTunnel({ name, persist, mtu, mark: ESP_MARK, run, log, onGone }, carried?.tunnel);
  const onRemoved = () => onEnd('the socket for ESP was removed');
  const path = `${ESP_SOCKET_FOLDER}/${name}.sock`;
  const server = carried && { carried: detached(carried.server) };
  const answer = (request: string) => tunnel.answer(request);
  return { tunnel, isCarried: !!carried, serve: () => serveRequests({ path, answer, onRemoved, ...server }) };
}
