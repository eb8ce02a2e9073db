/** An initiation of ours: on its way, until its answer comes, and while that waits for a tie to be broken. */
import { secretCopy, wipe } from '../bytes.ts';
import type { Peer } from './api.ts';
import type { CarriedAnswer, CarriedInitiation } from './carried.ts';
import type { KeyPair } from './crypto.ts';
import { encodeInitiation, type Response } from './messages.ts';
import {
  type PendingInitiation,
  type RemoteStatic,
  readResponse,
  SymmetricState,
  type TransportKeys,
  writeInitiation,
} from './noise.ts';
import type { PeerHost } from './peerhost.ts';

/** A response whose tag was right. */
export interface Answer {
  readonly keys: TransportKeys;
  readonly remoteIndex: number;
}

export class OwnInitiation {
  readonly localIndex: number;
  readonly sentAt: number;
  readonly #pending: PendingInitiation;
  #reserved: Answer | undefined;

  private constructor(pending: PendingInitiation, localIndex: number, sentAt: number) {
    this.#pending = pending;
    this.localIndex = localIndex;
    this.sentAt = sentAt;
  }

  /** With the message to send; undefined when the remote key is a point of low order. */
  static begin(options: {
    local: KeyPair;
    remote: RemoteStatic;
    peer: Peer;
    host: PeerHost;
    now: number;
  }): { initiation: OwnInitiation; message: Uint8Array } | undefined {
    const { local, remote, peer, host, now } = options;
    const ephemeral = host.ephemeral();
    const first = writeInitiation({ local, remote, ephemeral, payload: host.nextTimestamp() });
    if (!first) return undefined;
    const senderIndex = host.allocateIndex(peer);
    const { encryptedPayload: encryptedTimestamp, ...keys } = first.message;
    return {
      initiation: new OwnInitiation(first.pending, senderIndex, now),
      message: encodeInitiation({ senderIndex, ...keys, encryptedTimestamp }),
    };
  }

  static of(carried: CarriedInitiation, reserved: CarriedAnswer | undefined, host: PeerHost): OwnInitiation {
    const pending = { state: SymmetricState.of(carried), ephemeral: host.keyPair(carried.ephemeral) };
    const initiation = new OwnInitiation(pending, carried.localIndex, carried.sentAt);
    if (reserved) initiation.#reserved = answerOf(reserved);
    return initiation;
  }

  carry(): { pending: CarriedInitiation; reserved: CarriedAnswer | undefined } {
    const { localIndex, sentAt } = this;
    const { state, ephemeral } = this.#pending;
    return {
      pending: { ...state.carry(), ephemeral: ephemeral.reveal(), localIndex, sentAt },
      reserved: this.#reserved && { ...this.#reserved.keys, remoteIndex: this.#reserved.remoteIndex },
    };
  }

  /** The answer that a response is, or why it is none. The initiation goes on waiting. */
  read(
    response: Response,
    local: KeyPair,
    presharedKey: Uint8Array,
  ): Answer | 'lowOrderPoint' | 'undecryptable' {
    const message = { ephemeral: response.ephemeral, encryptedPayload: response.encryptedNothing };
    const read = readResponse({ pending: this.#pending, local, presharedKey, message });
    if (typeof read === 'string') return read === 'lowOrderPoint' ? read : 'undecryptable';
    return { keys: read.keys, remoteIndex: response.senderIndex };
  }

  /** Keeps an answer, which may be taken later. */
  reserve(answer: Answer): void {
    this.#reserved = answer;
  }

  get reserved(): Answer | undefined {
    return this.#reserved;
  }

  /** An answer was taken: its keys live on. */
  taken(): void {
    this.#pending.state.wipe();
    this.#pending.ephemeral.wipe();
    this.#reserved = undefined;
  }

  /** None will be. */
  end(): void {
    if (this.#reserved) {
      const { initiatorToResponder, responderToInitiator } = this.#reserved.keys;
      wipe(initiatorToResponder, responderToInitiator);
    }
    this.taken();
  }
}

function answerOf({ remoteIndex, ...keys }: CarriedAnswer): Answer {
  return {
    remoteIndex,
    keys: {
      initiatorToResponder: secretCopy(keys.initiatorToResponder),
      responderToInitiator: secretCopy(keys.responderToInitiator),
      transcript: Uint8Array.from(keys.transcript),
    },
  };
}
