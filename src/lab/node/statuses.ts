/** Writes pod statuses: one write at a time for a pod, always the latest, again until it is accepted. */
import { isDeepStrictEqual } from 'node:util';
import { isNotFound, type KubeClient } from '../../kube/client.ts';
import type { Pod, PodStatus } from '../../kube/core.ts';
import { PODS } from '../../kube/types.ts';
import type { StatusSink } from './nodecontext.ts';

interface Entry {
  pod: Pod;
  wanted: PodStatus;
  written?: PodStatus;
  writing?: Promise<void>;
}

const retryMs = 1_000;
const patienceMs = 5_000;

export class StatusWriter implements StatusSink {
  readonly #client: KubeClient;
  readonly #log: (message: string) => void;
  readonly #entries = new Map<string, Entry>();

  constructor(client: KubeClient, log: (message: string) => void) {
    this.#client = client;
    this.#log = log;
  }

  set(pod: Pod, status: PodStatus): void {
    const uid = pod.metadata.uid ?? '';
    const entry = this.#entries.get(uid) ?? { pod, wanted: status };
    this.#entries.set(uid, entry);
    entry.pod = pod;
    entry.wanted = status;
    if (!entry.writing && !isDeepStrictEqual(entry.written, status)) {
      entry.writing = this.#write(uid, entry).finally(() => {
        delete entry.writing;
      });
    }
  }

  async flush(uid: string): Promise<void> {
    const writing = this.#entries.get(uid)?.writing;
    if (!writing) return;
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([
      writing,
      new Promise(resolve => {
        timer = setTimeout(resolve, patienceMs);
      }),
    ]);
    clearTimeout(timer);
  }

  forget(uid: string): void {
    this.#entries.delete(uid);
  }

  async #write(uid: string, entry: Entry): Promise<void> {
    while (this.#entries.get(uid) === entry && !isDeepStrictEqual(entry.written, entry.wanted)) {
      const status = entry.wanted;
      const { name, namespace } = entry.pod.metadata;
      try {
        await this.#client.patch(PODS, name, namespace, patchOf(uid, status), 'merge', {
          subresource: 'status',
        });
        entry.written = status;
      } catch (error) {
        if (isNotFound(error) || (error as { code?: number }).code === 409) {
          entry.written = status;
          continue;
        }
        this.#log(`status of ${namespace}/${name}: ${(error as Error).message}`);
        await new Promise(resolve => setTimeout(resolve, retryMs));
      }
    }
  }
}

/** A merge patch replaces lists whole; what is absent from the status is taken out. */
function patchOf(uid: string, status: PodStatus): object {
  const absent = { podIP: null, podIPs: null, initContainerStatuses: null };
  return { metadata: { uid }, status: { ...absent, ...status } };
}
