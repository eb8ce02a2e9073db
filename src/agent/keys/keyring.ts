/**
 * The IPsec keys that this node has read since it started, and which of them it goes by. What stands in the Secret now is
 * taken whole or not at all; a Secret that cannot be taken changes nothing of what is in use.
 */
import { conflict, type Epoch, fingerprintOf, ipsecEpoch } from '../../model/epochs/epoch.ts';
import { nextKeyId } from '../../proto/keys/keyid.ts';
import type { MasterKey } from '../../proto/keys/master.ts';
import { describeProblems, type ParsedSecret, parseSecret } from '../../proto/keys/secret.ts';
import { refuseSuccessor } from '../../proto/keys/succession.ts';

/** What is known of the Secret: `unread` until the API has answered once. */
export type SecretContent =
  | { readonly state: 'unread' }
  | { readonly state: 'missing' }
  | { readonly state: 'there'; readonly text: string | undefined };

/** Epochs that stand somewhere, so that a key cannot be mistaken for another. */
export interface Standing {
  /** What this node's data plane has open. */
  readonly open: readonly Epoch[];
  /** What this node and the others have advertised that they open. */
  readonly advertised: readonly Epoch[];
}

export interface KeyringState {
  /** With which key to seal; absent: no key was ever taken since the start. */
  readonly current?: MasterKey;
  /** Why the Secret as it is now is not taken, as a sentence with the remedy. */
  readonly trouble?: string;
  /** The API has answered: what is said of the Secret is so. */
  readonly isRead: boolean;
  readonly warnings: readonly string[];
}

export class Keyring {
  #secretName = '';
  /** By epoch, in the order of reading. */
  readonly #known = new Map<Epoch, MasterKey>();
  #current: MasterKey | undefined;
  #content: SecretContent = { state: 'unread' };
  #parsed: ParsedSecret | undefined;

  /** What the Secret `namespace/name` holds from now on; `settle` takes it. */
  read(secretName: string, content: SecretContent): void {
    this.#secretName = secretName;
    if (content.state === 'there' && this.#content.state === 'there' && content.text === this.#content.text)
      return;
    this.#content = content;
    this.#parsed =
      content.state === 'there' && content.text !== undefined ? parseSecret(content.text) : undefined;
  }

  /** Takes what the Secret holds if that can follow what stands, and forgets keys that stand nowhere any more. */
  settle(standing: Standing): KeyringState {
    this.#forget(standing);
    const trouble = this.#trouble(standing);
    const parsed = this.#parsed;
    if (trouble !== undefined || !parsed || 'problems' in parsed) {
      return { ...this.#state(), ...(trouble === undefined ? {} : { trouble }), warnings: [] };
    }
    for (const key of parsed.keys)
      if (!this.#known.has(ipsecEpoch(key))) this.#known.set(ipsecEpoch(key), key);
    this.#current = this.#known.get(ipsecEpoch(parsed.current))!;
    return { ...this.#state(), warnings: parsed.warnings };
  }

  /** IPsec is not asked for any more: what is still in use stays known, and nothing is current. */
  leave(standing: Standing): void {
    this.#current = undefined;
    this.#content = { state: 'unread' };
    this.#parsed = undefined;
    this.#forget(standing);
  }

  get hasCurrent(): boolean {
    return this.#current !== undefined;
  }

  get(epoch: Epoch): MasterKey | undefined {
    return this.#known.get(epoch);
  }

  /** What this node has keys for. */
  epochs(): Epoch[] {
    return [...this.#known.keys()];
  }

  #state(): Pick<KeyringState, 'current' | 'isRead'> {
    const isRead = this.#content.state !== 'unread';
    return this.#current === undefined ? { isRead } : { isRead, current: this.#current };
  }

  #trouble({ open, advertised }: Standing): string | undefined {
    const name = this.#secretName;
    const parsed = this.#parsed;
    switch (this.#content.state) {
      case 'unread':
        return this.#current ? undefined : `the Secret ${name} has not been read yet`;
      case 'missing':
        return this.#missing(`the Secret ${name} is not there`);
      case 'there':
        if (!parsed) return this.#missing(`the Secret ${name} has no value "keys"`);
    }
    if ('problems' in parsed) return `the Secret ${name} is refused: ${describeProblems(parsed.problems)}`;
    const standing = [...new Set([...open, ...advertised])];
    const unknown = standing.filter(epoch => !this.#known.has(epoch));
    for (const key of parsed.keys) {
      const reason = refuseSuccessor(key, this.#inUse()) ?? refuseUnknown(key, unknown);
      if (reason !== undefined) return `the Secret ${name} is refused: ${reason}`;
    }
    return undefined;
  }

  #missing(what: string): string {
    if (this.#current) return `${what}: the keys in use stay in use; ${remedy(this.#secretName)}`;
    return `${what}: ${remedy(this.#secretName)}`;
  }

  /** The newest last, whichever was read last. */
  #inUse(): MasterKey[] {
    const others = [...this.#known.values()].filter(key => key !== this.#current);
    return this.#current ? [...others, this.#current] : others;
  }

  #forget({ open, advertised }: Standing): void {
    const inSecret = this.#parsed && 'keys' in this.#parsed ? this.#parsed.keys.map(ipsecEpoch) : [];
    const kept = new Set([...open, ...advertised, ...inSecret]);
    for (const [epoch, key] of this.#known) {
      if (key !== this.#current && !kept.has(epoch)) this.#known.delete(epoch);
    }
  }
}

/** A key of which only the fingerprint is known, because an agent before this one had read it, or another node. */
function refuseUnknown(key: MasterKey, standing: readonly Epoch[]): string | undefined {
  const other = standing.find(epoch => conflict(epoch, ipsecEpoch(key)));
  if (other === undefined) return undefined;
  return (
    `key ${key.id} is in use with another key or algorithm (fingerprint ${fingerprintOf(other)}, not ` +
    `${key.fingerprint}): a new key takes a new id, write ${nextKeyId(key.id)}+ before it`
  );
}

function remedy(secretName: string): string {
  const [namespace, name] = secretName.split('/');
  return (
    'create it with `cilium encryption create-key`, or with ' +
    `\`kubectl -n ${namespace} create secret generic ${name} --from-literal=keys="3+ rfc4106(gcm(aes)) ` +
    '$(dd if=/dev/urandom count=20 bs=1 2>/dev/null | xxd -p -c 64) 128"`'
  );
}
