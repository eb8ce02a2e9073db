/** Stands for the pulling of an image: those of the catalog are there at once, others never come. */
import type { Container } from '../../kube/core.ts';
import { type Image, resolveImage } from '../images/catalog.ts';
import { Backoff } from './backoff.ts';
import { StartProblem } from './startproblem.ts';

type Tell = (type: 'Normal' | 'Warning', reason: string, message: string) => void;

const seldomMs = 300_000;
const firstLookMs = 2_000;

export class ImagePull {
  readonly #backoff = new Backoff();
  #failedAt: number | undefined;

  /** Throws StartProblem for an image that does not exist here. */
  resolve(container: Container, tell: Tell, now: number): { image: Image; name: string } {
    const text = container.image ?? '';
    const resolved = resolveImage(text);
    if ('image' in resolved) {
      tell('Normal', 'Pulled', `Container image "${text}" already present on machine`);
      return resolved;
    }
    const { problem, reason } = resolved;
    if (reason === 'InvalidImageName') {
      tell('Warning', 'InspectFailed', problem);
      throw new StartProblem(reason, problem, seldomMs);
    }
    if (container.imagePullPolicy === 'Never') {
      const refusal = `Container image "${text}" is not present with pull policy of Never`;
      tell('Warning', 'ErrImageNeverPull', refusal);
      throw new StartProblem('ErrImageNeverPull', refusal, seldomMs);
    }
    const left = this.#failedAt === undefined ? 0 : this.#backoff.remaining(this.#failedAt, now);
    if (left > 0) {
      tell('Normal', 'BackOff', `Back-off pulling image "${text}"`);
      tell('Warning', 'Failed', 'Error: ImagePullBackOff');
      throw new StartProblem('ImagePullBackOff', `Back-off pulling image "${text}": ${problem}`, left);
    }
    this.#backoff.next(this.#failedAt ?? now, now);
    this.#failedAt = now;
    tell('Normal', 'Pulling', `Pulling image "${text}"`);
    tell('Warning', 'Failed', `Failed to pull image "${text}": ${problem}`);
    tell('Warning', 'Failed', 'Error: ErrImagePull');
    throw new StartProblem('ErrImagePull', problem, firstLookMs);
  }
}
