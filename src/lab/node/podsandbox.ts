/** The sandbox of one pod: there is no second one before the first is undone, however long the plugin is away. */
import type { Pod } from '../../kube/core.ts';
import { NetworkNotReady, type Sandbox, type Sandboxes } from './sandbox.ts';

export class PodSandbox {
  readonly #sandboxes: Pick<Sandboxes, 'begin' | 'join' | 'remove'>;
  #begun: Sandbox | undefined;

  constructor(sandboxes: Pick<Sandboxes, 'begin' | 'join' | 'remove'>, adopted: Sandbox | undefined) {
    this.#sandboxes = sandboxes;
    this.#begun = adopted;
  }

  get id(): string | undefined {
    return this.#begun?.id;
  }

  /** Undefined before ADD has succeeded. */
  get joined(): Sandbox | undefined {
    return this.#begun?.ready ? this.#begun : undefined;
  }

  /** Throws NetworkNotReady without a CNI configuration, CniError; what is left then goes before the next try. */
  async make(pod: Pod, hostIps: string[]): Promise<void> {
    await this.undo();
    const begun = await this.#sandboxes.begin(pod, hostIps);
    this.#begun = begun;
    if (begun.ready) return;
    try {
      await this.#sandboxes.join(begun);
    } catch (error) {
      begun.ready = false;
      await this.undo().catch(() => {});
      throw error;
    }
  }

  /** Throws CniError; then it is as it was, to be undone again. */
  async undo(): Promise<void> {
    if (!this.#begun) return;
    await this.#sandboxes.remove(this.#begun);
    this.#begun = undefined;
  }
}

/** What the pod's event says when `make` has thrown. */
export function makeProblem(error: Error): { reason: string; message: string } {
  return error instanceof NetworkNotReady
    ? { reason: 'NetworkNotReady', message: `network is not ready: ${error.message}` }
    : {
        reason: 'FailedCreatePodSandBox',
        message: `Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox: ${error.message}`,
      };
}
