/** Key ids: 1 to 15, the SPI on the wire. They had four bits in Cilium's packet mark, 0 of which meant "not encrypted". */

export type KeyId = number;

export const FIRST_KEY_ID: KeyId = 1;
export const LAST_KEY_ID: KeyId = 15;

export function isKeyId(value: number): value is KeyId {
  return Number.isInteger(value) && value >= FIRST_KEY_ID && value <= LAST_KEY_ID;
}

/** The id of the key after this one: 15 rolls over to 1. */
export function nextKeyId(id: KeyId): KeyId {
  return id >= LAST_KEY_ID ? FIRST_KEY_ID : id + 1;
}

/** The first id after `id` that none of the taken ones has; undefined when all are taken. */
export function freeKeyId(id: KeyId, taken: Iterable<KeyId>): KeyId | undefined {
  const used = new Set(taken);
  let next = nextKeyId(id);
  for (let tried = FIRST_KEY_ID; tried <= LAST_KEY_ID; tried++) {
    if (!used.has(next)) return next;
    next = nextKeyId(next);
  }
  return undefined;
}
