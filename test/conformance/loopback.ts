/**
 * Two interfaces that find each other over the loopback device of a namespace in the middle, which is all that the outside
 * is:
 *
 *     left                middle                       right
 *     10.9.0.1, fd09::1   127.0.0.1:1000, [::1]:1000
 *                         127.0.0.1:2000, [::1]:2000   10.9.0.2, fd09::2
 */
import { randomBytes } from 'node:crypto';
import type { Interface, Place } from './world.ts';
import { World } from './world.ts';

export interface End {
  readonly number: 1 | 2;
  readonly place: Place;
  readonly wg: Interface;
  readonly inner4: string;
  readonly inner6: string;
  readonly port: number;
}

export class Loopback implements AsyncDisposable {
  readonly world = new World();
  readonly middle = this.world.place();
  left!: End;
  right!: End;

  /** Configured, with a preshared key and endpoints on 127.0.0.1, and up. */
  static async open(program?: readonly string[]): Promise<Loopback> {
    const made = new Loopback();
    try {
      made.left = await made.#end(1, program);
      made.right = await made.#end(2, program);
      const presharedKey = randomBytes(32).toString('base64');
      const { left, right } = made;
      for (const [end, other] of [
        [left, right],
        [right, left],
      ] as const) {
        const { keys } = end.wg;
        await end.wg.set({
          privateKey: keys.privateKey,
          listenPort: end.port,
          peers: [
            {
              publicKey: other.wg.keys.publicKey,
              presharedKey,
              allowedIps: [`${other.inner4}/32`, `${other.inner6}/128`],
            },
          ],
        });
        end.place.ip('address', 'add', `${end.inner4}/24`, 'dev', end.wg.device);
        end.place.ip('address', 'add', `${end.inner6}/64`, 'dev', end.wg.device, 'nodad');
        end.place.ip('link', 'set', end.wg.device, 'up');
      }
      await made.aim(4);
      return made;
    } catch (error) {
      await made[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Both endpoints, of that family outside. */
  async aim(family: 4 | 6): Promise<void> {
    const { left, right } = this;
    const at = (end: End) => (family === 4 ? `127.0.0.1:${end.port}` : `[::1]:${end.port}`);
    await left.wg.set({ peers: [{ publicKey: right.wg.keys.publicKey, endpoint: at(right) }] });
    await right.wg.set({ peers: [{ publicKey: left.wg.keys.publicKey, endpoint: at(left) }] });
  }

  setMtu(mtu: number): void {
    for (const { place, wg } of [this.left, this.right])
      place.ip('link', 'set', wg.device, 'mtu', String(mtu));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.world[Symbol.asyncDispose]();
  }

  async #end(number: 1 | 2, program: readonly string[] | undefined): Promise<End> {
    const place = this.world.place();
    const wg = await this.world.engine(this.middle, place, program);
    return { number, place, wg, inner4: `10.9.0.${number}`, inner6: `fd09::${number}`, port: number * 1000 };
  }
}
