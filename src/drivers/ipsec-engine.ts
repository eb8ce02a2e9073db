/**
 * The userspace engine as a driver of IPsec. The engine is a process of its own which may be there or not; its states end
 * with it, and keys that were derived for one run of it must not reach another.
 */
import { type Epoch, epochLabel } from '../model/epochs/epoch.ts';
import { DriverUnavailable, type IpsecDesired, type IpsecDriver, type IpsecObserved } from './driver.ts';
import { ipsecChanges } from './ipsec-changes.ts';
import { type ControlSession, IpsecControlError, openControl } from './ipsec-control.ts';
import { type IpsecStatus, labelOf, observedOf } from './ipsec-status.ts';

export const CONTROL_DIRECTORY = '/var/run/pellicle';

export interface IpsecEngineOptions {
  device: string;
  /** Default /var/run/pellicle. */
  directory?: string;
  timeoutMs?: number;
}

/** A driver over sessions with something that understands the words of the ESP engine. */
export class ControlledIpsec implements IpsecDriver {
  readonly name: string;
  readonly #open: () => Promise<ControlSession>;
  #applied: IpsecDesired | undefined;
  /** Words that name an outbound state, by its label. */
  #ways = new Map<string, string>();

  constructor(name: string, open: () => Promise<ControlSession>) {
    this.name = name;
    this.#open = open;
  }

  async apply(desired: IpsecDesired): Promise<string[]> {
    return this.#session(async session => {
      const status = await this.#list(session);
      if (status.run !== desired.run) {
        throw new DriverUnavailable(
          'the ESP engine was started anew while its keys were made: they are made again for its new run',
        );
      }
      const { lines, phrases } = ipsecChanges(status, desired);
      await session.order(lines);
      this.#applied = desired;
      if (lines.length > 0) await this.#list(session);
      return phrases;
    });
  }

  observe(): Promise<IpsecObserved> {
    return this.#session(async session => observedOf(await this.#list(session)));
  }

  async probe(peer: string, epoch: Epoch, incarnation: string): Promise<void> {
    const label = labelOf({ peer, incarnation, epoch });
    await this.#session(async session => {
      if (!this.#ways.has(label)) await this.#list(session);
      const way = this.#ways.get(label);
      if (way === undefined) {
        throw new IpsecControlError(
          `${peer} cannot be probed: nothing is open to it under ${epochLabel(epoch)}`,
        );
      }
      await session.order([`probe ${way}`]);
    });
  }

  /** Whether somebody changed what the last `apply` made; one question to the engine. Rejects as `observe` does. */
  async drifted(): Promise<boolean> {
    const applied = this.#applied;
    if (applied === undefined) return false;
    const status = await this.#session(session => this.#list(session));
    return status.run !== applied.run || ipsecChanges(status, applied).lines.length > 0;
  }

  /** Takes states and policies away; the engine itself and its device belong to others. */
  async cleanUp(): Promise<void> {
    this.#applied = undefined;
    this.#ways = new Map();
    try {
      await this.#session(session => session.order(['policy flush', 'state flush', 'local']));
    } catch (error) {
      if (!(error instanceof DriverUnavailable)) throw error;
    }
  }

  async #list(session: ControlSession): Promise<IpsecStatus> {
    const status = await session.list();
    const ways = status.states.filter(({ direction, label }) => direction === 'out' && label !== '');
    this.#ways = new Map(
      ways.map(({ label, source, destination, spi }) => [
        label,
        `src ${source} dst ${destination} spi 0x${spi.toString(16)}`,
      ]),
    );
    return status;
  }

  async #session<T>(use: (session: ControlSession) => Promise<T>): Promise<T> {
    const session = await this.#open();
    try {
      return await use(session);
    } finally {
      session.close();
    }
  }
}

export class IpsecEngine extends ControlledIpsec {
  constructor({ device, directory, timeoutMs }: IpsecEngineOptions) {
    const path = `${directory ?? CONTROL_DIRECTORY}/${device}.sock`;
    super('ipsec-engine', () => openControl(path, timeoutMs === undefined ? {} : { timeoutMs }));
  }
}
