/** The agent's side of the CNI plugin: a unix socket that answers what the kubelet asked the shim. */
import { closeSync } from 'node:fs';
import { openRtnetlink, type Rtnetlink } from '../linux/rtnetlink.ts';
import { listenUnix, type UnixConnection, type UnixServer } from '../linux/unix-socket.ts';
import { type Endpoint, hostInterfaceName } from './endpoint.ts';
import {
  CHECK_FAILED,
  CniError,
  cniError,
  INTERFACE_EXISTS,
  IO_FAILURE,
  NO_ADDRESS,
  NOT_AVAILABLE,
  NOT_AVAILABLE_IMPAIRED,
  NOT_DECODED,
  TRY_LATER,
  UNKNOWN_CONTAINER,
} from './error.ts';
import { decodeRequest, encodeAnswer, frameSize, MAX_REQUEST, type ShimRequest } from './frame.ts';
import { AddressPool } from './ipam.ts';
import {
  type AddRequest,
  type Attachment,
  type CheckRequest,
  type CniRequest,
  echoVersion,
  type GcRequest,
  parseRequest,
} from './request.ts';
import { mergeResults, renderResult } from './result.ts';
import { CNI_VERSIONS } from './version.ts';
import { checkWiring, readEndpoints, unwire, type Wired, type WiringPlan, wire } from './wiring.ts';

/** What pods of this node get. Addresses without prefix length, CIDRs with. */
export interface NodeNetwork {
  /** The node's pod CIDRs, at most one a family, v4 first. */
  podCIDRs: string[];
  /** CiliumInternalIP of each family: the first usable address of the pod CIDR, held by cilium_host. */
  gateways: string[];
  /** Of the pods' interface, in bytes. */
  mtu: number;
}

export interface CniHooks {
  /** After the endpoint is committed and before the kubelet hears of it; a rejection undoes the ADD. */
  onAdd?(endpoint: Endpoint): void | Promise<void>;
  /** After the endpoint is gone and its addresses are free again. */
  onDelete?(endpoint: Endpoint): void;
  /** Each answered command: for metrics. `code` is 0 or the CNI error's. */
  onRequest?(request: { command: string; code: number; seconds: number }): void;
}

export interface CniServerOptions {
  /** Default /var/run/cilium/cni.sock; made with mode 0600. */
  socketPath?: string;
  hooks?: CniHooks;
  log?: (line: string) => void;
  /** For tests: awaited before each step of wiring, by name. */
  beforeStep?: (step: string) => void | Promise<void>;
}

export const CNI_SOCKET = '/var/run/cilium/cni.sock';

/** Serves CNI on the socket. ADD and STATUS answer "not ready" until `setNetwork` was called. */
export class CniServer {
  readonly #options: CniServerOptions;
  readonly #log: (line: string) => void;
  readonly #endpoints = new Map<string, Endpoint>();
  /** The last command under way of each container's interface, by the host's interface. */
  readonly #turns = new Map<string, Promise<unknown>>();
  readonly #busy = new Set<Promise<void>>();
  #host: Rtnetlink | undefined;
  #server: UnixServer | undefined;
  #network: NodeNetwork | undefined;
  #pools: AddressPool[] = [];
  #unready: { reason: string; impaired: boolean } = {
    reason: 'the agent has not set the node up yet',
    impaired: false,
  };

  constructor(options: CniServerOptions = {}) {
    this.#options = options;
    this.#log = options.log ?? (() => {});
  }

  /**
   * Listens, reads the endpoints back from the kernel and removes half-made ones; then answers. The shim takes a DEL for
   * done when nobody listens and the link is gone, so none may go between the reading and the listening. Throws system
   * errors.
   */
  async start(): Promise<void> {
    const host = openRtnetlink();
    this.#host = host;
    const path = this.#options.socketPath ?? CNI_SOCKET;
    const restored = Promise.withResolvers<void>();
    restored.promise.catch(() => {}); // without a request nobody asks
    this.#server = listenUnix(path, 0o600, each => this.#track(this.#serve(each, restored.promise)));
    try {
      await this.#restore(host);
      restored.resolve();
    } catch (error) {
      restored.reject(error);
      await this.stop();
      throw error;
    }
  }

  async #restore(host: Rtnetlink): Promise<void> {
    const { whole, half } = await readEndpoints(host);
    for (const name of half) {
      this.#log(`removing ${name}, which was left half-made`);
      await unwire(host, name);
    }
    for (const endpoint of whole) this.#endpoints.set(endpoint.hostInterface, endpoint);
    this.#makePools();
  }

  /** Closes the socket after the commands under way; the pods' wiring stays. */
  async stop(): Promise<void> {
    this.#server?.close();
    await Promise.all(this.#busy);
    this.#host?.close();
  }

  /**
   * New pods get this from now on. undefined: not ready, with the reason that STATUS and ADD answer; `impaired`: pods
   * that are there suffer too.
   */
  setNetwork(network: NodeNetwork | undefined, reason = '', impaired = false): void {
    const before = JSON.stringify(this.#network);
    this.#network = network;
    if (!network) this.#unready = { reason: reason || 'the agent is not ready', impaired };
    else if (JSON.stringify(network) !== before) this.#makePools();
  }

  /** Committed endpoints of this node, also those from before a restart. */
  endpoints(): Endpoint[] {
    return [...this.#endpoints.values()];
  }

  #makePools(): void {
    if (!this.#network) return;
    const inUse = this.endpoints().flatMap(({ ips }) => ips);
    const { podCIDRs, gateways } = this.#network;
    this.#pools = podCIDRs.map(cidr => new AddressPool(cidr, gateways, inUse));
  }

  #track(work: Promise<void>): void {
    this.#busy.add(work);
    void work.finally(() => this.#busy.delete(work));
  }

  /** One request and its answer. */
  async #serve(connection: UnixConnection, restored: Promise<void>): Promise<void> {
    const fds: number[] = [];
    const limit = setTimeout(() => connection.close(), READ_LIMIT_MS);
    try {
      const request = await readRequest(connection, fds);
      clearTimeout(limit);
      await restored;
      const { status, output } = await this.#answer(request, fds[0]);
      await connection.write(encodeAnswer(status, output));
    } catch (error) {
      this.#log(`a CNI request broke off: ${(error as Error).message}`);
    } finally {
      clearTimeout(limit);
      for (const fd of fds) closeSync(fd);
      connection.close();
    }
  }

  async #answer(
    shim: ShimRequest | undefined,
    netnsFd: number | undefined,
  ): Promise<{ status: number; output: string }> {
    const started = performance.now();
    const command = shim?.environment.get('CNI_COMMAND') ?? '';
    let failure: CniError | undefined;
    let result: object | undefined;
    try {
      if (!shim) throw new CniError(NOT_DECODED, 'the request of the CNI plugin is malformed');
      result = await this.#run(parseRequest(shim.environment, shim.stdin), netnsFd);
    } catch (error) {
      failure = cniError(error);
      const { code, message, details = '' } = failure;
      this.#log(`CNI ${command} failed with code ${code}: ${message} ${details}`.trimEnd());
    }
    const seconds = (performance.now() - started) / 1000;
    this.#options.hooks?.onRequest?.({ command, code: failure?.code ?? 0, seconds });
    if (!failure) return { status: 0, output: result ? print(result) : '' };
    const { code, message, details } = failure;
    const cniVersion = echoVersion(shim?.stdin ?? '');
    return { status: 1, output: print({ cniVersion, code, msg: message, ...(details && { details }) }) };
  }

  async #run(request: CniRequest, netnsFd: number | undefined): Promise<object | undefined> {
    switch (request.command) {
      case 'ADD':
        return this.#inTurn(nameOf(request), () => this.#add(request, netnsFd));
      case 'DEL':
        await this.#inTurn(nameOf(request), () => this.#remove(nameOf(request)));
        return undefined;
      case 'CHECK':
        await this.#inTurn(nameOf(request), () => this.#check(request, netnsFd));
        return undefined;
      case 'GC':
        await this.#collect(request);
        return undefined;
      case 'STATUS':
        if (this.#network) return undefined;
        throw new CniError(
          this.#unready.impaired ? NOT_AVAILABLE_IMPAIRED : NOT_AVAILABLE,
          `Pellicle cannot attach pods on this node yet: ${this.#unready.reason}`,
        );
      case 'VERSION':
        return { cniVersion: request.version, supportedVersions: CNI_VERSIONS };
    }
  }

  /** Commands for one interface of one container run one after another, all others side by side. */
  async #inTurn<T>(name: string, work: () => Promise<T>): Promise<T> {
    const result = (this.#turns.get(name) ?? Promise.resolve()).then(work);
    const settled = result.catch(() => {});
    this.#turns.set(name, settled);
    try {
      return await result;
    } finally {
      if (this.#turns.get(name) === settled) this.#turns.delete(name);
    }
  }

  async #add(request: AddRequest, netnsFd: number | undefined): Promise<object> {
    const network = this.#network;
    if (!network) {
      throw new CniError(TRY_LATER, `Pellicle cannot attach pods on this node yet: ${this.#unready.reason}`);
    }
    const { containerId, ifname, pod } = request;
    const name = nameOf(request);
    if (this.#endpoints.has(name)) {
      throw new CniError(
        INTERFACE_EXISTS,
        `${containerId} has its ${ifname} already: call DEL before another ADD`,
      );
    }
    const pools = this.#pools;
    const ips = this.#allocate(request.wantedIps);
    try {
      const plan: WiringPlan = {
        ...{ containerId, ifname, ips, namespace: pod.namespace, pod: pod.name },
        ...{ gateways: network.gateways, mtu: network.mtu, netns: netnsPath(request.netns, netnsFd) },
        ...(request.wantedMac && { mac: request.wantedMac }),
      };
      const wired = await wire(this.#linux, plan, step => this.#options.beforeStep?.(step));
      this.#endpoints.set(name, wired.endpoint);
      await this.#options.beforeStep?.('hook');
      await this.#options.hooks?.onAdd?.(wired.endpoint);
      await this.#options.beforeStep?.('answer');
      return renderResult(
        request.version,
        mergeResults(request.prevResult, resultOf(request, wired, network)),
      );
    } catch (error) {
      await this.#undo(name, ips, pools, error);
      throw error;
    }
  }

  /** An interface that was there before is not ours to remove. */
  async #undo(name: string, ips: string[], pools: AddressPool[], cause: unknown): Promise<void> {
    this.#endpoints.delete(name);
    try {
      if (!(cause instanceof CniError && cause.code === INTERFACE_EXISTS)) await unwire(this.#linux, name);
    } finally {
      for (const pool of pools) for (const ip of ips) pool.release(ip);
    }
  }

  /** One address of each pool: the wanted one, or any. All or none. */
  #allocate(wanted: string[]): string[] {
    const taken: [AddressPool, string][] = [];
    const giveBack = () => {
      for (const [pool, ip] of taken) pool.release(ip);
    };
    for (const pool of this.#pools) {
      const ofFamily = wanted.filter(ip => ip.includes(':') === (pool.family === 6));
      const [want] = ofFamily;
      const ip = want === undefined ? pool.allocate() : pool.take(want) ? want : undefined;
      if (ip === undefined || ofFamily.length > 1) {
        giveBack();
        const cidr = this.#network?.podCIDRs[this.#pools.indexOf(pool)];
        throw new CniError(
          NO_ADDRESS,
          want === undefined
            ? `all addresses of ${cidr} are in use: delete pods of this node, or give it a larger pod CIDR`
            : `the address ${ofFamily.join(' and ')} is not to be had: ask for one free address of ${cidr}`,
        );
      }
      taken.push([pool, ip]);
    }
    return taken.map(([, ip]) => ip);
  }

  async #remove(name: string): Promise<void> {
    await unwire(this.#linux, name);
    const endpoint = this.#endpoints.get(name);
    if (!endpoint) return;
    this.#endpoints.delete(name);
    for (const pool of this.#pools) for (const ip of endpoint.ips) pool.release(ip);
    this.#options.hooks?.onDelete?.(endpoint);
  }

  async #check(request: CheckRequest, netnsFd: number | undefined): Promise<void> {
    const { containerId, ifname, prevResult } = request;
    const endpoint = this.#endpoints.get(nameOf(request));
    if (!endpoint) {
      throw new CniError(UNKNOWN_CONTAINER, `${containerId} has no interface ${ifname} that Pellicle made`);
    }
    const told = new Set(prevResult.ips.map(({ address }) => address.split('/')[0]));
    const missing = endpoint.ips.find(ip => !told.has(ip));
    if (missing) {
      throw new CniError(CHECK_FAILED, `"prevResult" does not have the address ${missing} of ${containerId}`);
    }
    const inPod = prevResult.interfaces.find(({ name, sandbox }) => name === ifname && sandbox !== undefined);
    const mac = inPod?.mac?.toLowerCase();
    await checkWiring(this.#linux, endpoint, netnsPath(request.netns, netnsFd), mac);
  }

  /** Goes on past errors and reports them all. */
  async #collect({ validAttachments }: GcRequest): Promise<void> {
    const valid = new Set(validAttachments.map(nameOf));
    const { whole, half } = await readEndpoints(this.#linux);
    const names = [...whole.map(({ hostInterface }) => hostInterface), ...half, ...this.#endpoints.keys()];
    const stale = [...new Set(names)].filter(name => !valid.has(name) && !this.#turns.has(name));
    const outcomes = await Promise.allSettled(
      stale.map(name => this.#inTurn(name, () => this.#remove(name))),
    );
    const errors = outcomes
      .filter(outcome => outcome.status === 'rejected')
      .map(({ reason }) => String(reason));
    if (errors.length > 0) {
      throw new CniError(
        IO_FAILURE,
        `${errors.length} stale attachments could not be removed`,
        errors.join('; '),
      );
    }
  }

  get #linux(): Rtnetlink {
    if (!this.#host) throw new Error('the CNI server is not started');
    return this.#host;
  }
}

const READ_LIMIT_MS = 10_000;

function nameOf({ containerId, ifname }: Attachment): string {
  return hostInterfaceName(containerId, ifname);
}

/** Undefined when it is malformed or too long. The descriptors that came along are added to `fds`. */
async function readRequest(connection: UnixConnection, fds: number[]): Promise<ShimRequest | undefined> {
  let frame = Buffer.alloc(0);
  for (;;) {
    const part = await connection.read(64 * 1024);
    fds.push(...part.fds);
    frame = Buffer.concat([frame, part.bytes]);
    const size = frameSize(frame);
    if (part.bytes.length === 0 || (size ?? 0) > MAX_REQUEST) return undefined;
    if (size !== undefined && frame.length >= size) return decodeRequest(frame.subarray(0, size));
  }
}

/** The file that the shim opened is the surer way: the path may not be there in the agent's mount namespace. */
function netnsPath(path: string, fd: number | undefined): string {
  return fd === undefined ? path : `/proc/self/fd/${fd}`;
}

function resultOf(request: AddRequest, { endpoint, hostMac, podMac }: Wired, network: NodeNetwork) {
  const { mtu, gateways } = network;
  const bits = (ip: string) => (ip.includes(':') ? 128 : 32);
  const gatewayOf = (ip: string) => gateways.find(each => bits(each) === bits(ip))!;
  return {
    interfaces: [
      { name: endpoint.hostInterface, mac: hostMac, mtu },
      { name: endpoint.ifname, mac: podMac, mtu, sandbox: request.netns },
    ],
    ips: endpoint.ips.map(ip => ({ address: `${ip}/${bits(ip)}`, gateway: gatewayOf(ip), interface: 1 })),
    routes: endpoint.ips.flatMap(ip => [
      { dst: `${gatewayOf(ip)}/${bits(ip)}` },
      { dst: ip.includes(':') ? '::/0' : '0.0.0.0/0', gw: gatewayOf(ip) },
    ]),
    dns: {},
  };
}

function print(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
