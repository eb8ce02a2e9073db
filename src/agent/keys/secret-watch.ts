/** The Secret with the IPsec keys, as the API has it: watched while IPsec is configured, and not read otherwise. */
import type { KubeClient } from '../../kube/client.ts';
import { Reflector } from '../../kube/reflector.ts';
import { SECRETS, type Secret } from '../../kube/types.ts';
import type { SecretContent } from './keyring.ts';

export interface SecretWatchOptions {
  client: KubeClient;
  log: (message: string) => void;
  onChange: () => void;
}

export interface SecretPlace {
  readonly namespace: string;
  readonly name: string;
}

/** The key of the Secret's data that holds the keys. */
const DATA_KEY = 'keys';

export class SecretWatch {
  readonly #options: SecretWatchOptions;
  #place: SecretPlace | undefined;
  #reflector: Reflector<Secret> | undefined;
  #isSynced = false;

  constructor(options: SecretWatchOptions) {
    this.#options = options;
  }

  /** Watches this one from now on; undefined: none. */
  use(place: SecretPlace | undefined): void {
    if (place?.name === this.#place?.name && place?.namespace === this.#place?.namespace) return;
    this.stop();
    this.#place = place;
    if (!place) return;
    const { client, log, onChange } = this.#options;
    this.#isSynced = false;
    this.#reflector = new Reflector(client, SECRETS, {
      namespace: place.namespace,
      fieldSelector: `metadata.name=${place.name}`,
      log,
      onChange: ({ type, object, old }) => {
        if (type !== 'modified' || object.data?.[DATA_KEY] !== old?.data?.[DATA_KEY]) onChange();
      },
      onSync: () => {
        this.#isSynced = true;
        onChange();
      },
    });
    this.#reflector.start();
  }

  object(): Secret | undefined {
    return this.#place && this.#reflector?.get(this.#place.name, this.#place.namespace);
  }

  content(): SecretContent {
    if (!this.#isSynced) return { state: 'unread' };
    const object = this.object();
    if (!object) return { state: 'missing' };
    const value = object.data?.[DATA_KEY];
    return { state: 'there', text: value && Buffer.from(value, 'base64').toString('utf8') };
  }

  stop(): void {
    this.#reflector?.stop();
    this.#reflector = undefined;
    this.#place = undefined;
  }
}
