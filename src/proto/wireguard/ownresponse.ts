/** A response of ours to an initiation whose tags were right. */
import type { Peer } from './api.ts';
import { encodeResponse } from './messages.ts';
import { type ReceivedInitiation, type TransportKeys, writeResponse } from './noise.ts';
import type { PeerHost } from './peerhost.ts';

/** With the keys that it begins a session with; undefined when one of the initiator's keys is a point of low order. */
export function makeResponse(options: {
  received: ReceivedInitiation;
  presharedKey: Uint8Array;
  receiverIndex: number;
  peer: Peer;
  host: PeerHost;
}): { localIndex: number; keys: TransportKeys; message: Uint8Array } | undefined {
  const { received, presharedKey, receiverIndex, peer, host } = options;
  const ephemeral = host.ephemeral();
  const answer = writeResponse({ received, ephemeral, presharedKey });
  ephemeral.wipe();
  if (!answer) return undefined;
  const localIndex = host.allocateIndex(peer);
  const { ephemeral: publicEphemeral, encryptedPayload: encryptedNothing } = answer.message;
  const message = encodeResponse({
    senderIndex: localIndex,
    receiverIndex,
    ephemeral: publicEphemeral,
    encryptedNothing,
  });
  return { localIndex, keys: answer.keys, message };
}
