/** Persistent volumes and claims: kept and shown; the lab binds none. */
import { type JsonObject, preset, record, strings, text } from '../object.ts';
import { typeNamed } from '../schema/schema.ts';
import { AGE, column, NAME } from './columns.ts';
import { type Resource, resource } from './resource.ts';

const of = (kind: string, plural: string, more: Partial<Resource> & { status?: boolean }) =>
  resource({ version: 'v1', kind, plural, schema: typeNamed(kind), ...more });

const ACCESS: Record<string, string> = {
  ReadWriteOnce: 'RWO',
  ReadOnlyMany: 'ROX',
  ReadWriteMany: 'RWX',
  ReadWriteOncePod: 'RWOP',
};
const accessModes = (object: JsonObject) =>
  strings(object, 'spec', 'accessModes')
    .map(mode => ACCESS[mode] ?? mode)
    .join(',');

const persistentvolumeclaims = of('PersistentVolumeClaim', 'persistentvolumeclaims', {
  status: true,
  shortNames: ['pvc'],
  strategy: {
    defaults: claim => preset(record(claim, 'spec'), 'volumeMode', 'Filesystem'),
    create: claim => {
      claim.status = { phase: 'Pending' };
    },
  },
  columns: [
    NAME,
    column('Status', claim =>
      claim.metadata.deletionTimestamp ? 'Terminating' : text(claim, 'status', 'phase'),
    ),
    column('Volume', claim => text(claim, 'spec', 'volumeName')),
    column('Capacity', claim => text(claim, 'status', 'capacity', 'storage')),
    column('Access Modes', accessModes),
    column('StorageClass', claim => text(claim, 'spec', 'storageClassName')),
    AGE,
  ],
});

const persistentvolumes = of('PersistentVolume', 'persistentvolumes', {
  namespaced: false,
  status: true,
  shortNames: ['pv'],
  strategy: {
    defaults(volume) {
      preset(record(volume, 'spec'), 'persistentVolumeReclaimPolicy', 'Retain');
      preset(record(volume, 'spec'), 'volumeMode', 'Filesystem');
    },
    create: volume => {
      volume.status = { phase: 'Pending' };
    },
  },
  columns: [
    NAME,
    column('Capacity', volume => text(volume, 'spec', 'capacity', 'storage')),
    column('Access Modes', accessModes),
    column('Reclaim Policy', volume => text(volume, 'spec', 'persistentVolumeReclaimPolicy')),
    column('Status', volume => text(volume, 'status', 'phase')),
    column('Claim', volume => {
      const claim = record(volume, 'spec', 'claimRef');
      return text(claim, 'name') ? `${text(claim, 'namespace')}/${text(claim, 'name')}` : '';
    }),
    column('StorageClass', volume => text(volume, 'spec', 'storageClassName')),
    AGE,
  ],
});

export const volumeResources: readonly Resource[] = [persistentvolumeclaims, persistentvolumes];
