/** What the nodes have said of their epochs, out of one view of the CiliumNode objects. */
import type { CiliumNode } from '../../kube/types.ts';
import {
  type Advertisement,
  EPOCHS_ANNOTATION,
  parseAdvertisement,
} from '../../model/epochs/advertisement.ts';
import { PUBLIC_KEY_ANNOTATION } from '../../model/node.ts';

export class Advertisements {
  /** The last readable one of each object, by uid: what somebody spoils is not taken for silence. */
  readonly #last = new Map<string, Advertisement>();

  /** By name of the node. Those who have said nothing are not in it. */
  read(nodes: readonly CiliumNode[]): Map<string, Advertisement> {
    const said = new Map<string, Advertisement>();
    const uids = new Set<string>();
    for (const node of nodes) {
      const uid = node.metadata.uid ?? node.metadata.name;
      uids.add(uid);
      const advertisement = advertisementOf(node) ?? this.#last.get(uid);
      if (!advertisement) continue;
      this.#last.set(uid, advertisement);
      said.set(node.metadata.name, advertisement);
    }
    for (const uid of this.#last.keys()) if (!uids.has(uid)) this.#last.delete(uid);
    return said;
  }
}

/** Undefined when the object tells of none that can be read. */
export function advertisementOf({ metadata, spec }: CiliumNode): Advertisement | undefined {
  const { [EPOCHS_ANNOTATION]: text, [PUBLIC_KEY_ANNOTATION]: publicKey } = metadata.annotations ?? {};
  const incarnation = spec?.bootid ?? '';
  if (text !== undefined) return parseAdvertisement(incarnation, text);
  // An agent that knew WireGuard alone said all of it with its key.
  if (publicKey === undefined) return undefined;
  return { incarnation, serial: 0, opens: ['wireguard'], seals: ['wireguard'], refuses: [] };
}
