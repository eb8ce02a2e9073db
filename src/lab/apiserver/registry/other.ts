/** Kinds that the lab keeps but does little with: policy, scheduling, storage, node. */
import { at, count, type KubeObject, objects, preset, record, text } from '../object.ts';
import { typeNamed } from '../schema/schema.ts';
import { type FieldError, invalidValue, requiredValue } from '../status.ts';
import { AGE, column, NAME } from './columns.ts';
import { type Resource, resource } from './resource.ts';

type More = Partial<Resource> & { status?: boolean };
const of = (group: string, kind: string, plural: string, more: More) =>
  resource({ group, version: 'v1', kind, plural, schema: typeNamed(kind), ...more });

const shown = (value: unknown) => (value === undefined ? 'N/A' : String(value));

const poddisruptionbudgets = of('policy', 'PodDisruptionBudget', 'poddisruptionbudgets', {
  status: true,
  shortNames: ['pdb'],
  strategy: { generation: true },
  columns: [
    NAME,
    column('Min Available', object => shown(at(object, 'spec', 'minAvailable'))),
    column('Max Unavailable', object => shown(at(object, 'spec', 'maxUnavailable'))),
    column('Allowed Disruptions', object => count(object, 'status', 'disruptionsAllowed'), 'integer'),
    AGE,
  ],
});

const HIGHEST_USER_PRIORITY = 1_000_000_000;

const priorityclasses = of('scheduling.k8s.io', 'PriorityClass', 'priorityclasses', {
  namespaced: false,
  shortNames: ['pc'],
  strategy: {
    defaults(object) {
      preset(object, 'preemptionPolicy', 'PreemptLowerPriority');
      preset(object, 'value', 0);
    },
    create(object) {
      object.metadata.generation = 1;
    },
    validate(object, old) {
      const errors: FieldError[] = [];
      const { name } = object.metadata;
      if (name.startsWith('system-') && !['system-node-critical', 'system-cluster-critical'].includes(name))
        errors.push({
          field: 'metadata.name',
          reason: 'FieldValueForbidden',
          message: "Forbidden: priority class names with 'system-' prefix are reserved for system use only",
        });
      else if (!name.startsWith('system-') && count(object, 'value') > HIGHEST_USER_PRIORITY)
        errors.push(
          invalidValue(
            'value',
            object.value,
            `maximum allowed value of a user defined priority is ${HIGHEST_USER_PRIORITY}`,
          ),
        );
      if (old && old.value !== object.value)
        errors.push(invalidValue('value', object.value, 'field is immutable'));
      return errors;
    },
  },
  columns: [
    NAME,
    column('Value', object => count(object, 'value'), 'integer'),
    column('Global-Default', object => object.globalDefault === true, 'boolean'),
    AGE,
    column('PreemptionPolicy', object => text(object, 'preemptionPolicy')),
  ],
});

const isDefault = (object: KubeObject) =>
  object.metadata.annotations?.['storageclass.kubernetes.io/is-default-class'] === 'true';

const storageclasses = of('storage.k8s.io', 'StorageClass', 'storageclasses', {
  namespaced: false,
  shortNames: ['sc'],
  strategy: {
    defaults(object) {
      preset(object, 'reclaimPolicy', 'Delete');
      preset(object, 'volumeBindingMode', 'Immediate');
    },
    validate: object => (text(object, 'provisioner') ? [] : [requiredValue('provisioner')]),
  },
  columns: [
    column('Name', object => `${object.metadata.name}${isDefault(object) ? ' (default)' : ''}`),
    column('Provisioner', object => text(object, 'provisioner')),
    column('ReclaimPolicy', object => text(object, 'reclaimPolicy')),
    column('VolumeBindingMode', object => text(object, 'volumeBindingMode')),
    column('AllowVolumeExpansion', object => object.allowVolumeExpansion === true, 'boolean'),
    AGE,
  ],
});

const csinodes = of('storage.k8s.io', 'CSINode', 'csinodes', {
  namespaced: false,
  columns: [NAME, column('Drivers', object => objects(object, 'spec', 'drivers').length, 'integer'), AGE],
});

const csidrivers = of('storage.k8s.io', 'CSIDriver', 'csidrivers', {
  namespaced: false,
  columns: [
    NAME,
    column('AttachRequired', object => record(object, 'spec').attachRequired !== false, 'boolean'),
    AGE,
  ],
});

const runtimeclasses = of('node.k8s.io', 'RuntimeClass', 'runtimeclasses', {
  namespaced: false,
  columns: [NAME, column('Handler', object => text(object, 'handler')), AGE],
});

export const otherResources: readonly Resource[] = [
  runtimeclasses,
  poddisruptionbudgets,
  priorityclasses,
  csidrivers,
  csinodes,
  storageclasses,
];
