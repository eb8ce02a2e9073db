/**
 * One WireGuard interface: the protocol (src/proto/wireguard) and the packet loop (native/engine), joined. What the loop
 * noticed goes to the protocol; what that wants done goes to the loop; between them, time passes.
 */

import {
  type Activity,
  Device,
  type DeviceEvent,
  type Peer,
  type Traffic,
} from '../proto/wireguard/device.ts';
import type { CarriedTunnel, HeldHandshake } from './carried-tunnel.ts';
import type { Log } from './log.ts';
import {
  type Drop,
  EDGE,
  engineAddon,
  type PacketLoop,
  type PacketLoopOptions,
  type Place,
  REQUEST,
} from './native.ts';
import { randomPool } from './random.ts';
import { Slots } from './slots.ts';
import { TimestampFile } from './timestampfile.ts';

/** Handshake messages taken before other work gets its turn, and how many waiting ones are a flood. */
const HANDSHAKES_AT_ONCE = 16;
const UNDER_LOAD_DEPTH = 64;
const BIND_RETRY_MS = 1000;

export interface TunnelOptions extends PacketLoopOptions {
  log: Log;
  /** Where the label of the last initiation outlives the process. */
  timestampFile?: string;
  /** The device was deleted. */
  onGone(): void;
}

export interface PeerCounters {
  sentBytes: number;
  receivedBytes: number;
}

export class Tunnel {
  readonly #log: Log;
  readonly #onGone: () => void;
  readonly #loop: PacketLoop;
  readonly #device: Device;
  readonly #timestamps: TimestampFile | undefined;
  readonly #clockSpeed: number;
  readonly #slots = new Slots(() => this.#loop.addPeer());
  readonly #numbers = new Float64Array(6);
  #listenPort = 0;
  #mark = 0;
  #mac1Key: Uint8Array | undefined;
  #isBound = false;
  #isClosed = false;
  #isGoneTold = false;
  #timer: NodeJS.Timeout | undefined;
  #bindTimer: NodeJS.Timeout | undefined;
  #handshakesQueued = false;
  /** Handshake messages that came before it stood still. */
  readonly #held: HeldHandshake[] = [];

  /**
   * Throws with a sentence when the device cannot be had. One that goes on in the place of another process's stands still
   * until `start`.
   */
  constructor(options: TunnelOptions, carried?: CarriedTunnel) {
    const { log, onGone, timestampFile, ...loopOptions } = options;
    this.#log = log;
    this.#onGone = onGone;
    this.#timestamps = timestampFile ? new TimestampFile(timestampFile) : undefined;
    const timestampFloor = this.#timestamps?.read();
    this.#clockSpeed = options.clockSpeed ?? 1;
    const addon = engineAddon();
    const adopted = carried && { adopted: carried.loop };
    this.#loop = new addon.PacketLoop({ ...loopOptions, ...adopted }, () => this.#wake());
    this.#device = new Device({
      random: randomPool(),
      keyPair: privateKey => new addon.KeyPair(privateKey),
      now: this.#loop.now(),
      wallClock: readWallClock,
      activity: peer => this.#activityOf(peer),
      ...(timestampFloor && { timestampFloor }),
      ...(carried && { carried: carried.device }),
    });
    if (carried) {
      this.#goOn(carried);
    } else {
      this.#device.setUp(false, this.#loop.now());
      this.#followLink();
    }
  }

  /** What it knows and has, for another process: from now on it stands still. */
  carry(): CarriedTunnel {
    this.#loop.stop();
    // Whatever is written later is the other process's.
    this.#timestamps?.flush();
    this.#takeEdges();
    for (let next = this.#loop.takeHandshake(); next; next = this.#loop.takeHandshake())
      this.#held.push(next);
    return {
      loop: this.#loop.save(),
      device: this.#device.carry(),
      listenPort: this.#listenPort,
      mark: this.#mark,
      isBound: this.#isBound,
      slots: this.#slots.carry(),
      handshakes: this.#held,
    };
  }

  /** Goes on where it, or the one in whose place it is, stood still. */
  start(): void {
    this.#settle();
    this.#loop.start();
    for (const { bytes, from } of this.#held.splice(0)) {
      this.change((device, now) => device.handleDatagram(bytes, from, now));
    }
    this.#followLink();
  }

  get name(): string {
    return this.#loop.device().name;
  }

  /** Its setters are for `change` alone. */
  get device(): Device {
    return this.#device;
  }

  /** One mutation of the protocol, and all that follows from it. */
  change<T>(mutate: (device: Device, now: number) => T): T {
    const result = mutate(this.#device, this.#loop.now());
    this.#settle();
    return result;
  }

  /** The port in use, or while the link is down the one that will be; 0 is not chosen yet. */
  get listenPort(): number {
    return this.#listenPort;
  }

  /** 0 lets the system choose. Throws a system error (EADDRINUSE) and changes nothing when the port cannot be had. */
  setListenPort(port: number): void {
    if (this.#isBound) {
      this.#listenPort = this.#loop.bind(port);
      return;
    }
    if (port !== 0) {
      // Not to be used before the link is up, but whoever asks for a taken port learns it now.
      this.#loop.bind(port);
      this.#loop.unbind();
    }
    this.#listenPort = port;
    this.#followLink();
  }

  get mark(): number {
    return this.#mark;
  }

  setMark(mark: number): void {
    this.#mark = mark;
    this.#loop.setMark(mark);
  }

  /** False for an address with the scope of an interface that is not there. */
  canReach(endpoint: Place): boolean {
    return this.#loop.isEndpoint(endpoint);
  }

  /** Entries as in `PacketLoop.changeAllowedIps`. */
  changeAllowedIps(peer: Peer, entries: Uint8Array, replace: boolean): void {
    this.#loop.changeAllowedIps(this.#slots.of(peer).number, entries, replace);
  }

  allowedIps(peer: Peer): Uint8Array {
    return this.#loop.allowedIps(this.#slots.of(peer).number);
  }

  /** UDP payload bytes, handshakes included, as the kernel's WireGuard counts them. */
  counters(peer: Peer): PeerCounters {
    this.#loop.readActivity(this.#slots.of(peer).number, this.#numbers);
    return {
      sentBytes: this.#numbers[4]! + peer.sentBytes,
      receivedBytes: this.#numbers[5]! + peer.receivedBytes,
    };
  }

  drops(): Record<Drop, number> {
    return this.#loop.drops();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#bindTimer);
    this.#timestamps?.flush();
    this.#loop.close();
  }

  #wake(): void {
    if (this.#isClosed) return;
    this.#takeEdges();
    this.#takeHandshakes();
    this.#followLink();
  }

  #takeEdges(): void {
    const edges = this.#loop.takeEdges();
    for (let i = 0; i < edges.length; i += 2) this.#tell(edges[i]!, edges[i + 1]!);
    for (const localIndex of this.#loop.takeReleased())
      this.change(device => device.handleReleased(localIndex));
  }

  #goOn({ listenPort, mark, isBound, slots, handshakes }: CarriedTunnel): void {
    this.#listenPort = listenPort;
    this.#mark = mark;
    this.#isBound = isBound;
    this.#slots.goOn(slots, this.#device.peers);
    for (const { bytes, from } of handshakes) this.#held.push({ bytes: Uint8Array.from(bytes), from });
  }

  #tell(number: number, bits: number): void {
    const slot = this.#slots.at(number);
    if (!slot) return;
    if (!this.#isBound) {
      slot.isWaiting ||= (bits & EDGE.staged) !== 0;
      return;
    }
    // A confirmation belongs to the handshake before whatever the same packet set off.
    for (const what of [
      'confirmed',
      'dataReceived',
      'dataSent',
      'staged',
      'rekeyNeeded',
    ] satisfies Traffic[]) {
      if (bits & EDGE[what]) this.change((device, now) => device.handleTraffic(slot.peer, what, now));
    }
  }

  #takeHandshakes(): void {
    if (this.#handshakesQueued) return;
    for (let i = 0; i < HANDSHAKES_AT_ONCE; i++) {
      const isUnderLoad = this.#loop.queuedHandshakes() >= UNDER_LOAD_DEPTH;
      const message = this.#loop.takeHandshake();
      this.#device.setUnderLoad(isUnderLoad, this.#loop.now());
      if (!message) return;
      const { bytes, from } = message;
      const dropped = this.change((device, now) => device.handleDatagram(bytes, from, now));
      if (dropped) this.#log.verbose(`Dropped a handshake message from ${from.address}: ${dropped}`);
    }
    this.#handshakesQueued = true;
    setImmediate(() => {
      this.#handshakesQueued = false;
      if (!this.#isClosed) this.#takeHandshakes();
    });
  }

  #followLink(): void {
    const link = this.#loop.link();
    if (link.gone) {
      if (!this.#isGoneTold) this.#onGone();
      this.#isGoneTold = true;
    } else if (link.up && !this.#isBound) {
      this.#comeUp();
    } else if (!link.up) {
      this.#goDown();
    }
  }

  #comeUp(): void {
    clearTimeout(this.#bindTimer);
    try {
      this.#listenPort = this.#loop.bind(this.#listenPort);
    } catch (error) {
      if (!this.#bindTimer)
        this.#log.error(`UDP port ${this.#listenPort}: ${messageOf(error)}; will try again`);
      this.#bindTimer = setTimeout(() => this.#followLink(), BIND_RETRY_MS);
      return;
    }
    this.#bindTimer = undefined;
    this.#isBound = true;
    this.#log.verbose(`Listening on UDP port ${this.#listenPort}`);
    this.change((device, now) => device.setUp(true, now));
    for (const slot of this.#slots.all()) {
      if (slot.isWaiting) this.change((device, now) => device.handleTraffic(slot.peer, 'staged', now));
      slot.isWaiting = false;
    }
  }

  #goDown(): void {
    clearTimeout(this.#bindTimer);
    this.#bindTimer = undefined;
    this.change((device, now) => device.setUp(false, now));
    if (this.#isBound) this.#loop.unbind();
    this.#isBound = false;
  }

  #settle(): void {
    if (this.#device.mac1Key !== this.#mac1Key) {
      this.#mac1Key = this.#device.mac1Key;
      this.#loop.setMac1Key(this.#mac1Key);
    }
    for (let event = this.#device.pollEvent(); event; event = this.#device.pollEvent()) this.#handle(event);
    for (let next = this.#device.pollTransmit(); next; next = this.#device.pollTransmit()) {
      const failure = this.#loop.transmit(next.to, next.bytes);
      if (failure) this.#log.verbose(`Cannot send a handshake message to ${next.to.address}: ${failure}`);
      this.#timestamps?.keep(() => this.#device.timestamp);
    }
    this.#arm();
  }

  #handle(event: DeviceEvent): void {
    const slot = this.#slots.of(event.peer);
    if (event.type === 'keypair') {
      this.#loop.installKeypair(slot.number, event.keypair);
      event.keypair.sendKey.fill(0);
      event.keypair.receiveKey.fill(0);
      this.#log.verbose(
        `peer(${nameOf(slot.peer)}) has new keys as ${event.keypair.initiator ? 'initiator' : 'responder'}`,
      );
    } else if (event.type === 'retire') {
      this.#loop.retire(event.localIndex);
    } else if (event.type === 'sendKeepalive') {
      this.#loop.request(slot.number, REQUEST.keepalive);
    } else if (event.type === 'dropStaged') {
      this.#loop.request(slot.number, REQUEST.dropStaged);
    } else if (event.type === 'endpoint') {
      slot.endpoint = event.endpoint;
      // The interface of its scope may have gone a moment ago.
      if (this.canReach(event.endpoint)) this.#loop.setEndpoint(slot.number, event.endpoint);
    } else if (event.type === 'watch') {
      this.#loop.watch(slot.number, EDGE[event.edge], event.after);
    } else {
      this.#loop.removePeer(slot.number);
      this.#slots.delete(slot);
    }
  }

  #activityOf(peer: Peer): Activity {
    const slot = this.#slots.of(peer);
    slot.endpoint = this.#loop.takeRoamed(slot.number) ?? slot.endpoint;
    this.#loop.readActivity(slot.number, this.#numbers);
    const [lastSent = 0, lastReceived = 0, unansweredSince = 0, unacknowledgedSince = 0] = this.#numbers;
    return { lastSent, lastReceived, unansweredSince, unacknowledgedSince, endpoint: slot.endpoint };
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const next = this.#device.nextTimeout();
    if (!next) return;
    const wait = Math.max(0, Math.ceil((next.at - this.#loop.now()) / this.#clockSpeed));
    this.#timer = setTimeout(() => this.change((device, now) => device.handleTimeout(now)), wait);
  }
}

function readWallClock(): { seconds: number; nanos: number } {
  const milliseconds = Date.now();
  return { seconds: Math.floor(milliseconds / 1000), nanos: (milliseconds % 1000) * 1_000_000 };
}

/** As wireguard-go shortens public keys in its log. */
function nameOf(peer: Peer): string {
  const text = Buffer.from(peer.publicKey).toString('base64');
  return `${text.slice(0, 4)}…${text.slice(39, 43)}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
