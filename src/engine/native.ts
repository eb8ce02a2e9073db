/** The native half of the engine: build/engine.node (native/engine), which owns every data packet. */
import { loadAddon } from '../linux/project.ts';
import type { KeyPair } from '../proto/wireguard/crypto.ts';
import type { Endpoint, Keypair } from '../proto/wireguard/device.ts';

/** An endpoint, with our own address that its last datagram was sent to. */
export interface Place extends Endpoint {
  readonly source?: string;
  readonly sourceInterface?: number;
}

/** Bits of `takeEdges` and `watch`. */
export const EDGE = { staged: 1, dataSent: 2, dataReceived: 4, rekeyNeeded: 8, confirmed: 16 } as const;

/** Bits of `request`. */
export const REQUEST = { flush: 1, keepalive: 2, dropStaged: 4 } as const;

/** Why the packet loop let packets go. */
export type Drop =
  | 'notIp'
  | 'noPeer'
  | 'noEndpoint'
  | 'badOffload'
  | 'ownDatagram'
  | 'stagingFull'
  | 'stagingCleared'
  | 'sendFailed'
  | 'noSocket'
  | 'malformed'
  | 'unknownIndex'
  | 'expired'
  | 'badTag'
  | 'replayed'
  | 'badInnerPacket'
  | 'badSource'
  | 'badMac1'
  | 'handshakeQueueFull'
  | 'tunWriteFailed';

export interface PacketLoopOptions {
  /** Of the TUN device: 1 to 15 bytes. */
  name: string;
  /** The device outlives this process. */
  persist: boolean;
  /** For a device that is new; one that exists keeps its own. */
  mtu: number;
  /** Tests let time fly: so many times as fast as real. */
  clockSpeed?: number;
  /** Tests reach the limits of a keypair sooner. */
  rekeyAfterMessages?: bigint;
  rejectAfterMessages?: bigint;
  /** What another process saved: the loop stands still until `start`. */
  adopted?: SavedLoop;
}

/** A packet loop on its way to another process. */
export interface SavedLoop {
  /** The TUN device's, then the sockets'; -1 is none. They belong to the loop that was saved, or adopts them. */
  readonly descriptors: readonly number[];
  /** TUN_F_… */
  readonly offloads: number;
  /** Has keys: to be wiped. */
  readonly state: Uint8Array;
}

/**
 * The threads between a TUN device and the UDP sockets. Peers are numbers that `addPeer` gave. System errors throw with
 * `code` and a sentence.
 */
export interface PacketLoop {
  /** Ends the threads, and with them a device that does not persist. */
  close(): void;
  /** No packet is under way once it has stopped: what comes meanwhile waits in the kernel. */
  stop(): void;
  start(): void;
  /** Stops it. */
  save(): SavedLoop;
  device(): { name: string; index: number; created: boolean; offloads: number };
  /** Milliseconds: never 0, never back, and on while the machine sleeps. */
  now(): number;
  link(): { up: boolean; mtu: number; gone: boolean };
  /** The port; 0 asks for a random one. When it throws, the sockets in use stay. */
  bind(port: number): number;
  unbind(): void;
  setMark(mark: number): void;
  /** 32 bytes. Initiations and responses without that mac1 are dropped; without a key all come through. */
  setMac1Key(key: Uint8Array | undefined): void;
  /** Sends a handshake message; the name of an errno when that failed. */
  transmit(to: Place, bytes: Uint8Array): string | undefined;
  /** Whether it can be parsed, and its scope is that of an interface. */
  isEndpoint(endpoint: Place): boolean;
  addPeer(): number;
  removePeer(peer: number): void;
  setEndpoint(peer: number, endpoint: Place): void;
  /** The endpoint, if the peer's data packets or a lost address of ours changed it since it was set or taken. */
  takeRoamed(peer: number): Place | undefined;
  /** Entries of 20 bytes: family (4, 6), prefix length, 1 to remove, 0, address. `replace` removes what is not named. */
  changeAllowedIps(peer: number, entries: Uint8Array, replace: boolean): void;
  allowedIps(peer: number): Uint8Array;
  installKeypair(peer: number, keypair: Keypair): void;
  retire(localIndex: number): void;
  request(peer: number, request: number): void;
  watch(peer: number, edge: number, after: number): void;
  /** lastSent, lastReceived, unansweredSince, unacknowledgedSince, bytes sent, bytes received. */
  readActivity(peer: number, into: Float64Array): void;
  /** Peer, bits, peer, bits, … */
  takeEdges(): number[];
  /** Local indexes of keypairs that fell out of their slots. */
  takeReleased(): number[];
  takeHandshake(): { bytes: Uint8Array; from: Place } | undefined;
  queuedHandshakes(): number;
  drops(): Record<Drop, number>;
}

export interface EngineAddon {
  /** Throws when the TUN device cannot be had. `wake` is called when there is something to take. */
  PacketLoop: new (
    options: PacketLoopOptions,
    wake: () => void,
  ) => PacketLoop;

  /** X25519 for handshakes: takes 32 bytes, which it copies. */
  KeyPair: new (
    privateKey: Uint8Array,
  ) => KeyPair;

  // Parts that tests try without a device.

  /** A packet with its offload header in front as it comes from the TUN, split; undefined for a header that does not fit. */
  split(packet: Uint8Array): Buffer[] | undefined;
  /** What is written to the TUN for these packets; undefined stands for one that failed to open. */
  coalesce(packets: (Uint8Array | undefined)[]): Buffer[];
  /** Ciphertext and tag, behind the 64 bytes that were in front of where they were written: each 0xee at first. */
  seal(key: Uint8Array, counter: bigint, plain: Uint8Array): Buffer | undefined;
  /**
   * Where it was read, with 64 bytes in front and 80 behind, and the packet behind 64 bytes: all these were 0xee at first.
   * Undefined when the tag is wrong.
   */
  open(key: Uint8Array, counter: bigint, sealed: Uint8Array): [read: Buffer, written: Buffer] | undefined;
  /** Which of the counters pass the replay window. */
  replay(counters: bigint[]): boolean[];
  AllowedIpsTable: new () => {
    insert(address: Uint8Array, prefix: number, peer: number): void;
    remove(address: Uint8Array, prefix: number, peer: number): void;
    removePeer(peer: number): void;
    lookup(address: Uint8Array): number | undefined;
  };
}

/** Throws with a sentence when the addon is not built, or this Node is not the right one. */
export function engineAddon(): EngineAddon {
  return loadAddon<EngineAddon>('engine');
}
