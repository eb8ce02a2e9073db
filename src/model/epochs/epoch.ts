/**
 * Epochs: with what a packet between two nodes is sealed, protocol and key together.
 *
 *     ipsec/3/9c1185a5c5e9fc54   the key with id 3 (the SPI) and this fingerprint, so that two keys with one id are two epochs
 *     wireguard                  each node's own key pair: for a node it is wireguard/<its public key>
 *     none                       in the clear: encryption is off
 */
import { isFingerprint } from '../../proto/keys/fingerprint.ts';
import { isKeyId, type KeyId } from '../../proto/keys/keyid.ts';

export type Epoch = 'none' | 'wireguard' | `ipsec/${number}/${string}`;
export type Protocol = 'none' | 'wireguard' | 'ipsec';

export function ipsecEpoch(key: { id: KeyId; fingerprint: string }): Epoch {
  return `ipsec/${key.id}/${key.fingerprint}`;
}

/** Undefined for what is no epoch. */
export function parseEpoch(text: string): Epoch | undefined {
  if (text === 'none' || text === 'wireguard') return text;
  const found = /^ipsec\/([1-9][0-9]?)\/([0-9a-f]+)$/.exec(text);
  if (!found || !isKeyId(Number(found[1])) || !isFingerprint(found[2]!)) return undefined;
  return ipsecEpoch({ id: Number(found[1]), fingerprint: found[2]! });
}

export function protocolOf(epoch: Epoch): Protocol {
  return epoch === 'none' || epoch === 'wireguard' ? epoch : 'ipsec';
}

/** Whether a new run of either end makes other keys of it, so that nothing of the old run can be opened any more. */
export function isKeyedByRun(epoch: Epoch): boolean {
  return protocolOf(epoch) === 'ipsec';
}

/** The key id of an epoch of IPsec. */
export function keyIdOf(epoch: Epoch): KeyId | undefined {
  return protocolOf(epoch) === 'ipsec' ? Number(epoch.split('/')[1]) : undefined;
}

export function fingerprintOf(epoch: Epoch): string | undefined {
  return epoch.split('/')[2];
}

/** As people say it: `ipsec/3`, `wireguard`, and for a node `wireguard/<public key>`. */
export function epochLabel(epoch: Epoch, publicKey?: string): string {
  const id = keyIdOf(epoch);
  if (id !== undefined) return `ipsec/${id}`;
  return epoch === 'wireguard' && publicKey !== undefined ? `wireguard/${publicKey}` : epoch;
}

/** Two keys under one id: packets of the one cannot be told from packets of the other. */
export function conflict(a: Epoch, b: Epoch): boolean {
  return a !== b && keyIdOf(a) !== undefined && keyIdOf(a) === keyIdOf(b);
}
