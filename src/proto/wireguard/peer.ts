/**
 * One peer of a device: what is configured of it, its handshake in flight, and its timers. It does not know other peers,
 * and reaches the device through `PeerHost` alone.
 */
import { compareBytes, isZero, toHex, wipe } from '../bytes.ts';
import type { Endpoint, Keypair, Peer, Traffic } from './api.ts';
import { MacSigner } from './cookie.ts';
import { KEY_BYTES, PrivateKey } from './crypto.ts';
import { InitiationGuard } from './initiationguard.ts';
import { REJECT_AFTER_TIME, REKEY_TIMEOUT, REKEY_TIMEOUT_JITTER_MAX } from './limits.ts';
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
import { PeerEndpoint } from './peerendpoint.ts';
import type { PeerHost } from './peerhost.ts';
import { PeerTimers } from './timers.ts';

/** A response whose tag was right. */
interface Answer {
  readonly keys: TransportKeys;
  readonly remoteIndex: number;
}

type ResponseRefusal = 'unexpectedResponse' | 'lowOrderPoint' | 'undecryptable';

export class PeerMachine implements Peer {
  readonly publicKey: Uint8Array;
  /** Hex of the public key. */
  readonly id: string;
  readonly #host: PeerHost;
  readonly #timers: PeerTimers;
  readonly #signer: MacSigner;
  readonly #endpoint: PeerEndpoint;
  readonly #guard = new InitiationGuard();
  readonly #presharedKey = new Uint8Array(KEY_BYTES);
  #staticStatic: Uint8Array | undefined;
  #persistentKeepalive = 0;
  #lastHandshake: { seconds: number; nanos: number } | undefined;
  #sentBytes = 0;
  #receivedBytes = 0;

  #pending: (PendingInitiation & { localIndex: number; sentAt: number }) | undefined;
  /** Indices of the keypairs that the packet loop still may have. */
  readonly #keypairs = new Set<number>();
  #sessionAt: number | undefined;
  #initiatedAt: number | undefined;
  /** When we answered an initiation, until the first packet confirms that session. */
  #unconfirmedAt: number | undefined;
  /** An answer to our initiation that came while an answer of ours was under way (see `handleResponse`). */
  #reserved: Answer | undefined;

  /** Made by `Device.upsertPeer` alone. */
  constructor(publicKey: Uint8Array, host: PeerHost) {
    this.publicKey = Uint8Array.from(publicKey);
    this.id = toHex(publicKey);
    this.#host = host;
    this.#signer = new MacSigner(publicKey);
    this.#endpoint = new PeerEndpoint(() => host.activity().endpoint);
    this.#timers = new PeerTimers({
      activity: () => host.activity(),
      jitter: () => jitterOf(host.random(2)),
      beginHandshake: now => this.#beginHandshake(now),
      retry: now => this.#initiate(now),
      giveUp: () => {
        this.#endPending();
        host.emit({ type: 'dropStaged', peer: this });
      },
      sendKeepalive: () => host.emit({ type: 'sendKeepalive', peer: this }),
      zeroKeys: () => this.endSessions(),
      breakTie: now => {
        if (this.#reserved) this.#accept(this.#reserved, now);
      },
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
    return this.#endpoint.current;
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
    const isNews = this.#endpoint.configure(endpoint);
    this.#host.emit({ type: 'endpoint', peer: this, endpoint });
    if (!isNews) return;
    this.#initiatedAt = undefined;
    const hasSession = this.#sessionAt !== undefined && now - this.#sessionAt < REJECT_AFTER_TIME;
    if (hasSession || this.#timers.awaitsAnswer) this.#beginHandshake(now);
    this.#host.timersChanged();
  }

  /** Seconds, 0 to 65535. From 0 to n sends one at once. */
  setPersistentKeepalive(seconds: number, now: number): void {
    const before = this.#persistentKeepalive;
    this.#persistentKeepalive = seconds;
    if (seconds === before || !this.#host.isUp) return;
    this.#timers.setPersistentKeepalive(seconds, now);
    this.#host.timersChanged();
    if (before === 0) this.#host.emit({ type: 'sendKeepalive', peer: this });
  }

  // What follows is the device's.

  moveTold(): void {
    this.#endpoint.told();
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
    const refused = this.#guard.take(received.payload, now);
    if (refused) {
      received.state.wipe();
      return refused;
    }
    this.#heardFrom(from, bytes, now);
    const ephemeral = this.#freshKey();
    const answer = writeResponse({ received, ephemeral, presharedKey: this.#presharedKey });
    if (!answer) return 'lowOrderPoint';
    const localIndex = this.#host.allocateIndex();
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

  /**
   * When both sides initiate at the same time, both handshakes would end well, and each side would seal with its own. So
   * that they share one, the side with the greater public key lets the other's handshake go first, and takes the answer to
   * its own only if that one is not confirmed soon.
   */
  handleResponse(
    response: Response,
    bytes: number,
    from: Endpoint,
    now: number,
  ): ResponseRefusal | undefined {
    const pending = this.#pending;
    const identity = this.#host.identity;
    if (!identity || pending?.localIndex !== response.receiverIndex) return 'unexpectedResponse';
    const message = { ephemeral: response.ephemeral, encryptedPayload: response.encryptedNothing };
    const read = readResponse({ pending, local: identity, presharedKey: this.#presharedKey, message });
    if (typeof read === 'string') return read === 'lowOrderPoint' ? read : 'undecryptable';
    this.#heardFrom(from, bytes, now);
    const answer = { keys: read.keys, remoteIndex: response.senderIndex };
    const isTie = this.#unconfirmedAt !== undefined && this.#unconfirmedAt >= pending.sentAt;
    if (isTie && compareBytes(identity.publicKey, this.publicKey) > 0) {
      this.#reserved = answer;
      this.#timers.tieBegins(now);
    } else {
      this.#accept(answer, now);
    }
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
    this.#unconfirmedAt = undefined;
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

  #freshKey(): PrivateKey {
    const bytes = this.#host.random(KEY_BYTES);
    const key = new PrivateKey(bytes);
    wipe(bytes);
    return key;
  }

  #agree(): void {
    if (this.#staticStatic) wipe(this.#staticStatic);
    this.#staticStatic = this.#host.identity?.agree(this.publicKey);
  }

  #beginHandshake(now: number): void {
    this.#endpoint.attemptBegins();
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
    const to = this.#endpoint.nextDestination();
    if (!identity || !to) return;
    this.#endPending();
    const ephemeral = this.#freshKey();
    const payload = this.#host.nextTimestamp();
    const first = writeInitiation({ local: identity, remote: this.remoteStatic, ephemeral, payload });
    if (!first) return;
    const senderIndex = this.#host.allocateIndex();
    this.#pending = { ...first.pending, localIndex: senderIndex, sentAt: now };
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
    this.#endpoint.moveTo(from);
    this.#host.emit({ type: 'endpoint', peer: this, endpoint: from });
  }

  #accept(answer: Answer, now: number): void {
    if (!this.#pending) return;
    const { localIndex, state } = this.#pending;
    state.wipe();
    this.#pending = undefined;
    this.#reserved = undefined;
    const { keys, remoteIndex } = answer;
    this.#beginSession(keys, { localIndex, remoteIndex, initiator: true, createdAt: now });
    this.#complete();
    this.#host.emit({ type: 'sendKeepalive', peer: this });
  }

  #beginSession(keys: TransportKeys, made: Omit<Keypair, 'sendKey' | 'receiveKey'>): void {
    const { initiatorToResponder, responderToInitiator } = keys;
    const [sendKey, receiveKey] = made.initiator
      ? [initiatorToResponder, responderToInitiator]
      : [responderToInitiator, initiatorToResponder];
    this.#keypairs.add(made.localIndex);
    this.#unconfirmedAt = made.initiator ? undefined : made.createdAt;
    this.#sessionAt = made.createdAt;
    this.#host.emit({ type: 'keypair', peer: this, keypair: { ...made, sendKey, receiveKey } });
    this.#host.sessionBegan();
    this.#timers.sessionDerived(made.createdAt);
  }

  #complete(): void {
    this.#unconfirmedAt = undefined;
    this.#timers.handshakeComplete();
    this.#endPending();
    this.#lastHandshake = this.#host.wallClock();
  }

  #endPending(): void {
    this.#timers.tieEnds();
    if (this.#reserved)
      wipe(this.#reserved.keys.initiatorToResponder, this.#reserved.keys.responderToInitiator);
    this.#reserved = undefined;
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
