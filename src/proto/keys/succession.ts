/** Which key may follow those in use. The rules that a Secret cannot show by itself. */
import { suiteName } from '../esp/suite.ts';
import { nextKeyId } from './keyid.ts';
import type { MasterKey } from './master.ts';

/**
 * Why `next` cannot be taken while `inUse` are, as a sentence with the remedy; undefined when it can. A key that is in use
 * already can be taken again.
 */
export function refuseSuccessor(next: MasterKey, inUse: readonly MasterKey[]): string | undefined {
  const newest = inUse.at(-1);
  if (newest === undefined || inUse.some(key => isSame(key, next))) return undefined;
  const sameId = inUse.find(key => key.id === next.id);
  if (sameId) {
    return (
      `key ${next.id} is in use with another key or algorithm (fingerprint ${sameId.fingerprint}, not ` +
      `${next.fingerprint}): a new key takes a new id, write ${nextKeyId(newest.id)}+ before it`
    );
  }
  const twin = inUse.find(key => key.sharesMaterial(next));
  if (twin) {
    return `key ${next.id} is key ${twin.id} under another id: a rotation needs new random bytes, write a new key`;
  }
  if (next.suite.keyLength < newest.suite.keyLength) {
    return (
      `key ${next.id} (${suiteName(next.suite)}) is shorter than key ${newest.id} (${suiteName(newest.suite)}): a ` +
      `rotation never weakens, write a key for ${8 * newest.suite.keyLength} bits`
    );
  }
  return undefined;
}

function isSame(a: MasterKey, b: MasterKey): boolean {
  return a.id === b.id && a.fingerprint === b.fingerprint;
}
