/**
 * Says on the CiliumNode objects who is taken as a peer: condition `Accepted`, and an Event when it turns False.
 *
 * Every agent comes to the same verdict, and any may write it: a refused object may have no agent of its own. Each waits
 * a random while first and then finds it written, so one write is the rule.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { isConflict, isNotFound, type KubeClient } from '../kube/client.ts';
import type { Recorder } from '../kube/events.ts';
import { CILIUMNODES, type CiliumNode, type Condition } from '../kube/types.ts';
import type { Refusal } from '../model/node.ts';
import type { Membership } from '../model/snapshot.ts';
import type { Log } from './log.ts';
import { messageOf } from './log.ts';

export const ACCEPTED = 'Accepted';

export interface VerdictOptions {
  client: KubeClient;
  recorder: Recorder;
  nodeName: string;
  log: Log;
  /** The object as it is now. */
  lookUp: (name: string) => CiliumNode | undefined;
  now?: () => Date;
  /** In [0, 1). */
  random?: () => number;
  /** Longest wait before writing on another node's object; default 3000. */
  spreadMs?: number;
}

export class Verdicts {
  readonly #options: VerdictOptions;
  readonly #underWay = new Map<string, Promise<void>>();
  #latest: Membership = { members: [], refused: [] };

  constructor(options: VerdictOptions) {
    this.#options = options;
  }

  /** Returns at once; what has to be written is written by and by. */
  update(membership: Membership): void {
    this.#latest = membership;
    const names = [...membership.members, ...membership.refused].map(({ name }) => name);
    for (const name of names) {
      if (this.#underWay.has(name) || this.#missing(name) === undefined) continue;
      const writing = this.#settle(name).finally(() => this.#underWay.delete(name));
      this.#underWay.set(name, writing);
    }
  }

  /** When nothing is left to be written. */
  async settled(): Promise<void> {
    await Promise.all(this.#underWay.values());
  }

  async #settle(name: string): Promise<void> {
    const { nodeName, client, recorder, lookUp, log, random = Math.random, spreadMs = 3000 } = this.#options;
    if (name !== nodeName) await sleep(random() * spreadMs, undefined, { ref: false });
    const condition = this.#missing(name);
    const object = lookUp(name);
    if (!condition || !object) return;
    const others = (object.status?.conditions ?? []).filter(({ type }) => type !== ACCEPTED);
    const body = {
      metadata: { resourceVersion: object.metadata.resourceVersion },
      status: { conditions: [...others, condition] },
    };
    try {
      await client.patch(CILIUMNODES, name, undefined, body, 'merge', { subresource: 'status' });
    } catch (error) {
      // Somebody else was first, or the object is gone: the next change comes by here again.
      if (!isConflict(error) && !isNotFound(error))
        log.warning(`cannot write the condition of ${name}: ${messageOf(error)}`);
      return;
    }
    if (condition.status === 'False') {
      recorder.event(object, 'Warning', condition.reason ?? 'Refused', 'RefusePeer', condition.message ?? '');
    }
  }

  /** The condition to write; undefined when it is there, or not this agent's to begin. */
  #missing(name: string): Condition | undefined {
    const object = this.#options.lookUp(name);
    if (!object) return undefined;
    const refusal = this.#latest.refused.find(refused => refused.name === name);
    const there = object.status?.conditions?.find(({ type }) => type === ACCEPTED);
    if (!refusal && !there && name !== this.#options.nodeName) return undefined;
    const wanted = verdict(refusal);
    if (
      there?.status === wanted.status &&
      there.reason === wanted.reason &&
      there.message === wanted.message
    ) {
      return undefined;
    }
    const now = (this.#options.now?.() ?? new Date()).toISOString().replace(/\.\d+Z$/, 'Z');
    const changed = there?.status !== wanted.status;
    return { ...wanted, lastTransitionTime: changed ? now : (there?.lastTransitionTime ?? now) };
  }
}

function verdict(refusal: Refusal | undefined): Condition {
  if (!refusal) {
    return { type: ACCEPTED, status: 'True', reason: 'Accepted', message: 'Other nodes take it as a peer.' };
  }
  return { type: ACCEPTED, status: 'False', reason: refusal.reason, message: refusal.message };
}
