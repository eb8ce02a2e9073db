/**
 * The WireGuard protocol of one interface, without I/O: no socket, no clock, no global randomness.
 *
 * The caller's contract is one mutation at a time: call one `handle…` (or a setter), then drain `pollEvent()` until it is
 * empty, then `pollTransmit()` (so that a keypair is in place before the peer can use it), then sleep until
 * `nextTimeout()` or the next input.
 *
 * Data packets never come here. A packet loop owns them: it seals and opens with the keypairs that the events bring, and
 * tells the edges that move a timer (`handleTraffic`). What a timer needs beyond that it reads lazily through
 * `options.activity`, so that nothing here runs once a packet.
 */
import { equalBytes, isZero, secretCopy, toHex, wipe } from '../bytes.ts';
import type { Activity, DeviceEvent, DeviceOptions, Endpoint, Peer, Traffic, Transmit } from './api.ts';
import type { CarriedDevice } from './carried.ts';
import { CookieChecker } from './cookie.ts';
import { clamp, KEY_BYTES, type KeyPair, PrivateKey } from './crypto.ts';
import { DROP_REASONS, type DropReason } from './drops.ts';
import { IndexTable } from './indextable.ts';
import { REKEY_TIMEOUT_JITTER_MAX, UNDER_LOAD_LINGERS } from './limits.ts';
import {
  decodeCookieReply,
  decodeInitiation,
  decodeResponse,
  MESSAGE_COOKIE_REPLY,
  MESSAGE_DATA,
  MESSAGE_INITIATION,
  messageType,
} from './messages.ts';
import { readInitiation } from './noise.ts';
import { PeerMachine } from './peer.ts';
import type { PeerHost } from './peerhost.ts';
import { Queue } from './queue.ts';
import { Schedule } from './schedule.ts';
import { TimestampSource } from './tai64n.ts';

export type * from './api.ts';

const NEVER: Activity = { lastSent: 0, lastReceived: 0, unansweredSince: 0, unacknowledgedSince: 0 };

/** A message of a peer is a value, never a throw: what is wrong with it is counted in `drops`. */
export class Device {
  readonly #options: DeviceOptions;
  readonly #peers = new Map<string, PeerMachine>();
  readonly #records = new Map<string, Activity>();
  readonly #indices: IndexTable<Peer>;
  readonly #host: PeerHost;
  readonly #schedule = new Schedule<PeerMachine>();
  readonly #timestamps: TimestampSource;
  readonly #events = new Queue<DeviceEvent>();
  readonly #transmits = new Queue<Transmit>();
  readonly #drops = Object.fromEntries(DROP_REASONS.map(reason => [reason, 0])) as Record<DropReason, number>;
  #privateKey: Uint8Array | undefined;
  #identity: KeyPair | undefined;
  #checker: CookieChecker | undefined;
  #isUp = true;
  #underLoadUntil: number;

  constructor(options: DeviceOptions) {
    this.#options = options;
    this.#underLoadUntil = options.now;
    this.#indices = new IndexTable(bytes => options.random(bytes));
    this.#host = this.#makeHost();
    const floor = options.carried?.timestamp ?? options.timestampFloor;
    this.#timestamps = new TimestampSource(() => options.wallClock(), floor);
    if (options.carried) this.#goOn(options.carried);
  }

  /** For a process that takes over. No event and no message may wait. */
  carry(): CarriedDevice {
    return {
      privateKey: this.#privateKey,
      timestamp: this.timestamp,
      isUp: this.#isUp,
      drops: { ...this.#drops },
      peers: [...this.#peers.values()].map(peer => peer.carry()),
    };
  }

  /** A copy. */
  get privateKey(): Uint8Array | undefined {
    return this.#privateKey && Uint8Array.from(this.#privateKey);
  }

  get publicKey(): Uint8Array | undefined {
    return this.#identity?.publicKey;
  }

  /** What proves in mac1 that a sender knows our public key (5.4.4); the same object until the private key changes. */
  get mac1Key(): Uint8Array | undefined {
    return this.#checker?.mac1Key;
  }

  /** By the hex of their public key. */
  get peers(): ReadonlyMap<string, Peer> {
    return this.#peers;
  }

  /** How many messages were dropped, by reason. */
  get drops(): Readonly<Record<DropReason, number>> {
    return this.#drops;
  }

  /** Label of the last initiation, for `timestampFloor` of the next run. */
  get timestamp(): Uint8Array {
    return this.#timestamps.last;
  }

  /** 32 bytes (clamped here); undefined or all zero for none. Sessions end; a peer with our own public key is removed. */
  setPrivateKey(key: Uint8Array | undefined, now: number): void {
    const clamped = key && !isZero(key) ? clamp(checkedKey(key)) : undefined;
    const isSame =
      clamped && this.#privateKey ? equalBytes(clamped, this.#privateKey) : clamped === this.#privateKey;
    if (isSame) return;
    const hadIdentity = this.#identity !== undefined;
    if (this.#privateKey) wipe(this.#privateKey);
    this.#checker?.wipe();
    this.#identify(clamped);
    if (this.#identity) this.removePeer(this.#identity.publicKey);
    for (const peer of this.#peers.values()) {
      peer.identityChanged(hadIdentity, now);
      this.#reschedule(peer);
    }
  }

  /** The peer of that public key, made when missing. Undefined for our own public key, which is no peer. */
  upsertPeer(publicKey: Uint8Array): Peer | undefined {
    const id = toHex(checkedKey(publicKey));
    const known = this.#peers.get(id);
    if (known) return known;
    if (this.publicKey && equalBytes(publicKey, this.publicKey)) return undefined;
    const peer = new PeerMachine(id, this.#host);
    this.#peers.set(id, peer);
    return peer;
  }

  peer(publicKey: Uint8Array): Peer | undefined {
    return this.#find(publicKey);
  }

  removePeer(publicKey: Uint8Array): boolean {
    const peer = this.#find(publicKey);
    if (!peer) return false;
    peer.end();
    this.#peers.delete(peer.id);
    this.#records.delete(peer.id);
    this.#schedule.delete(peer);
    this.#events.push({ type: 'removed', peer });
    return true;
  }

  /** A link that is down has no sessions and sends nothing. It is up at first. */
  setUp(up: boolean, now: number): void {
    if (up === this.#isUp) return;
    this.#isUp = up;
    for (const peer of this.#peers.values()) {
      if (up) peer.linkUp(now);
      else peer.linkDown();
      this.#reschedule(peer);
    }
  }

  /** Under load, handshake messages cost their sender a cookie; lasts 1 s beyond the last `true`. */
  setUnderLoad(underLoad: boolean, now: number): void {
    if (underLoad) this.#underLoadUntil = Number.POSITIVE_INFINITY;
    else if (this.#underLoadUntil === Number.POSITIVE_INFINITY)
      this.#underLoadUntil = now + UNDER_LOAD_LINGERS;
  }

  /** A message of type 1, 2 or 3. Says why it was dropped, which is also counted in `drops`. */
  handleDatagram(bytes: Uint8Array, from: Endpoint, now: number): DropReason | undefined {
    const dropped = this.#receive(bytes, from, now);
    if (dropped) this.#drops[dropped]++;
    return dropped;
  }

  handleTraffic(peer: Peer, what: Traffic, now: number): void {
    const machine = this.#peers.get(peer.id);
    if (!machine || machine !== peer) return;
    if (!this.#isUp) {
      if (what === 'staged') this.#events.push({ type: 'dropStaged', peer });
      return;
    }
    if (!this.#options.activity) note(this.#recordOf(peer), what, now);
    machine.handleTraffic(what, now);
    this.#reschedule(machine);
  }

  /** The packet loop let go of a keypair: its index may be given out again. */
  handleReleased(localIndex: number): void {
    this.#ownerOf(localIndex)?.forgetKeypair(localIndex);
  }

  handleTimeout(now: number): void {
    for (const peer of this.#schedule.due(now)) {
      peer.handleTimeout(now);
      this.#reschedule(peer);
    }
  }

  pollTransmit(): Transmit | undefined {
    return this.#transmits.shift();
  }

  pollEvent(): DeviceEvent | undefined {
    const event = this.#events.shift();
    if (event?.type === 'endpoint') this.#peers.get(event.peer.id)?.moveTold();
    return event;
  }

  /** When `handleTimeout` is due (milliseconds; maybe in the past), and for which timer. */
  nextTimeout(): { readonly at: number; readonly why: string } | undefined {
    return this.#schedule.first?.nextTimeout;
  }

  #goOn({ privateKey, isUp, drops, peers }: CarriedDevice): void {
    this.#isUp = isUp;
    if (privateKey) this.#identify(secretCopy(privateKey));
    for (const reason of DROP_REASONS) this.#drops[reason] = drops[reason] ?? 0;
    for (const carried of peers) {
      const peer = new PeerMachine(carried.id, this.#host, carried);
      this.#peers.set(peer.id, peer);
      for (const index of peer.indexes) this.#indices.adopt(index, peer);
      this.#reschedule(peer);
    }
  }

  #identify(privateKey: Uint8Array | undefined): void {
    this.#privateKey = privateKey;
    this.#identity?.wipe();
    this.#identity = privateKey && this.#keyPair(privateKey);
    this.#checker = this.#identity && new CookieChecker(this.#identity.publicKey, this.#options.random);
  }

  #find(publicKey: Uint8Array): PeerMachine | undefined {
    return this.#peers.get(toHex(publicKey));
  }

  #reschedule(peer: PeerMachine): void {
    this.#schedule.set(peer, this.#peers.has(peer.id) ? peer.nextTimeout?.at : undefined);
  }

  #receive(bytes: Uint8Array, from: Endpoint, now: number): DropReason | undefined {
    const type = messageType(bytes);
    if (type === undefined || type === MESSAGE_DATA) return 'malformed';
    if (!this.#isUp) return 'linkDown';
    if (type === MESSAGE_COOKIE_REPLY) return this.#receiveCookie(bytes, now);
    if (!this.#identity || !this.#checker) return 'noPrivateKey';
    const verdict = this.#checker.check(bytes, from, now < this.#underLoadUntil, now);
    if (verdict === 'cookieRequired') {
      const reply = this.#checker.reply(bytes, from, now);
      if (reply) this.#transmits.push({ to: from, bytes: reply });
    }
    if (verdict !== 'accepted') return verdict;
    return type === MESSAGE_INITIATION
      ? this.#receiveInitiation(this.#identity, bytes, from, now)
      : this.#receiveResponse(bytes, from, now);
  }

  #receiveInitiation(local: KeyPair, bytes: Uint8Array, from: Endpoint, now: number): DropReason | undefined {
    const message = decodeInitiation(bytes);
    const { ephemeral, encryptedStatic, encryptedTimestamp: encryptedPayload } = message;
    const received = readInitiation({
      local,
      message: { ephemeral, encryptedStatic, encryptedPayload },
      lookup: publicKey => this.#find(publicKey)?.remoteStatic,
    });
    if (typeof received === 'string') return received;
    const peer = this.#find(received.remoteStatic);
    if (!peer) return 'unknownPeer';
    const dropped = peer.handleInitiation(received, message.senderIndex, bytes.length, from, now);
    this.#reschedule(peer);
    return dropped;
  }

  #receiveResponse(bytes: Uint8Array, from: Endpoint, now: number): DropReason | undefined {
    const response = decodeResponse(bytes);
    const peer = this.#ownerOf(response.receiverIndex);
    if (!peer) return 'unknownIndex';
    const dropped = peer.handleResponse(response, bytes.length, from, now);
    this.#reschedule(peer);
    return dropped;
  }

  #receiveCookie(bytes: Uint8Array, now: number): DropReason | undefined {
    const reply = decodeCookieReply(bytes);
    const peer = this.#ownerOf(reply.receiverIndex);
    if (!peer) return 'unknownIndex';
    return peer.handleCookie(reply, bytes.length, now) ? undefined : 'unexpectedCookie';
  }

  #ownerOf(index: number): PeerMachine | undefined {
    const peer = this.#indices.get(index);
    return peer && this.#peers.get(peer.id);
  }

  #recordOf(peer: Peer): Activity {
    const known = this.#records.get(peer.id);
    if (known) return known;
    const record = { ...NEVER };
    this.#records.set(peer.id, record);
    return record;
  }

  #keyPair(privateKey: Uint8Array): KeyPair {
    return this.#options.keyPair?.(privateKey) ?? new PrivateKey(privateKey);
  }

  #makeHost(): PeerHost {
    const device = this;
    const options = this.#options;
    return {
      get identity() {
        return device.#identity;
      },
      get isUp() {
        return device.#isUp;
      },
      jitter: () => jitterOf(options.random(2)),
      ephemeral: () => {
        const bytes = options.random(KEY_BYTES);
        const pair = this.#keyPair(bytes);
        wipe(bytes);
        return pair;
      },
      keyPair: privateKey => this.#keyPair(privateKey),
      wallClock: () => options.wallClock(),
      nextTimestamp: () => this.#timestamps.next(),
      activity: peer => {
        if (!options.activity) return this.#recordOf(peer);
        return this.#peers.get(peer.id) === peer ? options.activity(peer) : NEVER;
      },
      sessionBegan: peer => {
        if (options.activity) return;
        const record = this.#recordOf(peer);
        record.unansweredSince = 0;
        record.unacknowledgedSince = 0;
      },
      timersChanged: peer => {
        const machine = this.#peers.get(peer.id);
        if (machine === peer) this.#reschedule(machine);
      },
      allocateIndex: peer => this.#indices.allocate(peer),
      releaseIndex: index => this.#indices.release(index),
      emit: event => this.#events.push(event),
      transmit: transmit => this.#transmits.push(transmit),
    };
  }
}

/** Keeps the record of a caller that tells every packet. */
function note(record: Activity, what: Traffic, now: number): void {
  if (what === 'dataSent' || what === 'keepaliveSent') {
    record.lastSent = now;
    record.unacknowledgedSince = 0;
    if (what === 'dataSent' && record.unansweredSince === 0) record.unansweredSince = now;
  }
  if (what === 'dataReceived' || what === 'keepaliveReceived') {
    record.lastReceived = now;
    record.unansweredSince = 0;
    if (what === 'dataReceived' && record.unacknowledgedSince === 0) record.unacknowledgedSince = now;
  }
}

/** Whole milliseconds below the limit, out of two random bytes. */
function jitterOf(bytes: Uint8Array): number {
  return (((bytes[0]! << 8) | bytes[1]!) * REKEY_TIMEOUT_JITTER_MAX) >>> 16;
}

function checkedKey(key: Uint8Array): Uint8Array {
  if (key.length !== KEY_BYTES) throw new RangeError(`a key has ${KEY_BYTES} bytes, not ${key.length}`);
  return key;
}
