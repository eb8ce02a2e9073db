/**
 * One peer of a device: what is configured of it, its handshake in flight, and its timers. It does not know other peers,
 * and reaches the device through `PeerHost` alone.
 */
import { compareBytes, isZero, toHex, wipe } from '../bytes.ts';
import type { Activity, DeviceEvent, Endpoint, Keypair, Peer, Traffic, Transmit } from './api.ts';
import { MacSigner } from './cookie.ts';
import { KEY_BYTES, PrivateKey } from './crypto.ts';
import {
  INITIATIONS_PER_SECOND,
  REJECT_AFTER_TIME,
  REKEY_TIMEOUT,
  REKEY_TIMEOUT_JITTER_MAX,
} from './limits.ts';
import { type CookieReply, encodeInitiation, encodeResponse, type Response } from './messages.ts';
import {
  type PendingInitiation,
  type ReceivedInitiation,
  type RemoteStatic,
  readResponse,
  type TransportKeys,
  writeInitiation,
  writeResponse,
} from './noise.ts';
import { PeerTimers } from './timers.ts';

/** What a peer needs of its device. */
export interface PeerHost {
  readonly identity: PrivateKey | undefined;
  readonly isUp: boolean;
  random(bytes: number): Uint8Array;
  wallClock(): { seconds: number; nanos: number };
  nextTimestamp(): Uint8Array;
  activity(peer: Peer): Activity;
  /** Sessions began anew: the device's own record of the peer's activity, if it keeps one, does too. */
  sessionBegan(peer: Peer): void;
  /** A setter moved the peer's next timeout. */
  timersChanged(peer: PeerMachine): void;
  allocateIndex(peer: PeerMachine): number;
  releaseIndex(index: number): void;
  emit(event: DeviceEvent): void;
  transmit(transmit: Transmit): void;
}

export class PeerMachine implements Peer {
  readonly publicKey: Uint8Array;
  /** Hex of the public key. */
  readonly id: string;
  readonly #host: PeerHost;
  readonly #timers: PeerTimers;
  readonly #signer: MacSigner;
  readonly #presharedKey = new Uint8Array(KEY_BYTES);
  #staticStatic: Uint8Array | undefined;
  #endpoint: Endpoint | undefined;
  /** Endpoint events that the packet loop has not taken yet: until then its own record is older than ours. */
  #movesUntold = 0;
  #persistentKeepalive = 0;
  #lastHandshake: { seconds: number; nanos: number } | undefined;
  #sentBytes = 0;
  #receivedBytes = 0;

  #pending: (PendingInitiation & { localIndex: number }) | undefined;
  /** Indices of the keypairs that the packet loop still may have. */
  readonly #keypairs = new Set<number>();
  #sessionAt: number | undefined;
  #initiatedAt: number | undefined;
  #greatestTimestamp: Uint8Array | undefined;
  #consumedInitiationAt: number | undefined;

  /** Made by `Device.upsertPeer` alone. */
  constructor(publicKey: Uint8Array, host: PeerHost) {
    this.publicKey = Uint8Array.from(publicKey);
    this.id = toHex(publicKey);
    this.#host = host;
    this.#signer = new MacSigner(publicKey);
    this.#timers = new PeerTimers({
      activity: () => host.activity(this),
      jitter: () => jitterOf(host.random(2)),
      initiate: now => this.#initiate(now),
      giveUp: () => {
        this.#endPending();
        host.emit({ type: 'dropStaged', peer: this });
      },
      sendKeepalive: () => host.emit({ type: 'sendKeepalive', peer: this }),
      zeroKeys: () => this.endSessions(),
      watch: (edge, after) => host.emit({ type: 'watch', peer: this, edge, after }),
    });
    this.#agree();
  }

  /** 32 bytes; all zero is none. */
  get presharedKey(): Uint8Array {
    return Uint8Array.from(this.#presharedKey);
  }

  get hasPresharedKey(): boolean {
    return !isZero(this.#presharedKey);
  }

  /** Where the peer was last heard from, or else was configured to be. */
  get endpoint(): Endpoint | undefined {
    const roamed = this.#movesUntold === 0 ? this.#host.activity(this).endpoint : undefined;
    return roamed ?? this.#endpoint;
  }

  /** Seconds; 0 is off. */
  get persistentKeepalive(): number {
    return this.#persistentKeepalive;
  }

  /** Unix time of the last finished handshake. */
  get lastHandshake(): { seconds: number; nanos: number } | undefined {
    return this.#lastHandshake;
  }

  /** Bytes of handshake messages alone: the packet loop counts its own. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** For the next handshake: a session goes on with the key that it began with. */
  setPresharedKey(key: Uint8Array): void {
    if (key.length !== KEY_BYTES)
      throw new RangeError(`a preshared key has ${KEY_BYTES} bytes, not ${key.length}`);
    this.#presharedKey.set(key);
  }

  /** At another endpoint a handshake starts at once, where there is a session or one is being tried. */
  setEndpoint(endpoint: Endpoint, now: number): void {
    const before = this.endpoint;
    this.#moveTo(endpoint);
    if (before?.address === endpoint.address && before.port === endpoint.port) return;
    this.#initiatedAt = undefined;
    const hasSession = this.#sessionAt !== undefined && now - this.#sessionAt < REJECT_AFTER_TIME;
    if (hasSession || this.#timers.awaitsAnswer) this.#beginHandshake(now);
    this.#host.timersChanged(this);
  }

  /** Seconds, 0 to 65535. From 0 to n sends one at once. */
  setPersistentKeepalive(seconds: number, now: number): void {
    const before = this.#persistentKeepalive;
    this.#persistentKeepalive = seconds;
    if (seconds === before || !this.#host.isUp) return;
    this.#timers.setPersistentKeepalive(seconds, now);
    this.#host.timersChanged(this);
    if (before === 0) this.#host.emit({ type: 'sendKeepalive', peer: this });
  }

  // What follows is the device's.

  moveTold(): void {
    this.#movesUntold--;
  }

  /** The identity of the device is another one: what was agreed with the old one ends. */
  identityChanged(now: number): void {
    this.endSessions();
    this.#agree();
    if (this.#timers.awaitsAnswer) this.#beginHandshake(now);
  }

  get remoteStatic(): RemoteStatic {
    return { publicKey: this.publicKey, staticStatic: this.#staticStatic };
  }

  get nextTimeout(): { at: number; why: string } | undefined {
    return this.#timers.next();
  }

  handleTimeout(now: number): void {
    this.#timers.handleTimeout(now);
  }

  handleTraffic(what: Traffic, now: number): void {
    if (what === 'staged' || what === 'rekeyNeeded') this.#beginHandshake(now);
    else if (what === 'dataSent') this.#timers.dataSent(now);
    else if (what === 'dataReceived') this.#timers.dataReceived(now);
    else if (what === 'confirmed') this.#complete();
  }

  /** An initiation of this peer whose tags were right. Answers it, or says why not. */
  handleInitiation(
    received: ReceivedInitiation,
    senderIndex: number,
    bytes: number,
    from: Endpoint,
    now: number,
  ): 'replayedInitiation' | 'initiationFlood' | 'lowOrderPoint' | undefined {
    const refused = this.#refusalOf(received.payload, now);
    if (refused) {
      received.state.wipe();
      return refused;
    }
    this.#greatestTimestamp = received.payload;
    this.#consumedInitiationAt = now;
    this.#heardFrom(from, bytes, now);
    const ephemeral = new PrivateKey(this.#host.random(KEY_BYTES));
    const answer = writeResponse({ received, ephemeral, presharedKey: this.#presharedKey });
    if (!answer) return 'lowOrderPoint';
    const localIndex = this.#host.allocateIndex(this);
    const { ephemeral: publicEphemeral, encryptedPayload: encryptedNothing } = answer.message;
    const response = {
      senderIndex: localIndex,
      receiverIndex: senderIndex,
      ephemeral: publicEphemeral,
      encryptedNothing,
    };
    this.#initiatedAt = now;
    this.#beginSession(answer.keys, {
      localIndex,
      remoteIndex: senderIndex,
      initiator: false,
      createdAt: now,
    });
    this.#send(encodeResponse(response), from, now);
    return undefined;
  }

  handleResponse(
    response: Response,
    bytes: number,
    from: Endpoint,
    now: number,
  ): 'unexpectedResponse' | 'lowOrderPoint' | 'undecryptable' | undefined {
    const pending = this.#pending;
    const identity = this.#host.identity;
    if (!pending || !identity || pending.localIndex !== response.receiverIndex) return 'unexpectedResponse';
    const message = { ephemeral: response.ephemeral, encryptedPayload: response.encryptedNothing };
    const answer = readResponse({ pending, local: identity, presharedKey: this.#presharedKey, message });
    if (typeof answer === 'string') return answer === 'lowOrderPoint' ? answer : 'undecryptable';
    pending.state.wipe();
    this.#pending = undefined;
    this.#heardFrom(from, bytes, now);
    const { localIndex } = pending;
    this.#beginSession(answer.keys, {
      localIndex,
      remoteIndex: response.senderIndex,
      initiator: true,
      createdAt: now,
    });
    this.#complete();
    this.#host.emit({ type: 'sendKeepalive', peer: this });
    return undefined;
  }

  /** Whether it brought the cookie for our last message. The retry, at most 5 s later, carries it. */
  handleCookie(reply: CookieReply, bytes: number, now: number): boolean {
    if (!this.#signer.consume(reply, now)) return false;
    this.#receivedBytes += bytes;
    return true;
  }

  /** The packet loop has let go of a keypair. */
  forgetKeypair(localIndex: number): void {
    if (this.#keypairs.delete(localIndex)) this.#host.releaseIndex(localIndex);
  }

  /** Wipes all keys: those here, and by event those of the packet loop. */
  endSessions(): void {
    this.#endPending();
    for (const localIndex of this.#keypairs) {
      this.#host.releaseIndex(localIndex);
      this.#host.emit({ type: 'retire', peer: this, localIndex });
    }
    this.#keypairs.clear();
    this.#sessionAt = undefined;
    this.#initiatedAt = undefined;
  }

  linkUp(now: number): void {
    this.#host.emit({ type: 'watch', peer: this, edge: 'dataSent', after: now });
    this.#host.emit({ type: 'watch', peer: this, edge: 'dataReceived', after: now });
    if (this.#persistentKeepalive === 0) return;
    this.#timers.setPersistentKeepalive(this.#persistentKeepalive, now);
    this.#host.emit({ type: 'sendKeepalive', peer: this });
  }

  linkDown(): void {
    this.#timers.stop();
    this.endSessions();
    this.#host.emit({ type: 'dropStaged', peer: this });
  }

  /** The peer is removed: nothing of it is kept. */
  end(): void {
    this.#timers.stop();
    this.endSessions();
    this.#signer.wipe();
    wipe(this.#presharedKey);
    if (this.#staticStatic) wipe(this.#staticStatic);
  }

  #agree(): void {
    if (this.#staticStatic) wipe(this.#staticStatic);
    this.#staticStatic = this.#host.identity?.agree(this.publicKey);
  }

  #refusalOf(timestamp: Uint8Array, now: number): 'replayedInitiation' | 'initiationFlood' | undefined {
    if (this.#greatestTimestamp && compareBytes(timestamp, this.#greatestTimestamp) <= 0)
      return 'replayedInitiation';
    const last = this.#consumedInitiationAt;
    const isFlood = last !== undefined && now - last < 1000 / INITIATIONS_PER_SECOND;
    return isFlood ? 'initiationFlood' : undefined;
  }

  #beginHandshake(now: number): void {
    this.#timers.attemptBegins(now);
    this.#initiate(now);
  }

  /** Sends an initiation, unless a handshake message went to the peer less than 5 s ago: then when that time is over. */
  #initiate(now: number): void {
    const identity = this.#host.identity;
    if (!this.#host.isUp) return;
    if (this.#initiatedAt !== undefined && now - this.#initiatedAt < REKEY_TIMEOUT) {
      if (!this.#timers.awaitsAnswer) this.#timers.awaitAnswer(this.#initiatedAt);
      return;
    }
    this.#timers.awaitAnswer(now);
    const to = this.endpoint;
    if (!identity || !to) return;
    this.#endPending();
    const ephemeral = new PrivateKey(this.#host.random(KEY_BYTES));
    const payload = this.#host.nextTimestamp();
    const first = writeInitiation({ local: identity, remote: this.remoteStatic, ephemeral, payload });
    if (!first) return;
    const senderIndex = this.#host.allocateIndex(this);
    this.#pending = { ...first.pending, localIndex: senderIndex };
    this.#initiatedAt = now;
    const { encryptedPayload: encryptedTimestamp, ...keys } = first.message;
    this.#send(encodeInitiation({ senderIndex, ...keys, encryptedTimestamp }), to, now);
  }

  #send(message: Uint8Array, to: Endpoint, now: number): void {
    this.#signer.sign(message, now);
    this.#sentBytes += message.length;
    this.#timers.handshakeTraffic(now);
    this.#host.transmit({ to, bytes: message, peer: this });
  }

  #heardFrom(from: Endpoint, bytes: number, now: number): void {
    this.#receivedBytes += bytes;
    this.#timers.handshakeTraffic(now);
    this.#moveTo(from);
  }

  #moveTo(endpoint: Endpoint): void {
    this.#endpoint = endpoint;
    this.#movesUntold++;
    this.#host.emit({ type: 'endpoint', peer: this, endpoint });
  }

  #beginSession(keys: TransportKeys, made: Omit<Keypair, 'sendKey' | 'receiveKey'>): void {
    const { initiatorToResponder, responderToInitiator } = keys;
    const [sendKey, receiveKey] = made.initiator
      ? [initiatorToResponder, responderToInitiator]
      : [responderToInitiator, initiatorToResponder];
    this.#keypairs.add(made.localIndex);
    this.#sessionAt = made.createdAt;
    this.#host.emit({ type: 'keypair', peer: this, keypair: { ...made, sendKey, receiveKey } });
    this.#host.sessionBegan(this);
    this.#timers.sessionDerived(made.createdAt);
  }

  #complete(): void {
    this.#timers.handshakeComplete();
    this.#endPending();
    this.#lastHandshake = this.#host.wallClock();
  }

  #endPending(): void {
    if (!this.#pending) return;
    this.#pending.state.wipe();
    this.#host.releaseIndex(this.#pending.localIndex);
    this.#pending = undefined;
  }
}

/** Whole milliseconds below the limit, out of two random bytes. */
function jitterOf(bytes: Uint8Array): number {
  return (((bytes[0]! << 8) | bytes[1]!) * REKEY_TIMEOUT_JITTER_MAX) >>> 16;
}
