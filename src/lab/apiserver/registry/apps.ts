/** Workloads: apps/v1 and batch/v1. */

import { labelProblems } from '../names.ts';
import {
  count,
  ensure,
  equal,
  isObject,
  type JsonObject,
  type KubeObject,
  objects,
  preset,
  record,
  text,
} from '../object.ts';
import { typeNamed } from '../schema/schema.ts';
import { objectSelector } from '../selectors.ts';
import { type FieldError, invalidValue, requiredValue, unsupportedValue } from '../status.ts';
import { age, duration } from '../table.ts';
import { AGE, CONTAINERS, column, IMAGES, labelText, NAME, NONE, selectorText, wide } from './columns.ts';
import { defaultTemplate, validatePodSpec } from './podspec.ts';
import { type Resource, resource } from './resource.ts';

type More = Partial<Resource> & { status?: boolean; scale?: boolean };
const of = (group: string, kind: string, plural: string, more: More) =>
  resource({ group, version: 'v1', kind, plural, schema: typeNamed(kind), ...more });

const SELECTOR = wide('Selector', object => selectorText(record(object, 'spec', 'selector')));
const number = (name: string, ...path: string[]) => column(name, object => count(object, ...path), 'integer');

/** The checks that all kinds with a selector and a pod template share. */
function templateProblems(
  object: KubeObject,
  old: KubeObject | undefined,
  restart: readonly string[],
): FieldError[] {
  const errors: FieldError[] = [];
  const spec = record(object, 'spec');
  const replicas = spec.replicas;
  if (typeof replicas === 'number' && replicas < 0)
    errors.push(invalidValue('spec.replicas', replicas, 'must be greater than or equal to 0'));
  const selector = spec.selector;
  const labels = record(spec, 'template', 'metadata', 'labels') as Record<string, string>;
  if (!isObject(selector)) errors.push(requiredValue('spec.selector'));
  else if (
    !Object.keys(record(selector, 'matchLabels')).length &&
    !objects(selector, 'matchExpressions').length
  )
    errors.push(
      invalidValue('spec.selector', selector, `empty selector is invalid for ${object.kind.toLowerCase()}`),
    );
  else if (!objectSelector(selector)(labels))
    errors.push(
      invalidValue('spec.template.metadata.labels', labels, '`selector` does not match template `labels`'),
    );
  errors.push(...labelProblems(labels, 'spec.template.labels'));
  errors.push(...validatePodSpec(record(spec, 'template', 'spec'), 'spec.template.spec'));
  const policy = text(spec, 'template', 'spec', 'restartPolicy');
  if (!restart.includes(policy))
    errors.push(unsupportedValue('spec.template.spec.restartPolicy', policy, restart));
  if (old && !equal(record(old, 'spec').selector, selector))
    errors.push(invalidValue('spec.selector', selector, 'field is immutable'));
  return errors;
}

const always = (object: KubeObject, old: KubeObject | undefined) => templateProblems(object, old, ['Always']);

const deployments = of('apps', 'Deployment', 'deployments', {
  status: true,
  scale: true,
  shortNames: ['deploy'],
  categories: ['all'],
  strategy: {
    generation: true,
    defaults(object) {
      const spec = ensure(object, 'spec');
      preset(spec, 'replicas', 1);
      preset(spec, 'revisionHistoryLimit', 10);
      preset(spec, 'progressDeadlineSeconds', 600);
      const strategy = ensure(spec, 'strategy');
      preset(strategy, 'type', 'RollingUpdate');
      if (strategy.type === 'RollingUpdate') {
        const rolling = ensure(strategy, 'rollingUpdate');
        preset(rolling, 'maxUnavailable', '25%');
        preset(rolling, 'maxSurge', '25%');
      }
      defaultTemplate(spec);
    },
    validate(object, old) {
      const errors = always(object, old);
      const strategy = record(object, 'spec', 'strategy');
      if (!['Recreate', 'RollingUpdate'].includes(text(strategy, 'type')))
        errors.push(unsupportedValue('spec.strategy.type', strategy.type, ['Recreate', 'RollingUpdate']));
      if (strategy.type === 'Recreate' && strategy.rollingUpdate !== undefined)
        errors.push({
          field: 'spec.strategy.rollingUpdate',
          reason: 'FieldValueForbidden',
          message: "Forbidden: may not be specified when strategy `type` is 'Recreate'",
        });
      return errors;
    },
  },
  columns: [
    NAME,
    column(
      'Ready',
      object => `${count(object, 'status', 'readyReplicas')}/${count(object, 'spec', 'replicas')}`,
    ),
    number('Up-to-date', 'status', 'updatedReplicas'),
    number('Available', 'status', 'availableReplicas'),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
  ],
});

const daemonsets = of('apps', 'DaemonSet', 'daemonsets', {
  status: true,
  shortNames: ['ds'],
  categories: ['all'],
  strategy: {
    generation: true,
    defaults(object) {
      const spec = ensure(object, 'spec');
      preset(spec, 'revisionHistoryLimit', 10);
      const strategy = ensure(spec, 'updateStrategy');
      preset(strategy, 'type', 'RollingUpdate');
      if (strategy.type === 'RollingUpdate') {
        const rolling = ensure(strategy, 'rollingUpdate');
        preset(rolling, 'maxUnavailable', 1);
        preset(rolling, 'maxSurge', 0);
      }
      defaultTemplate(spec);
    },
    create(object) {
      object.status = {
        currentNumberScheduled: 0,
        desiredNumberScheduled: 0,
        numberMisscheduled: 0,
        numberReady: 0,
      };
    },
    validate(object, old) {
      const errors = always(object, old);
      const type = text(object, 'spec', 'updateStrategy', 'type');
      if (!['RollingUpdate', 'OnDelete'].includes(type))
        errors.push(unsupportedValue('spec.updateStrategy', type, ['RollingUpdate', 'OnDelete']));
      return errors;
    },
  },
  columns: [
    NAME,
    number('Desired', 'status', 'desiredNumberScheduled'),
    number('Current', 'status', 'currentNumberScheduled'),
    number('Ready', 'status', 'numberReady'),
    number('Up-to-date', 'status', 'updatedNumberScheduled'),
    number('Available', 'status', 'numberAvailable'),
    column('Node Selector', object => labelText(record(object, 'spec', 'template', 'spec', 'nodeSelector'))),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
  ],
});

const replicasets = of('apps', 'ReplicaSet', 'replicasets', {
  status: true,
  scale: true,
  shortNames: ['rs'],
  categories: ['all'],
  strategy: {
    generation: true,
    defaults(object) {
      const spec = ensure(object, 'spec');
      preset(spec, 'replicas', 1);
      defaultTemplate(spec);
    },
    create(object) {
      object.status = { replicas: 0 };
    },
    validate: always,
    fields: object => ({ 'status.replicas': String(count(object, 'status', 'replicas')) }),
  },
  columns: [
    NAME,
    number('Desired', 'spec', 'replicas'),
    number('Current', 'status', 'replicas'),
    number('Ready', 'status', 'readyReplicas'),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
  ],
});

const statefulsets = of('apps', 'StatefulSet', 'statefulsets', {
  status: true,
  scale: true,
  shortNames: ['sts'],
  categories: ['all'],
  strategy: {
    generation: true,
    defaults(object) {
      const spec = ensure(object, 'spec');
      preset(spec, 'replicas', 1);
      preset(spec, 'revisionHistoryLimit', 10);
      preset(spec, 'podManagementPolicy', 'OrderedReady');
      const strategy = ensure(spec, 'updateStrategy');
      preset(strategy, 'type', 'RollingUpdate');
      if (strategy.type === 'RollingUpdate') preset(ensure(strategy, 'rollingUpdate'), 'partition', 0);
      preset(spec, 'persistentVolumeClaimRetentionPolicy', { whenDeleted: 'Retain', whenScaled: 'Retain' });
      defaultTemplate(spec);
    },
    create(object) {
      object.status = { replicas: 0, availableReplicas: 0 };
    },
    validate: always,
  },
  columns: [
    NAME,
    column(
      'Ready',
      object => `${count(object, 'status', 'readyReplicas')}/${count(object, 'spec', 'replicas')}`,
    ),
    AGE,
    CONTAINERS,
    IMAGES,
  ],
});

const controllerrevisions = of('apps', 'ControllerRevision', 'controllerrevisions', {
  strategy: {
    validate: (object, old) =>
      old && !equal(old.data, object.data)
        ? [invalidValue('data', object.data ?? null, 'field is immutable')]
        : [],
  },
  columns: [
    NAME,
    column('Controller', object => {
      const owner = object.metadata.ownerReferences?.find(item => item.controller);
      if (!owner) return NONE;
      const group = owner.apiVersion.includes('/') ? `.${owner.apiVersion.split('/')[0]}` : '';
      return `${owner.kind.toLowerCase()}${group}/${owner.name}`;
    }),
    column('Revision', object => count(object, 'revision'), 'integer'),
    AGE,
  ],
});

function defaultJobSpec(spec: JsonObject): void {
  if (spec.completions === undefined && spec.parallelism === undefined) spec.completions = 1;
  preset(spec, 'parallelism', 1);
  preset(spec, 'backoffLimit', 6);
  preset(spec, 'completionMode', 'NonIndexed');
  preset(spec, 'suspend', false);
  preset(spec, 'podReplacementPolicy', 'TerminatingOrFailed');
  preset(spec, 'manualSelector', false);
  defaultTemplate(spec);
}

function jobState(job: KubeObject): string {
  const is = (type: string) =>
    objects(job, 'status', 'conditions').some(item => item.type === type && item.status === 'True');
  if (is('Complete')) return 'Complete';
  if (is('Failed')) return 'Failed';
  if (job.metadata.deletionTimestamp) return 'Terminating';
  if (is('Suspended')) return 'Suspended';
  if (is('FailureTarget')) return 'FailureTarget';
  return is('SuccessCriteriaMet') ? 'SuccessCriteriaMet' : 'Running';
}

const jobs = of('batch', 'Job', 'jobs', {
  status: true,
  categories: ['all'],
  strategy: {
    generation: true,
    defaults: object => defaultJobSpec(ensure(object, 'spec')),
    create(job) {
      const spec = record(job, 'spec');
      if (spec.manualSelector === true) return;
      const own = { 'batch.kubernetes.io/controller-uid': job.metadata.uid };
      const name = job.metadata.name;
      spec.selector = { matchLabels: own };
      const labels = ensure(spec, 'template', 'metadata', 'labels');
      Object.assign(labels, own, {
        'batch.kubernetes.io/job-name': name,
        'controller-uid': job.metadata.uid,
        'job-name': name,
      });
    },
    validate: (object, old) => templateProblems(object, old, ['OnFailure', 'Never']),
    fields: object => ({ 'status.successful': String(count(object, 'status', 'succeeded')) }),
  },
  columns: [
    NAME,
    column('Status', jobState),
    column(
      'Completions',
      job =>
        `${count(job, 'status', 'succeeded')}/${record(job, 'spec').completions ?? `1 of ${count(job, 'spec', 'parallelism')}`}`,
    ),
    column('Duration', (job, now) => {
      const start = text(job, 'status', 'startTime');
      if (!start) return '';
      const end = text(job, 'status', 'completionTime');
      return duration(((end ? Date.parse(end) : now.getTime()) - Date.parse(start)) / 1000);
    }),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
  ],
});

const cronjobs = of('batch', 'CronJob', 'cronjobs', {
  status: true,
  shortNames: ['cj'],
  categories: ['all'],
  strategy: {
    generation: true,
    defaults(object) {
      const spec = ensure(object, 'spec');
      preset(spec, 'concurrencyPolicy', 'Allow');
      preset(spec, 'suspend', false);
      preset(spec, 'successfulJobsHistoryLimit', 3);
      preset(spec, 'failedJobsHistoryLimit', 1);
      defaultTemplate(ensure(spec, 'jobTemplate', 'spec'));
    },
    validate: object => [
      ...(text(object, 'spec', 'schedule') ? [] : [requiredValue('spec.schedule')]),
      ...validatePodSpec(
        record(object, 'spec', 'jobTemplate', 'spec', 'template', 'spec'),
        'spec.jobTemplate.spec.template.spec',
      ),
    ],
  },
  columns: [
    NAME,
    column('Schedule', object => text(object, 'spec', 'schedule')),
    column('Timezone', object => text(object, 'spec', 'timeZone') || NONE),
    column('Suspend', object => (record(object, 'spec').suspend === true ? 'True' : 'False')),
    column('Active', object => objects(object, 'status', 'active').length, 'integer'),
    column('Last Schedule', (object, now) => {
      const last = text(object, 'status', 'lastScheduleTime');
      return last ? age(last, now) : NONE;
    }),
    AGE,
  ],
});

export const workloadResources: readonly Resource[] = [
  controllerrevisions,
  daemonsets,
  deployments,
  replicasets,
  statefulsets,
  cronjobs,
  jobs,
];
