/** The words in which a device, its packet loop and its configuration talk to each other. */
import type { CarriedDevice } from './carried.ts';
import type { KeyPair } from './crypto.ts';

/** Where a datagram came from or goes to. The object that came as `from` is handed back unchanged as `to`. */
export interface Endpoint {
  /** IPv4 or IPv6 text, without brackets; a link-local address may carry `%scope`. */
  readonly address: string;
  readonly port: number;
}

export interface DeviceOptions {
  /** Cryptographically strong random bytes. */
  random(bytes: number): Uint8Array;
  /** Milliseconds of a clock that never goes back, and keeps going while the machine sleeps. */
  now: number;
  /** Unix time, for the timestamps inside initiations and for `Peer.lastHandshake`. */
  wallClock(): { seconds: number; nanos: number };
  /** An X25519 key pair of a private key, which is copied; without it Node's OpenSSL makes them, which takes twice as long. */
  keyPair?(privateKey: Uint8Array): KeyPair;
  /** What the packet loop saw of a peer. Without it, the device counts by its own `handleTraffic` calls. */
  activity?(peer: Peer): Activity;
  /** TAI64N label that the first initiation has to exceed, kept by the caller from an earlier run. */
  timestampFloor?: Uint8Array;
  /** What a device in another process knew, which is no more: this one goes on in its place. */
  carried?: CarriedDevice;
}

/** What the packet loop knows of a peer, in milliseconds of the same clock as `now`; 0 is never (or not now). */
export interface Activity {
  /** Last data packet or keepalive sent. */
  lastSent: number;
  /** Last authenticated data packet or keepalive received. */
  lastReceived: number;
  /** The first data packet (not keepalive) sent since anything authenticated came. A new keypair sets it to 0. */
  unansweredSince: number;
  /** The first data packet (not keepalive) received since anything was sent. A new keypair sets it to 0. */
  unacknowledgedSince: number;
  /** Where the packet loop sends to now, if it follows the peer's data packets as well as the events `endpoint`. */
  endpoint?: Endpoint | undefined;
}

/** The other end of a tunnel. Made by `Device.upsertPeer`. */
export interface Peer {
  /** Hex of the public key. */
  readonly id: string;
  readonly publicKey: Uint8Array;
  /** 32 bytes; all zero is none. */
  readonly presharedKey: Uint8Array;
  /** Where the peer was last heard from, or else was configured to be. */
  readonly endpoint: Endpoint | undefined;
  /** Seconds; 0 is off. */
  readonly persistentKeepalive: number;
  /** Unix time of the last finished handshake. */
  readonly lastHandshake: { readonly seconds: number; readonly nanos: number } | undefined;
  /** Bytes of handshake messages alone: the packet loop counts its own. */
  readonly sentBytes: number;
  readonly receivedBytes: number;
  /** For the next handshake: a session goes on with the key that it began with. */
  setPresharedKey(key: Uint8Array): void;
  /** At another endpoint a handshake starts at once, where there is a session or one is being tried. */
  setEndpoint(endpoint: Endpoint, now: number): void;
  /** Seconds, 0 to 65535. From 0 to n sends one at once. */
  setPersistentKeepalive(seconds: number, now: number): void;
}

/**
 * What the packet loop tells, with the peer that it is about:
 * - `staged`: a packet waits and there is no keypair to seal it with (none, or older than 180 s). Once, until a keypair
 *   comes, `dropStaged` is called for, or the event `watch` asks for it again.
 * - `dataSent`: a data packet (not keepalive) went out. Once, until the event `watch` asks for it again.
 * - `dataReceived`: a data packet (not keepalive) came in. Once, until the event `watch` asks for it again.
 * - `keepaliveSent`, `keepaliveReceived`: only from callers that give no `activity`, and then for each.
 * - `rekeyNeeded`: this side is the initiator of the current keypair and sent with it at 120 s or later, or received with
 *   it at 165 s or later; or whoever sent its 2^60th packet. Once for each keypair.
 * - `confirmed`: the first packet came in that was sealed with the responder's new keypair, which is now the current one.
 */
export type Traffic =
  | 'staged'
  | 'dataSent'
  | 'keepaliveSent'
  | 'dataReceived'
  | 'keepaliveReceived'
  | 'rekeyNeeded'
  | 'confirmed';

/** Transport keys of a finished handshake. The receiver of the event owns the two keys, and wipes them. */
export interface Keypair {
  /** The receiver index that the peer writes into packets for us. */
  readonly localIndex: number;
  /** The receiver index that we write into packets for the peer. */
  readonly remoteIndex: number;
  readonly sendKey: Uint8Array;
  readonly receiveKey: Uint8Array;
  /** The initiator may send at once; the responder first when a packet has come in with this keypair. */
  readonly initiator: boolean;
  /** Milliseconds. Past 180 s it neither seals nor opens. */
  readonly createdAt: number;
}

export type DeviceEvent =
  /**
   * Install it. The packet loop moves the three slots: an initiator's becomes `current`, and `previous` the one that was
   * `next`, else `current`; a responder's becomes `next`, and `previous` is emptied; when a packet opens with `next`, that
   * is `current` and the old current `previous`. What falls out of a slot is wiped and told by `handleReleased`.
   */
  | { readonly type: 'keypair'; readonly peer: Peer; readonly keypair: Keypair }
  /** Wipe this keypair if it still lives. Its index is free already: nothing to tell back. */
  | { readonly type: 'retire'; readonly peer: Peer; readonly localIndex: number }
  /**
   * Send what is staged, or an empty packet when nothing is. Without a keypair the empty packet is staged. It also follows
   * each keypair of an initiator, to tell the responder that it is in use: the event `keypair` itself sends nothing.
   */
  | { readonly type: 'sendKeepalive'; readonly peer: Peer }
  /** The peer did not answer for 90 s, or the link is down: drop what is staged. */
  | { readonly type: 'dropStaged'; readonly peer: Peer }
  /** The peer is there now, by an authenticated handshake message or by configuration. */
  | { readonly type: 'endpoint'; readonly peer: Peer; readonly endpoint: Endpoint }
  /** Tell this edge again: with the next data packet, or (not `staged`) at once if its `…Since` is `after` or later already. */
  | {
      readonly type: 'watch';
      readonly peer: Peer;
      readonly edge: 'dataSent' | 'dataReceived' | 'staged';
      readonly after: number;
    }
  /** The peer was removed: forget all of it. */
  | { readonly type: 'removed'; readonly peer: Peer };

export interface Transmit {
  readonly to: Endpoint;
  readonly bytes: Uint8Array;
  /** The peer that it is for; none for a cookie reply. */
  readonly peer?: Peer | undefined;
}
