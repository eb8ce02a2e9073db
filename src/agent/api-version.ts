import type { KubeClient } from '../kube/client.ts';
import { messageOf } from './log.ts';

const AGAIN_MS = 10_000;

/** The version of the API server, asked for until it answers. */
export class ApiVersion {
  #known: { version: string; problem?: string } = { version: '', problem: 'not asked yet' };

  get known(): { version: string; problem?: string } {
    return this.#known;
  }

  async ask(client: Pick<KubeClient, 'raw'>): Promise<void> {
    try {
      const { body } = await client.raw('GET', '/version');
      const { major, minor, gitVersion, platform } = JSON.parse(body.toString());
      this.#known = { version: `${major}.${minor} (${gitVersion}) [${platform ?? 'linux/amd64'}]` };
    } catch (error) {
      this.#known = { version: '', problem: messageOf(error) };
      setTimeout(() => void this.ask(client), AGAIN_MS).unref();
    }
  }
}
