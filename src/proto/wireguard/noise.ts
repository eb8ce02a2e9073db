/**
 * The handshake Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s (Noise specification, revision 34; paper, 5.4.2 to 5.4.5):
 *
 *   <- s
 *   ...
 *   -> e, es, s, ss, {payload}       WireGuard's payload is a TAI64N timestamp
 *   <- e, ee, se, psk, {payload}     WireGuard's payload is empty
 *
 * Each function is one side of one message. What a handshake holds in between is wiped by whoever ends it.
 */
import { concatBytes, secretCopy, wipe } from '../bytes.ts';
import { hash, type KeyPair, kdf, open, seal } from './crypto.ts';

const text = (ascii: string) => new TextEncoder().encode(ascii);

const CONSTRUCTION = text('Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s');
/** WireGuard's prologue. */
export const IDENTIFIER = text('WireGuard v1 zx2c4 Jason@zx2c4.com');
const NOTHING = new Uint8Array();

/** The static key of the other end, and the secret that it and ours give once and for all. */
export interface RemoteStatic {
  readonly publicKey: Uint8Array;
  /** Undefined for a point of low order, with which no handshake ends well. */
  readonly staticStatic: Uint8Array | undefined;
}

export interface FirstMessage {
  readonly ephemeral: Uint8Array;
  readonly encryptedStatic: Uint8Array;
  readonly encryptedPayload: Uint8Array;
}

export interface SecondMessage {
  readonly ephemeral: Uint8Array;
  readonly encryptedPayload: Uint8Array;
}

/** The two keys at the end, and the transcript's hash, which names the session. */
export interface TransportKeys {
  readonly initiatorToResponder: Uint8Array;
  readonly responderToInitiator: Uint8Array;
  readonly transcript: Uint8Array;
}

/** What the initiator keeps until the answer comes. */
export interface PendingInitiation {
  readonly state: SymmetricState;
  readonly ephemeral: KeyPair;
}

/** What the responder keeps until it has answered. */
export interface ReceivedInitiation {
  readonly state: SymmetricState;
  readonly remoteEphemeral: Uint8Array;
  readonly remoteStatic: Uint8Array;
  readonly payload: Uint8Array;
}

export type NoiseFailure = 'lowOrderPoint' | 'undecryptable' | 'unknownPeer';

/** The initiator's first message; undefined when the remote key is a point of low order. */
export function writeInitiation(options: {
  local: KeyPair;
  remote: RemoteStatic;
  ephemeral: KeyPair;
  payload: Uint8Array;
  prologue?: Uint8Array;
}): { message: FirstMessage; pending: PendingInitiation } | undefined {
  const { local, remote, ephemeral, payload } = options;
  const state = new SymmetricState(options.prologue ?? IDENTIFIER, remote.publicKey);
  state.mixEphemeral(ephemeral.publicKey);
  const staticKey = state.mixAgreement(ephemeral.agree(remote.publicKey));
  if (!staticKey) return undefined;
  const encryptedStatic = state.sealAndHash(staticKey, local.publicKey);
  const payloadKey = state.mixShared(remote.staticStatic);
  if (!payloadKey) return undefined;
  const encryptedPayload = state.sealAndHash(payloadKey, payload);
  const message = { ephemeral: ephemeral.publicKey, encryptedStatic, encryptedPayload };
  return { message, pending: { state, ephemeral } };
}

/** The responder's reading of it. `lookup` finds the sender among those whom the responder knows. */
export function readInitiation(options: {
  local: KeyPair;
  message: FirstMessage;
  lookup(publicKey: Uint8Array): RemoteStatic | undefined;
  prologue?: Uint8Array;
}): ReceivedInitiation | NoiseFailure {
  const { local, message } = options;
  const state = new SymmetricState(options.prologue ?? IDENTIFIER, local.publicKey);
  state.mixEphemeral(message.ephemeral);
  const refuse = (why: NoiseFailure) => {
    state.wipe();
    return why;
  };
  const staticKey = state.mixAgreement(local.agree(message.ephemeral));
  if (!staticKey) return refuse('lowOrderPoint');
  const remoteStatic = state.openAndHash(staticKey, message.encryptedStatic);
  if (!remoteStatic) return refuse('undecryptable');
  const remote = options.lookup(remoteStatic);
  if (!remote) return refuse('unknownPeer');
  const payloadKey = state.mixShared(remote.staticStatic);
  if (!payloadKey) return refuse('lowOrderPoint');
  const payload = state.openAndHash(payloadKey, message.encryptedPayload);
  if (!payload) return refuse('undecryptable');
  return { state, remoteEphemeral: message.ephemeral, remoteStatic, payload };
}

/** The responder's answer. `received` is used up, whatever comes of it. */
export function writeResponse(options: {
  received: ReceivedInitiation;
  ephemeral: KeyPair;
  presharedKey: Uint8Array;
  payload?: Uint8Array;
}): { message: SecondMessage; keys: TransportKeys } | undefined {
  const { received, ephemeral, presharedKey } = options;
  const { state } = received;
  state.mixEphemeral(ephemeral.publicKey);
  const agreed =
    state.mixAgreement(ephemeral.agree(received.remoteEphemeral)) &&
    state.mixAgreement(ephemeral.agree(received.remoteStatic));
  if (!agreed) {
    state.wipe();
    return undefined;
  }
  const payloadKey = state.mixPresharedKey(presharedKey);
  const encryptedPayload = state.sealAndHash(payloadKey, options.payload ?? NOTHING);
  return { message: { ephemeral: ephemeral.publicKey, encryptedPayload }, keys: state.split() };
}

/** The initiator's reading of the answer. `pending` stays whole, so that a forged answer does not end the handshake. */
export function readResponse(options: {
  pending: PendingInitiation;
  local: KeyPair;
  presharedKey: Uint8Array;
  message: SecondMessage;
}): { payload: Uint8Array; keys: TransportKeys } | NoiseFailure {
  const { pending, local, presharedKey, message } = options;
  const state = pending.state.clone();
  state.mixEphemeral(message.ephemeral);
  const agreed =
    state.mixAgreement(pending.ephemeral.agree(message.ephemeral)) &&
    state.mixAgreement(local.agree(message.ephemeral));
  if (!agreed) {
    state.wipe();
    return 'lowOrderPoint';
  }
  const payloadKey = state.mixPresharedKey(presharedKey);
  const payload = state.openAndHash(payloadKey, message.encryptedPayload);
  if (!payload) {
    state.wipe();
    return 'undecryptable';
  }
  return { payload, keys: state.split() };
}

interface SymmetricValues {
  readonly chainingKey: Uint8Array;
  readonly hash: Uint8Array;
}

/** Noise's SymmetricState: the chaining key and the transcript's hash. Every key it gives is used once. */
export class SymmetricState {
  readonly #chainingKey: Uint8Array;
  readonly #hash: Uint8Array;

  /** With `from`, what that one was: the rest does not matter then. */
  constructor(prologue: Uint8Array, responderStatic: Uint8Array, from?: SymmetricValues) {
    if (from) {
      this.#chainingKey = secretCopy(from.chainingKey);
      this.#hash = Uint8Array.from(from.hash);
      return;
    }
    this.#chainingKey = secretCopy(hash(CONSTRUCTION));
    this.#hash = hash(this.#chainingKey, prologue);
    this.#mixHash(responderStatic);
  }

  /** One that was carried over from another process. */
  static of(values: SymmetricValues): SymmetricState {
    return new SymmetricState(NOTHING, NOTHING, values);
  }

  /** Those in use, not copies. */
  carry(): SymmetricValues {
    return { chainingKey: this.#chainingKey, hash: this.#hash };
  }

  clone(): SymmetricState {
    return SymmetricState.of(this.carry());
  }

  /** Token `e`: with a PSK in the pattern it goes into the chaining key too. */
  mixEphemeral(publicKey: Uint8Array): void {
    this.#mixHash(publicKey);
    this.#chain(kdf(1, this.#chainingKey, publicKey));
  }

  /** A DH token with fresh keys: wipes the secret. Undefined when there is none. */
  mixAgreement(secret: Uint8Array | undefined): Uint8Array | undefined {
    const key = this.mixShared(secret);
    if (secret) wipe(secret);
    return key;
  }

  /** A DH token with a secret that is kept. */
  mixShared(secret: Uint8Array | undefined): Uint8Array | undefined {
    if (!secret) return undefined;
    return this.#chain(kdf(2, this.#chainingKey, secret));
  }

  mixPresharedKey(presharedKey: Uint8Array): Uint8Array {
    const [chainingKey, temporary, key] = kdf(3, this.#chainingKey, presharedKey);
    this.#chain([chainingKey!]);
    this.#mixHash(temporary!);
    wipe(temporary!);
    return key!;
  }

  sealAndHash(key: Uint8Array, plaintext: Uint8Array): Uint8Array {
    const sealed = seal(key, 0n, plaintext, this.#hash);
    wipe(key);
    this.#mixHash(sealed);
    return sealed;
  }

  openAndHash(key: Uint8Array, sealed: Uint8Array): Uint8Array | undefined {
    const plaintext = open(key, 0n, sealed, this.#hash);
    wipe(key);
    if (plaintext) this.#mixHash(sealed);
    return plaintext;
  }

  /** Ends the handshake. */
  split(): TransportKeys {
    const [initiatorToResponder, responderToInitiator] = kdf(2, this.#chainingKey, NOTHING);
    const transcript = Uint8Array.from(this.#hash);
    this.wipe();
    return {
      initiatorToResponder: initiatorToResponder!,
      responderToInitiator: responderToInitiator!,
      transcript,
    };
  }

  wipe(): void {
    wipe(this.#chainingKey, this.#hash);
  }

  /** Takes the first key as chaining key, and gives the second. */
  #chain(keys: readonly Uint8Array[]): Uint8Array {
    this.#chainingKey.set(keys[0]!);
    wipe(keys[0]!);
    return keys[1] ?? NOTHING;
  }

  #mixHash(data: Uint8Array): void {
    this.#hash.set(hash(this.#hash, data));
  }
}

/** The key of mac1, or of the cookie's encryption, for messages to the owner of a public key (5.4.4, 5.4.7). */
export function labelledKey(label: 'mac1----' | 'cookie--', publicKey: Uint8Array): Uint8Array {
  return hash(concatBytes(text(label), publicKey));
}
