/**
 * Tells in the API what is wrong with the IPsec keys: an Event when it begins, and for a Secret that is not taken a
 * condition on this node's CiliumNode, which goes when the Secret is good again. Never key material.
 */
import type { IpsecObserved } from '../../drivers/driver.ts';
import { isConflict, isNotFound, type KubeClient } from '../../kube/client.ts';
import type { Recorder } from '../../kube/events.ts';
import {
  CILIUMNODES,
  type CiliumNode,
  type Condition,
  type ObjectReference,
  type Secret,
} from '../../kube/types.ts';
import { epochLabel } from '../../model/epochs/epoch.ts';
import { remarksOf } from '../encryption-status.ts';
import { type Log, messageOf } from '../log.ts';
import type { RoundState } from '../reconcile.ts';

export const KEY_CONDITION = 'IPsecKey';
const REFUSED = 'IPsecKeyRefused';

export interface Alarms {
  /** Why the Secret is not taken. */
  refused?: string;
  /** Sentences about SAs that have sealed as much as they may. */
  expired: readonly string[];
  /** Sentences about peers that still seal with what is refused. */
  overdue: readonly string[];
}

/** What the last round gives reason for. */
export function alarmsOf({ keys, observed, epochs }: RoundState): Alarms {
  const expired = (observed?.ipsec?.openings ?? []).filter(({ out }) => out.expired);
  const sealing = (observed?.ipsec?.seals ?? []).map(({ peer, epoch }) => `${peer} ${epoch}`);
  return {
    ...(keys?.trouble === undefined || !keys.isRead ? {} : { refused: keys.trouble }),
    expired: expired
      .filter(({ peer, epoch }) => sealing.includes(`${peer} ${epoch}`))
      .map(
        ({ peer, epoch }) =>
          `the SA to ${peer} of ${epochLabel(epoch)} has sealed as much as it may and has stopped: rotate the key with "cilium encryption rotate-key"`,
      ),
    overdue: epochs ? remarksOf(epochs) : [],
  };
}

/** Which SAs have come near their limits, or to them: a text that changes when that does. */
export function wearOf(observed: IpsecObserved | undefined): string {
  const worn = (observed?.openings ?? []).filter(({ out }) => out.due || out.expired);
  return worn.map(({ peer, epoch, out }) => `${peer} ${epoch} ${out.expired}`).join(', ');
}

export interface KeyAlarmsOptions {
  client: KubeClient;
  recorder: Pick<Recorder, 'event'>;
  nodeName: string;
  log: Log;
  lookUp: () => CiliumNode | undefined;
  secret: () => Secret | undefined;
  now?: () => Date;
}

export class KeyAlarms {
  readonly #options: KeyAlarmsOptions;
  #told = new Set<string>();
  #writing: Promise<void> | undefined;

  constructor(options: KeyAlarmsOptions) {
    this.#options = options;
  }

  /** After each round; returns at once. */
  update({ refused, expired, overdue }: Alarms): void {
    const { secret } = this.#options;
    const events = [
      ...(refused === undefined ? [] : [{ reason: REFUSED, note: refused, action: 'ReadIPsecKey' }]),
      ...expired.map(note => ({ reason: 'IPsecKeyExpired', note, action: 'Seal' })),
      ...overdue.map(note => ({ reason: 'IPsecKeyOverdue', note, action: 'RetireIPsecKey' })),
    ];
    for (const { reason, note, action } of events) {
      if (this.#told.has(note)) continue;
      const about = secret();
      this.#event(this.#node(), reason, action, note);
      if (reason === REFUSED && about)
        this.#event({ ...about, apiVersion: 'v1', kind: 'Secret' }, reason, action, note);
      else if (reason !== REFUSED) this.#options.log.warning(note);
    }
    this.#told = new Set(events.map(({ note }) => note));
    this.#writing ??= this.#condition(refused).finally(() => {
      this.#writing = undefined;
    });
  }

  #event(about: Parameters<Recorder['event']>[0], reason: string, action: string, note: string): void {
    this.#options.recorder.event(about, 'Warning', reason, action, note);
  }

  #node(): CiliumNode | ObjectReference {
    const { apiVersion, kind } = CILIUMNODES;
    return this.#options.lookUp() ?? { apiVersion, kind, name: this.#options.nodeName };
  }

  async #condition(refused: string | undefined): Promise<void> {
    const { client, lookUp, log, nodeName, now = () => new Date() } = this.#options;
    const object = lookUp();
    const all = object?.status?.conditions ?? [];
    const there = all.find(({ type }) => type === KEY_CONDITION);
    if (!object || there?.message === refused) return;
    const others = all.filter(({ type }) => type !== KEY_CONDITION);
    const time = now()
      .toISOString()
      .replace(/\.\d+Z$/, 'Z');
    const condition: Condition[] =
      refused === undefined
        ? []
        : [
            {
              ...{ type: KEY_CONDITION, status: 'False', reason: REFUSED, message: refused },
              lastTransitionTime: there?.lastTransitionTime ?? time,
            },
          ];
    const body = {
      metadata: { resourceVersion: object.metadata.resourceVersion },
      status: { conditions: [...others, ...condition] },
    };
    try {
      await client.patch(CILIUMNODES, nodeName, undefined, body, 'merge', { subresource: 'status' });
    } catch (error) {
      // The next round comes by here again.
      if (!isConflict(error) && !isNotFound(error))
        log.warning(`cannot write the condition ${KEY_CONDITION}: ${messageOf(error)}`);
    }
  }
}
