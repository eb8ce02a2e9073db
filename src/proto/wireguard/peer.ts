/**
 * One peer of a device: what is configured of it, its handshake in flight, and its timers. It does not know other peers,
 * and reaches the device through `PeerHost` alone.
 *
 * A device has thousands of peers that nobody talks to: whatever only traffic needs is made by the first of it.
 */
import { compareBytes, fromHex, isZero, secretCopy, wipe } from '../bytes.ts';
import type { Endpoint, Keypair, Peer, Traffic } from './api.ts';
import type { CarriedPeer } from './carried.ts';
import { MacSigner } from './cookie.ts';
import { KEY_BYTES } from './crypto.ts';
import { InitiationGuard } from './initiationguard.ts';
import { REKEY_TIMEOUT } from './limits.ts';
import type { CookieReply, Response } from './messages.ts';
import type { ReceivedInitiation, RemoteStatic, TransportKeys } from './noise.ts';
import { type Answer, OwnInitiation } from './owninitiation.ts';
import { makeResponse } from './ownresponse.ts';
import { PeerEndpoint } from './peerendpoint.ts';
import type { PeerHost } from './peerhost.ts';
import { PeerSessions } from './peersessions.ts';
import { PeerTimers, type TimerActions } from './timers.ts';

const NO_KEY = new Uint8Array(KEY_BYTES);

export class PeerMachine implements Peer {
  /** Hex of the public key. */
  readonly id: string;
  readonly #host: PeerHost;
  #presharedKey: Uint8Array | undefined;
  #endpoint: PeerEndpoint | undefined;
  #persistentKeepalive = 0;
  #lastHandshake: { seconds: number; nanos: number } | undefined;
  #sentBytes = 0;
  #receivedBytes = 0;

  #timers: PeerTimers | undefined;
  #signer: MacSigner | undefined;
  #guard: InitiationGuard | undefined;
  /** What the peer's static key and ours give; null when that is nothing, undefined before somebody asks. */
  #staticStatic: Uint8Array | null | undefined;
  #pending: OwnInitiation | undefined;
  #sessions = new PeerSessions();
  #initiatedAt: number | undefined;

  /** Made by `Device` alone, with the hex of the public key. */
  constructor(id: string, host: PeerHost, carried?: CarriedPeer) {
    this.id = id;
    this.#host = host;
    if (carried) this.#goOn(carried);
  }

  get publicKey(): Uint8Array {
    return fromHex(this.id)!;
  }

  get presharedKey(): Uint8Array {
    return Uint8Array.from(this.#presharedKey ?? NO_KEY);
  }

  get endpoint(): Endpoint | undefined {
    return this.#endpoint?.current;
  }

  get persistentKeepalive(): number {
    return this.#persistentKeepalive;
  }

  get lastHandshake(): { seconds: number; nanos: number } | undefined {
    return this.#lastHandshake;
  }

  get sentBytes(): number {
    return this.#sentBytes;
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  setPresharedKey(key: Uint8Array): void {
    if (key.length !== KEY_BYTES)
      throw new RangeError(`a preshared key has ${KEY_BYTES} bytes, not ${key.length}`);
    if (this.#presharedKey) wipe(this.#presharedKey);
    this.#presharedKey = isZero(key) ? undefined : secretCopy(key);
  }

  setEndpoint(endpoint: Endpoint, now: number): void {
    const isNews = this.#place.configure(endpoint);
    this.#host.emit({ type: 'endpoint', peer: this, endpoint });
    if (!isNews) return;
    this.#initiatedAt = undefined;
    if (this.#sessions.hasUsable(now) || this.#timers?.awaitsAnswer) this.#beginHandshake(now);
    this.#host.timersChanged(this);
  }

  setPersistentKeepalive(seconds: number, now: number): void {
    const before = this.#persistentKeepalive;
    this.#persistentKeepalive = seconds;
    if (seconds === before || !this.#host.isUp) return;
    this.#clock.setPersistentKeepalive(seconds, now);
    this.#host.timersChanged(this);
    if (before === 0) this.#host.emit({ type: 'sendKeepalive', peer: this });
  }

  // What follows is the device's; what is above, `Peer` tells of.

  /** Those that lead to this peer. */
  get indexes(): readonly number[] {
    const { indexes } = this.#sessions;
    return this.#pending ? [...indexes, this.#pending.localIndex] : indexes;
  }

  carry(): CarriedPeer {
    return {
      id: this.id,
      presharedKey: this.#presharedKey,
      endpoint: this.#endpoint?.carry(),
      persistentKeepalive: this.#persistentKeepalive,
      lastHandshake: this.#lastHandshake,
      sentBytes: this.#sentBytes,
      receivedBytes: this.#receivedBytes,
      timers: this.#timers?.carry(),
      signer: this.#signer?.carry(),
      guard: this.#guard?.carry(),
      ...this.#pending?.carry(),
      ...this.#sessions.carry(),
      initiatedAt: this.#initiatedAt,
    };
  }

  moveTold(): void {
    this.#endpoint?.told();
  }

  /**
   * The identity of the device is another one: what was agreed with the old one ends. Who changes the key here has yet to
   * tell the other side, so that the next packet begins a handshake, not this; but without a key none could begin at all.
   */
  identityChanged(hadIdentity: boolean, now: number): void {
    this.endSessions();
    this.#forgetStaticStatic();
    if (!this.#timers?.awaitsAnswer) return;
    if (hadIdentity) this.#host.emit({ type: 'watch', peer: this, edge: 'staged', after: now });
    else this.#beginHandshake(now);
  }

  get remoteStatic(): RemoteStatic {
    const { publicKey } = this;
    if (this.#staticStatic === undefined) this.#staticStatic = this.#host.identity?.agree(publicKey) ?? null;
    return { publicKey, staticStatic: this.#staticStatic ?? undefined };
  }

  get nextTimeout(): { at: number; why: string } | undefined {
    return this.#timers?.next();
  }

  handleTimeout(now: number): void {
    this.#timers?.handleTimeout(now);
  }

  handleTraffic(what: Traffic, now: number): void {
    if (what === 'staged' || what === 'rekeyNeeded') this.#beginHandshake(now);
    else if (what === 'dataSent') this.#clock.dataSent(now);
    else if (what === 'dataReceived') this.#clock.dataReceived(now);
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
    this.#guard ??= new InitiationGuard();
    const refused = this.#guard.take(received.payload, now);
    if (refused) {
      received.state.wipe();
      return refused;
    }
    this.#heardFrom(from, bytes, now);
    const response = makeResponse({
      received,
      presharedKey: this.#presharedKey ?? NO_KEY,
      receiverIndex: senderIndex,
      peer: this,
      host: this.#host,
    });
    if (!response) return 'lowOrderPoint';
    this.#initiatedAt = now;
    const { keys, localIndex, message } = response;
    this.#beginSession(keys, { localIndex, remoteIndex: senderIndex, initiator: false, createdAt: now });
    this.#send(message, from, now);
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
  ): 'unexpectedResponse' | 'lowOrderPoint' | 'undecryptable' | undefined {
    const pending = this.#pending;
    const identity = this.#host.identity;
    if (!identity || pending?.localIndex !== response.receiverIndex) return 'unexpectedResponse';
    const answer = pending.read(response, identity, this.#presharedKey ?? NO_KEY);
    if (typeof answer === 'string') return answer;
    this.#heardFrom(from, bytes, now);
    const { unconfirmedAt } = this.#sessions;
    const isTie = unconfirmedAt !== undefined && unconfirmedAt >= pending.sentAt;
    if (isTie && compareBytes(identity.publicKey, this.publicKey) > 0) {
      pending.reserve(answer);
      this.#clock.tieBegins(now);
    } else {
      this.#accept(answer, now);
    }
    return undefined;
  }

  /** Whether it brought the cookie for our last message. The retry, at most 5 s later, carries it. */
  handleCookie(reply: CookieReply, bytes: number, now: number): boolean {
    if (!this.#signer?.consume(reply, now)) return false;
    this.#receivedBytes += bytes;
    return true;
  }

  /** The packet loop has let go of a keypair. */
  forgetKeypair(localIndex: number): void {
    if (this.#sessions.forget(localIndex)) this.#host.releaseIndex(localIndex);
  }

  /** Wipes all keys: those here, and by event those of the packet loop. */
  endSessions(): void {
    this.#endPending();
    for (const localIndex of this.#sessions.end()) {
      this.#host.releaseIndex(localIndex);
      this.#host.emit({ type: 'retire', peer: this, localIndex });
    }
    this.#initiatedAt = undefined;
  }

  linkUp(now: number): void {
    if (this.#timers) {
      this.#host.emit({ type: 'watch', peer: this, edge: 'dataSent', after: now });
      this.#host.emit({ type: 'watch', peer: this, edge: 'dataReceived', after: now });
    }
    if (this.#persistentKeepalive === 0) return;
    this.#clock.setPersistentKeepalive(this.#persistentKeepalive, now);
    this.#host.emit({ type: 'sendKeepalive', peer: this });
  }

  linkDown(): void {
    this.#timers?.stop();
    this.endSessions();
    if (this.#timers) this.#host.emit({ type: 'dropStaged', peer: this });
  }

  /** The peer is removed: nothing of it is kept. */
  end(): void {
    this.#timers?.stop();
    this.endSessions();
    this.#signer?.wipe();
    if (this.#presharedKey) wipe(this.#presharedKey);
    this.#forgetStaticStatic();
  }

  #goOn(carried: CarriedPeer): void {
    const { presharedKey, endpoint, timers, signer, guard, pending, reserved } = carried;
    if (presharedKey) this.setPresharedKey(presharedKey);
    if (endpoint) this.#endpoint = new PeerEndpoint(() => this.#host.activity(this).endpoint, endpoint);
    if (timers) this.#timers = new PeerTimers(this.#actions(), timers);
    if (signer) this.#signer = new MacSigner(this.publicKey, signer);
    if (guard) this.#guard = new InitiationGuard(guard);
    if (pending) this.#pending = OwnInitiation.of(pending, reserved, this.#host);
    this.#sessions = new PeerSessions(carried);
    this.#persistentKeepalive = carried.persistentKeepalive;
    this.#lastHandshake = carried.lastHandshake;
    this.#sentBytes = carried.sentBytes;
    this.#receivedBytes = carried.receivedBytes;
    this.#initiatedAt = carried.initiatedAt;
  }

  get #clock(): PeerTimers {
    this.#timers ??= new PeerTimers(this.#actions());
    return this.#timers;
  }

  #actions(): TimerActions {
    return {
      activity: () => this.#host.activity(this),
      jitter: () => this.#host.jitter(),
      beginHandshake: now => this.#beginHandshake(now),
      retry: now => this.#initiate(now),
      giveUp: () => {
        this.#endPending();
        this.#host.emit({ type: 'dropStaged', peer: this });
      },
      sendKeepalive: () => this.#host.emit({ type: 'sendKeepalive', peer: this }),
      zeroKeys: () => this.endSessions(),
      breakTie: now => {
        if (this.#pending?.reserved) this.#accept(this.#pending.reserved, now);
      },
      watch: (edge, after) => this.#host.emit({ type: 'watch', peer: this, edge, after }),
    };
  }

  get #place(): PeerEndpoint {
    this.#endpoint ??= new PeerEndpoint(() => this.#host.activity(this).endpoint);
    return this.#endpoint;
  }

  #forgetStaticStatic(): void {
    if (this.#staticStatic) wipe(this.#staticStatic);
    this.#staticStatic = undefined;
  }

  #beginHandshake(now: number): void {
    this.#place.attemptBegins();
    this.#clock.attemptBegins(now);
    this.#initiate(now);
  }

  /** Sends an initiation, unless a handshake message went to the peer less than 5 s ago: then when that time is over. */
  #initiate(now: number): void {
    const host = this.#host;
    if (!host.isUp) return;
    if (this.#initiatedAt !== undefined && now - this.#initiatedAt < REKEY_TIMEOUT) {
      if (!this.#clock.awaitsAnswer) this.#clock.awaitAnswer(this.#initiatedAt);
      return;
    }
    this.#clock.awaitAnswer(now);
    const to = this.#place.nextDestination();
    const { identity: local } = host;
    if (!local || !to) return;
    this.#endPending();
    const begun = OwnInitiation.begin({ local, remote: this.remoteStatic, peer: this, host, now });
    if (!begun) return;
    this.#pending = begun.initiation;
    this.#initiatedAt = now;
    this.#send(begun.message, to, now);
  }

  #send(message: Uint8Array, to: Endpoint, now: number): void {
    this.#signer ??= new MacSigner(this.publicKey);
    this.#signer.sign(message, now);
    this.#sentBytes += message.length;
    this.#clock.handshakeTraffic(now);
    this.#host.transmit({ to, bytes: message, peer: this });
  }

  #heardFrom(from: Endpoint, bytes: number, now: number): void {
    this.#receivedBytes += bytes;
    this.#clock.handshakeTraffic(now);
    this.#place.moveTo(from);
    this.#host.emit({ type: 'endpoint', peer: this, endpoint: from });
  }

  #accept(answer: Answer, now: number): void {
    if (!this.#pending) return;
    const { localIndex } = this.#pending;
    this.#pending.taken();
    this.#pending = undefined;
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
    this.#sessions.begin(made);
    this.#host.emit({ type: 'keypair', peer: this, keypair: { ...made, sendKey, receiveKey } });
    this.#host.sessionBegan(this);
    this.#clock.sessionDerived(made.createdAt);
  }

  #complete(): void {
    this.#sessions.confirm();
    this.#timers?.handshakeComplete();
    this.#endPending();
    this.#lastHandshake = this.#host.wallClock();
  }

  #endPending(): void {
    this.#timers?.tieEnds();
    if (!this.#pending) return;
    this.#pending.end();
    this.#host.releaseIndex(this.#pending.localIndex);
    this.#pending = undefined;
  }
}
