/** The two forms in which an Event is written: `events.k8s.io/v1`, and the older `v1`. */
import { EVENTS, type KubeObject, LEGACY_EVENTS, type ObjectReference, type ResourceType } from './types.ts';

export interface Told {
  name: string;
  namespace: string;
  about: ObjectReference;
  type: 'Normal' | 'Warning';
  reason: string;
  action: string;
  note: string;
  controller: string;
  instance: string;
  at: Date;
}

export interface EventForm {
  readonly resource: ResourceType;
  first(told: Told): KubeObject;
  /** What changes with a repetition: a merge patch. */
  again(count: number, last: Date): object;
}

export const seriesForm: EventForm = {
  resource: EVENTS,
  first: told => ({
    apiVersion: EVENTS.apiVersion,
    kind: EVENTS.kind,
    metadata: { name: told.name, namespace: told.namespace },
    eventTime: microTime(told.at),
    reportingController: told.controller,
    reportingInstance: told.instance.slice(0, 128),
    regarding: told.about,
    type: told.type,
    reason: told.reason,
    action: told.action,
    note: told.note,
  }),
  again: (count, last) => ({ series: { count, lastObservedTime: microTime(last) } }),
};

/** Has `lastTimestamp`, by which people sort (`kubectl get events --sort-by=.lastTimestamp`). */
export const countForm: EventForm = {
  resource: LEGACY_EVENTS,
  first: told => ({
    apiVersion: LEGACY_EVENTS.apiVersion,
    kind: LEGACY_EVENTS.kind,
    metadata: { name: told.name, namespace: told.namespace },
    involvedObject: told.about,
    source: { component: told.controller, host: told.instance },
    firstTimestamp: wholeSeconds(told.at),
    lastTimestamp: wholeSeconds(told.at),
    count: 1,
    reportingComponent: told.controller,
    reportingInstance: told.instance.slice(0, 128),
    type: told.type,
    reason: told.reason,
    message: told.note,
  }),
  again: (count, last) => ({ count, lastTimestamp: wholeSeconds(last) }),
};

/** RFC 3339 with microseconds, as the API's MicroTime wants it. */
export function microTime(date: Date): string {
  return date.toISOString().replace('Z', '000Z');
}

function wholeSeconds(date: Date): string {
  return date.toISOString().replace(/\.\d+Z$/, 'Z');
}
