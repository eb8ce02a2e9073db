/** Tells people in the API what happened. The same thing again only raises the count of its series. */
import { createHash } from 'node:crypto';
import { isNotFound, type KubeClient } from './client.ts';
import { type EventForm, seriesForm } from './eventforms.ts';
import type { KubeObject, ObjectReference } from './types.ts';

export interface RecorderOptions {
  /** The program: `cilium-agent`, `cilium-operator`. */
  controller: string;
  /** Which one of it: the pod's or node's name. */
  instance: string;
  /** `events.k8s.io/v1` if not given. */
  form?: EventForm;
  /** Wall clock. */
  now?: () => Date;
  log?: (message: string) => void;
}

interface Series {
  name: string;
  namespace: string;
  count: number;
  firstAt: number;
  lastAt: number;
  /** A write is under way or waits; later repetitions ride along. */
  writing: boolean;
  sent: number;
}

/** After this long without a repetition, the next one is an event of its own. */
const SERIES_ENDS = 6 * 60_000;
const LONGEST_NOTE = 1024;
const MOST_SERIES = 512;

export class Recorder {
  readonly #client: KubeClient;
  readonly #options: RecorderOptions;
  readonly #form: EventForm;
  readonly #series = new Map<string, Series>();
  #writes: Promise<void> = Promise.resolve();
  #lastMoment = 0;

  constructor(client: KubeClient, options: RecorderOptions) {
    this.#client = client;
    this.#options = options;
    this.#form = options.form ?? seriesForm;
  }

  /**
   * `reason` says in CamelCase why (`DuplicatePublicKey`), `action` what was done (`IgnorePeer`), `note` is a sentence.
   * Returns at once; a failure to write is logged.
   */
  event(
    regarding: KubeObject | ObjectReference,
    type: 'Normal' | 'Warning',
    reason: string,
    action: string,
    note: string,
  ): void {
    const about = referenceTo(regarding);
    const text = truncate(note);
    const now = this.#now();
    const key = JSON.stringify([
      about.kind,
      about.namespace,
      about.name,
      about.uid,
      type,
      reason,
      action,
      text,
    ]);
    const known = this.#series.get(key);
    if (known && now.getTime() - known.lastAt < SERIES_ENDS) {
      known.count++;
      known.lastAt = now.getTime();
      this.#repeat(known);
      return;
    }
    const series = this.#begin(key, about, now);
    this.#enqueue(async () => {
      const { controller, instance } = this.#options;
      const told = { about, type, reason, action, note: text, controller, instance, at: now };
      await this.#client.create(
        this.#form.resource,
        this.#form.first({ ...told, name: series.name, namespace: series.namespace }),
      );
      series.writing = false;
    });
  }

  /** Resolves once everything told so far is written or given up. */
  flush(): Promise<void> {
    return this.#writes;
  }

  #begin(key: string, about: ObjectReference, now: Date): Series {
    const digest = createHash('sha256').update(key).update(this.#options.instance).digest('hex').slice(0, 8);
    const series: Series = {
      name: `${(about.name ?? 'unknown').slice(0, 200)}.${this.#moment(now)}${digest}`,
      namespace: about.namespace || 'default',
      count: 1,
      firstAt: now.getTime(),
      lastAt: now.getTime(),
      writing: true,
      sent: 1,
    };
    this.#series.delete(key);
    this.#series.set(key, series);
    if (this.#series.size > MOST_SERIES) {
      const [oldest] = this.#series.keys();
      if (oldest !== undefined) this.#series.delete(oldest);
    }
    return series;
  }

  /** Microseconds in hex, later for each event: what lists by name then shows a second's events in their order. */
  #moment(now: Date): string {
    this.#lastMoment = Math.max(now.getTime() * 1000, this.#lastMoment + 1);
    return this.#lastMoment.toString(16).padStart(14, '0');
  }

  #repeat(series: Series): void {
    if (series.writing) return;
    series.writing = true;
    this.#enqueue(async () => {
      series.writing = false;
      if (series.sent === series.count) return;
      series.sent = series.count;
      const patch = this.#form.again(series.count, new Date(series.lastAt));
      try {
        await this.#client.patch(this.#form.resource, series.name, series.namespace, patch, 'merge');
      } catch (error) {
        // The server expires events; the next repetition starts a new one.
        if (!isNotFound(error)) throw error;
        series.lastAt = -Infinity;
      }
    });
  }

  #enqueue(write: () => Promise<void>): void {
    this.#writes = this.#writes.then(write).catch(error => {
      this.#options.log?.(`event: ${error instanceof Error ? error.message : String(error)}`);
    });
  }

  #now(): Date {
    return this.#options.now?.() ?? new Date();
  }
}

export function referenceTo(object: KubeObject | ObjectReference): ObjectReference {
  if (!('metadata' in object)) return object as ObjectReference;
  const { apiVersion, kind, metadata } = object as KubeObject;
  return {
    apiVersion,
    kind,
    name: metadata.name,
    ...(metadata.namespace && { namespace: metadata.namespace }),
    ...(metadata.uid && { uid: metadata.uid }),
  };
}

function truncate(note: string): string {
  return note.length <= LONGEST_NOTE ? note : `${note.slice(0, LONGEST_NOTE - 1)}…`;
}
