/** The native half of ESP: build/engine.node (native/engine/esp*), which owns every packet. */
import { loadAddon } from '../linux/project.ts';
import type { SavedLoop } from './native.ts';

/** How the native half knows a suite; lengths are bytes, as in `Suite`. */
export interface NativeSuite {
  /** 0 AES-GCM, 1 ChaCha20-Poly1305, 2 AES-CBC with HMAC. */
  kind: 0 | 1 | 2;
  /** Of the HMAC's hash: 256, 384, 512; 0 for an AEAD. */
  hashBits: number;
  keyLength: number;
  saltLength: number;
  integrityKeyLength: number;
  ivLength: number;
  icvLength: number;
  alignment: number;
}

/** Where a state is due, and where it stops; blocks are of 16 bytes. All below 2^64. */
export interface NativeLimits {
  dueSequence: bigint;
  lastSequence: bigint;
  dueBlocks: bigint;
  lastBlocks: bigint;
}

export interface NativeState {
  /** Names the state, never 0, never used again. */
  id: number;
  spi: number;
  /** Outer addresses, 4 or 16 bytes. */
  source: Uint8Array;
  destination: Uint8Array;
  suite: NativeSuite;
  /** Cipher key with its salt. */
  key: Uint8Array;
  integrityKey?: Uint8Array;
  /** The same for the same key: a state goes on where one with its key stopped. */
  keyName: string;
  esn: boolean;
  /** Of RFC 3948; both 0 for ESP in IP itself. */
  sourcePort: number;
  destinationPort: number;
  limits: NativeLimits;
  /** Inner sources that an inbound state permits: entries as in `PacketLoop.changeAllowedIps`. */
  sources: Uint8Array;
  /** Packets that may come late: inbound. */
  window: number;
  /** The last sequence number that cannot come again. */
  after: bigint;
}

/** Applied as one, between two packets. */
export interface NativeChange {
  removed: number[];
  outbound: NativeState[];
  inbound: NativeState[];
  /** Their limits and sources alone change. */
  updated: NativeState[];
  /** Inner destinations (entries) and the outbound state that seals what goes there; 0: nothing does. */
  policies: { destinations: Uint8Array; state: number }[];
  /** Entries; absent: as they are. */
  local?: Uint8Array;
}

/** Why packets were dropped: the kernel's names (src/proto/esp/drops.ts), and those of what went wrong on this machine. */
export type EspDrop = string;

export interface NativeCounters {
  /** Outbound the last one used, inbound the highest one taken. */
  sequence: bigint;
  blocks: bigint;
  packets: number;
  /** Of inner packets. */
  bytes: number;
  /** As `now`; 0 is never. */
  lastUsed: number;
  due: boolean;
  expired: boolean;
  drops: Record<EspDrop, number>;
}

export interface EspLoopOptions {
  /** Of the TUN device: 1 to 15 bytes. */
  name: string;
  /** The device outlives this process. */
  persist: boolean;
  /** For a device that is new; one that exists keeps its own. */
  mtu: number;
  /** Of what leaves (SO_MARK); 0 is none. */
  mark: number;
  /** What another process saved: the loop stands still until it has its states, `load` and `start`. */
  adopted?: SavedLoop;
}

/** The threads between a TUN device and the sockets. System errors throw with `code` and a sentence. */
export interface EspLoop {
  /** Ends the threads, and with them a device that does not persist. */
  close(): void;
  /** No packet is under way once it has stopped: what comes meanwhile waits in the kernel. */
  stop(): void;
  start(): void;
  /** Stops it. */
  save(): SavedLoop;
  /** The counters of the states that were adopted: they are those of `apply`, with the same ids. */
  load(state: Uint8Array): void;
  device(): { name: string; up: boolean; mtu: number; gone: boolean };
  /** Milliseconds: never 0, never back, and on while the machine sleeps. */
  now(): number;
  /** When it throws, nothing has changed. */
  apply(change: NativeChange): void;
  /** Sends a dummy packet. False for what is no outbound state. */
  probe(state: number): boolean;
  counters(state: number): NativeCounters | undefined;
  drops(): Record<EspDrop, number>;
}

export interface EspAddon {
  /** Throws when the TUN device cannot be had. `wake` is called when the device is gone. */
  EspLoop: new (
    options: EspLoopOptions,
    wake: () => void,
  ) => EspLoop;

  /** What AES-GCM can be done by on this machine; the first one does it. */
  gcmLibraries(): string[];
  /** For tests: whether states that come are OpenSSL's in any case. */
  avoidIpsecMb(avoid: boolean): void;

  // SAs that tests try without a device.

  EspSealer: new (
    state: NativeState,
  ) => {
    /** The ESP packet, or why there is none. */
    seal(payload: Uint8Array, nextHeader: number): Buffer | EspDrop;
  };
  EspOpener: new (
    state: NativeState,
  ) => {
    /** The inner packet, empty for a dummy packet; or why there is none. */
    open(packet: Uint8Array): Buffer | EspDrop;
  };
}

/** Throws with a sentence when the addon is not built, or this Node is not the right one. */
export function espAddon(): EspAddon {
  return loadAddon<EspAddon>('engine');
}
