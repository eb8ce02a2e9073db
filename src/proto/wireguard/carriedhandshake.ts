/** A handshake of ours that is under way, and how it is carried over to another process. */
import type { CarriedAnswer, CarriedInitiation } from './carried.ts';
import type { KeyPair } from './crypto.ts';
import { type PendingInitiation, SymmetricState, type TransportKeys } from './noise.ts';

/** A response whose tag was right. */
export interface Answer {
  readonly keys: TransportKeys;
  readonly remoteIndex: number;
}

/** An initiation whose answer is awaited. */
export type Initiation = PendingInitiation & { readonly localIndex: number; readonly sentAt: number };

export function carryInitiation({ state, ephemeral, localIndex, sentAt }: Initiation): CarriedInitiation {
  return { ...state.carry(), ephemeral: ephemeral.reveal(), localIndex, sentAt };
}

export function initiationOf(carried: CarriedInitiation, ephemeral: KeyPair): Initiation {
  const { localIndex, sentAt } = carried;
  return { state: SymmetricState.of(carried), ephemeral, localIndex, sentAt };
}

export function carryAnswer({ keys, remoteIndex }: Answer): CarriedAnswer {
  return { ...keys, remoteIndex };
}

export function answerOf({ remoteIndex, ...keys }: CarriedAnswer): Answer {
  const copy = (bytes: Uint8Array) => Uint8Array.from(bytes);
  return {
    remoteIndex,
    keys: {
      initiatorToResponder: copy(keys.initiatorToResponder),
      responderToInitiator: copy(keys.responderToInitiator),
      transcript: copy(keys.transcript),
    },
  };
}
