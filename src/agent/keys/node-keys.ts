/** All keys of this node: WireGuard's out of its file, IPsec's out of the Secret. */
import { existsSync } from 'node:fs';
import type { AgentConfig } from '../../model/config.ts';
import type { Epoch } from '../../model/epochs/epoch.ts';
import type { Suite } from '../../proto/esp/suite.ts';
import type { MasterKey } from '../../proto/keys/master.ts';
import type { Log } from '../log.ts';
import { Keyring, type KeyringState, type Standing } from './keyring.ts';
import { loadOrCreateKey, removeKey } from './keystore.ts';
import type { SecretWatch } from './secret-watch.ts';

export interface NodeKeysOptions {
  privateKeyPath: string;
  secretWatch: Pick<SecretWatch, 'use' | 'content' | 'stop'>;
  /** Where the Secret is. */
  namespace: string;
  log: Log;
}

export class NodeKeys {
  readonly #options: NodeKeysOptions;
  readonly #keyring = new Keyring();
  #told = '';

  constructor(options: NodeKeysOptions) {
    this.#options = options;
  }

  /** The Secret is watched while IPsec is configured. */
  use({ encryption, ipsec }: AgentConfig): void {
    const { secretWatch, namespace } = this.#options;
    secretWatch.use(encryption === 'ipsec' ? { namespace, name: ipsec.secretName } : undefined);
  }

  /** Undefined while IPsec is not configured: keys that were read stay known as long as they are in use. */
  settle({ encryption, ipsec }: AgentConfig, standing: Standing): KeyringState | undefined {
    if (encryption !== 'ipsec') {
      this.#keyring.leave(standing);
      return undefined;
    }
    // Without the watcher a key is taken once; until there is one, the Secret is looked at all the same.
    if (ipsec.keyWatcher || !this.#keyring.hasCurrent)
      this.#keyring.read(
        `${this.#options.namespace}/${ipsec.secretName}`,
        this.#options.secretWatch.content(),
      );
    const state = this.#keyring.settle(standing);
    this.#tell(state);
    return state;
  }

  epochs(): Epoch[] {
    return this.#keyring.epochs();
  }

  masterOf(epoch: Epoch): MasterKey | undefined {
    return this.#keyring.get(epoch);
  }

  suites(): Suite[] {
    return this.epochs().flatMap(epoch => this.#keyring.get(epoch)?.suite ?? []);
  }

  /**
   * WireGuard's, 32 bytes; made when the configuration asks for WireGuard. `inUse`: some node opens or seals with it, so
   * that a key which is there already is needed.
   */
  async privateKey({ encryption }: AgentConfig, inUse: boolean): Promise<Uint8Array | undefined> {
    const { privateKeyPath: path, log } = this.#options;
    if (encryption !== 'wireguard' && !(inUse && existsSync(path))) return undefined;
    const key = await loadOrCreateKey(path);
    if (key.fresh) log.info('a new WireGuard key was made', { path });
    if (key.wasExposed) log.warning('others could read the WireGuard key; its mode is 0600 now', { path });
    return key.privateKey;
  }

  async cleanUp(): Promise<void> {
    this.#options.secretWatch.stop();
    this.#keyring.leave({ open: [], advertised: [] });
    await removeKey(this.#options.privateKeyPath);
  }

  /** Each warning and each refusal once. */
  #tell({ current, trouble, warnings }: KeyringState): void {
    const { log } = this.#options;
    const text = JSON.stringify([current?.fingerprint, current?.id, trouble, warnings]);
    if (text === this.#told) return;
    this.#told = text;
    if (trouble !== undefined) log.warning(trouble);
    else if (current)
      log.info('the IPsec key is taken', { id: current.id, fingerprint: current.fingerprint });
    for (const warning of warnings) log.warning(`the Secret with the IPsec keys: ${warning}`);
  }
}
