/**
 * The packet loop in its plainest form, in memory and packet by packet: what the native engine does in batches. It is the
 * reference that the engine is compared with, and the twin that tests and simulations run.
 */
import { readHeader } from '../ip/header.ts';
import { AllowedIps } from './allowedips.ts';
import type { Activity, DeviceEvent, Endpoint, Keypair, Peer, Traffic } from './api.ts';
import { open, seal } from './crypto.ts';
import type { Device } from './device.ts';
import { KeypairSlots } from './keypairs.ts';
import {
  MAX_STAGED_PACKETS,
  PADDING_MULTIPLE,
  REJECT_AFTER_MESSAGES,
  REJECT_AFTER_TIME,
  REKEY_AFTER_MESSAGES,
  REKEY_AFTER_TIME,
  REKEY_AFTER_TIME_RECEIVING,
} from './limits.ts';
import {
  DATA_HEADER_BYTES,
  decodeDataHeader,
  encodeDataHeader,
  MESSAGE_DATA,
  messageType,
} from './messages.ts';
import { ReplayWindow } from './replay.ts';

const NOTHING = new Uint8Array();

interface Session {
  readonly keypair: Keypair;
  readonly window: ReplayWindow;
  counter: bigint;
  rekeyTold: boolean;
}

interface Tunnel {
  readonly peer: Peer;
  readonly slots: KeypairSlots<Session>;
  readonly staged: Uint8Array[];
  stagedTold: boolean;
  watching: { dataSent: boolean; dataReceived: boolean };
  readonly activity: Activity;
}

export interface Delivery {
  readonly peer: Peer;
  readonly packet: Uint8Array;
}

export class PacketLoop {
  readonly allowedIps = new AllowedIps<Peer>();
  readonly #device: Device;
  readonly #mtu: number;
  readonly #tunnels = new Map<string, Tunnel>();
  readonly #sessions = new Map<number, { tunnel: Tunnel; session: Session }>();
  readonly #outgoing: { to: Endpoint; bytes: Uint8Array }[] = [];
  readonly #delivered: Delivery[] = [];

  constructor(makeDevice: (activity: (peer: Peer) => Activity) => Device, mtu = 1420) {
    this.#device = makeDevice(peer => this.#tunnelOf(peer).activity);
    this.#mtu = mtu;
  }

  get device(): Device {
    return this.#device;
  }

  /** An IP packet out of the TUN. False when no peer has its destination. */
  send(packet: Uint8Array, now: number): boolean {
    const header = readHeader(packet);
    const peer = header && this.allowedIps.lookup(header.destination);
    if (!peer) return false;
    const tunnel = this.#tunnelOf(peer);
    if (tunnel.staged.length >= MAX_STAGED_PACKETS) tunnel.staged.shift();
    tunnel.staged.push(packet);
    this.#flush(tunnel, now);
    this.settle(now);
    return true;
  }

  /** A datagram off the UDP socket. */
  receive(bytes: Uint8Array, from: Endpoint, now: number): void {
    if (messageType(bytes) === MESSAGE_DATA) this.#open(bytes, from, now);
    else this.#device.handleDatagram(bytes, from, now);
    this.settle(now);
  }

  handleTimeout(now: number): void {
    this.#device.handleTimeout(now);
    this.settle(now);
  }

  /** To be called after every change to the device from outside. */
  settle(now: number): void {
    for (let event = this.#device.pollEvent(); event; event = this.#device.pollEvent()) {
      const { peer } = event;
      const tunnel = this.#tunnelOf(peer);
      if (event.type === 'keypair') this.#install(tunnel, event.keypair);
      else if (event.type === 'retire') this.#drop(tunnel, event.localIndex);
      else if (event.type === 'sendKeepalive') this.#sendKeepalive(tunnel, now);
      else if (event.type === 'dropStaged') this.#dropStaged(tunnel);
      else if (event.type === 'endpoint') tunnel.activity.endpoint = event.endpoint;
      else if (event.type === 'watch') this.#watch(tunnel, event, now);
      else this.#forget(tunnel);
    }
    for (let next = this.#device.pollTransmit(); next; next = this.#device.pollTransmit())
      this.#outgoing.push(next);
  }

  pollTransmit(): { to: Endpoint; bytes: Uint8Array } | undefined {
    return this.#outgoing.shift();
  }

  pollDelivery(): Delivery | undefined {
    return this.#delivered.shift();
  }

  nextTimeout(): { at: number; why: string } | undefined {
    return this.#device.nextTimeout();
  }

  /** The keypair that packets to the peer are sealed with now. */
  currentKeypair(peer: Peer): Keypair | undefined {
    return this.#tunnelOf(peer).slots.current?.keypair;
  }

  /** All keypairs that packets of the peer are opened with now. */
  keypairs(peer: Peer): Keypair[] {
    return this.#tunnelOf(peer)
      .slots.all()
      .map(session => session.keypair);
  }

  #flush(tunnel: Tunnel, now: number): void {
    const session = tunnel.slots.current;
    const isUsable = session && now - session.keypair.createdAt < REJECT_AFTER_TIME;
    if (!session || !isUsable || session.counter >= REJECT_AFTER_MESSAGES) {
      if (tunnel.staged.length > 0 && !tunnel.stagedTold) {
        tunnel.stagedTold = true;
        this.#tell(tunnel, 'staged', now);
      }
      return;
    }
    tunnel.stagedTold = false;
    const to = tunnel.activity.endpoint;
    if (!to) return;
    for (const packet of tunnel.staged.splice(0)) this.#seal(tunnel, session, to, packet, now);
    const isOld = session.keypair.initiator && now - session.keypair.createdAt >= REKEY_AFTER_TIME;
    if (isOld || session.counter >= REKEY_AFTER_MESSAGES) this.#tellRekey(tunnel, session, now);
  }

  #seal(tunnel: Tunnel, session: Session, to: Endpoint, packet: Uint8Array, now: number): void {
    const header = encodeDataHeader(session.keypair.remoteIndex, session.counter);
    const sealed = seal(session.keypair.sendKey, session.counter++, this.#pad(packet), NOTHING);
    const bytes = new Uint8Array(header.length + sealed.length);
    bytes.set(header);
    bytes.set(sealed, header.length);
    this.#outgoing.push({ to, bytes });
    tunnel.activity.lastSent = now;
    tunnel.activity.unacknowledgedSince = 0;
    if (packet.length === 0) return;
    if (tunnel.activity.unansweredSince === 0) tunnel.activity.unansweredSince = now;
    this.#edge(tunnel, 'dataSent', now);
  }

  #open(bytes: Uint8Array, from: Endpoint, now: number): void {
    const { receiverIndex, counter } = decodeDataHeader(bytes);
    const found = this.#sessions.get(receiverIndex);
    if (!found || now - found.session.keypair.createdAt >= REJECT_AFTER_TIME) return;
    const { tunnel, session } = found;
    if (counter >= REJECT_AFTER_MESSAGES) return;
    const packet = open(session.keypair.receiveKey, counter, bytes.subarray(DATA_HEADER_BYTES), NOTHING);
    if (!packet || !session.window.accept(counter)) return;
    tunnel.activity.endpoint = from;
    tunnel.activity.lastReceived = now;
    tunnel.activity.unansweredSince = 0;
    if (session === tunnel.slots.next) {
      for (const old of tunnel.slots.confirm()) this.#release(old);
      this.#tell(tunnel, 'confirmed', now);
    }
    this.#flush(tunnel, now);
    const age = now - session.keypair.createdAt;
    const isOld = session.keypair.initiator && age >= REKEY_AFTER_TIME_RECEIVING;
    if (isOld && session === tunnel.slots.current) this.#tellRekey(tunnel, session, now);
    if (packet.length > 0) this.#deliver(tunnel, packet, now);
  }

  #deliver(tunnel: Tunnel, packet: Uint8Array, now: number): void {
    if (tunnel.activity.unacknowledgedSince === 0) tunnel.activity.unacknowledgedSince = now;
    this.#edge(tunnel, 'dataReceived', now);
    const header = readHeader(packet);
    if (!header || this.allowedIps.lookup(header.source) !== tunnel.peer) return;
    this.#delivered.push({ peer: tunnel.peer, packet: packet.slice(0, header.length) });
  }

  #install(tunnel: Tunnel, keypair: Keypair): void {
    const session: Session = { keypair, window: new ReplayWindow(), counter: 0n, rekeyTold: false };
    this.#sessions.set(keypair.localIndex, { tunnel, session });
    for (const old of tunnel.slots.install(session, keypair.initiator)) this.#release(old);
    tunnel.activity.unansweredSince = 0;
    tunnel.activity.unacknowledgedSince = 0;
  }

  #sendKeepalive(tunnel: Tunnel, now: number): void {
    if (tunnel.staged.length === 0) tunnel.staged.push(NOTHING);
    this.#flush(tunnel, now);
  }

  #dropStaged(tunnel: Tunnel): void {
    tunnel.staged.length = 0;
    tunnel.stagedTold = false;
  }

  #watch(tunnel: Tunnel, { edge, after }: Extract<DeviceEvent, { type: 'watch' }>, now: number): void {
    if (edge === 'staged') {
      tunnel.stagedTold = false;
      return;
    }
    tunnel.watching[edge] = true;
    const since = edge === 'dataSent' ? tunnel.activity.unansweredSince : tunnel.activity.unacknowledgedSince;
    if (since !== 0 && since >= after) this.#edge(tunnel, edge, now);
  }

  #edge(tunnel: Tunnel, edge: 'dataSent' | 'dataReceived', now: number): void {
    if (!tunnel.watching[edge]) return;
    tunnel.watching[edge] = false;
    this.#tell(tunnel, edge, now);
  }

  #tellRekey(tunnel: Tunnel, session: Session, now: number): void {
    if (session.rekeyTold) return;
    session.rekeyTold = true;
    this.#tell(tunnel, 'rekeyNeeded', now);
  }

  #tell(tunnel: Tunnel, what: Traffic, now: number): void {
    this.#device.handleTraffic(tunnel.peer, what, now);
  }

  #drop(tunnel: Tunnel, localIndex: number): void {
    const session = this.#sessions.get(localIndex)?.session;
    if (!session) return;
    tunnel.slots.remove(session);
    this.#wipe(session);
  }

  #release(session: Session): void {
    this.#wipe(session);
    this.#device.handleReleased(session.keypair.localIndex);
  }

  #wipe(session: Session): void {
    this.#sessions.delete(session.keypair.localIndex);
    session.keypair.sendKey.fill(0);
    session.keypair.receiveKey.fill(0);
  }

  #forget(tunnel: Tunnel): void {
    this.allowedIps.removePeer(tunnel.peer);
    for (const session of tunnel.slots.all()) this.#wipe(session);
    this.#tunnels.delete(tunnel.peer.id);
  }

  #tunnelOf(peer: Peer): Tunnel {
    const known = this.#tunnels.get(peer.id);
    if (known) return known;
    const tunnel: Tunnel = {
      peer,
      slots: new KeypairSlots(),
      staged: [],
      stagedTold: false,
      watching: { dataSent: true, dataReceived: true },
      activity: { lastSent: 0, lastReceived: 0, unansweredSince: 0, unacknowledgedSince: 0 },
    };
    this.#tunnels.set(peer.id, tunnel);
    return tunnel;
  }

  /** To a multiple of 16, but never beyond the MTU. */
  #pad(packet: Uint8Array): Uint8Array {
    const padded = Math.ceil(packet.length / PADDING_MULTIPLE) * PADDING_MULTIPLE;
    const length = Math.max(packet.length, Math.min(padded, this.#mtu));
    const bytes = new Uint8Array(length);
    bytes.set(packet);
    return bytes;
  }
}
