/** What the server knows of one resource: names, type, behaviour on writes, and how it prints. */
import type { KubeObject } from '../object.ts';
import type { Schema } from '../schema/schema.ts';
import type { FieldError } from '../status.ts';
import type { Store } from '../store.ts';

export interface Resource {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly singular: string;
  readonly kind: string;
  readonly namespaced: boolean;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly verbs: readonly string[];
  readonly subresources: readonly Subresource[];
  /** Where its objects are stored; several versions, or groups, may share one place. */
  readonly storage: string;
  readonly schema: Schema;
  readonly strategy: Strategy;
  readonly columns: readonly Column[];
  /** For custom resources and kinds stored under another version. */
  readonly fromStorage?: (stored: KubeObject) => KubeObject;
  readonly toStorage?: (object: KubeObject) => KubeObject;
  /** Set for custom resources. */
  readonly custom?: CustomType;
}

export interface CustomType {
  /** Takes away, defaults and checks by the version's structural schema; `unknown` gets paths taken away. */
  conform(object: KubeObject, unknown: string[]): KubeObject;
  validate(object: KubeObject, old: KubeObject | undefined): FieldError[];
  readonly openapi: unknown;
  /** The warning that goes with every answer of a deprecated version; '' for the usual words. */
  readonly deprecation: string | undefined;
  /** JSON paths of the scale subresource. */
  readonly scale:
    | { readonly replicas: string; readonly status: string; readonly selector: string }
    | undefined;
}

export interface Subresource {
  readonly name: string;
  readonly kind: string;
  readonly group?: string;
  readonly version?: string;
  readonly verbs: readonly string[];
}

/** What a strategy may look at. */
export interface WriteContext {
  readonly store: Store;
  readonly now: () => Date;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly serviceCidrs: readonly string[];
}

/** The behaviour of a kind on writes; objects given to change are owned by the caller. */
export interface Strategy {
  /** Fills in absent fields, on create and update. */
  defaults?(object: KubeObject): void;
  /** Before a create is stored. */
  create?(object: KubeObject, context: WriteContext): void;
  /** Before an update of the main resource is stored. */
  update?(object: KubeObject, old: KubeObject, context: WriteContext): void;
  /** Before an update of the status subresource is stored. */
  updateStatus?(object: KubeObject, old: KubeObject, context: WriteContext): void;
  validate?(object: KubeObject, old: KubeObject | undefined, context: WriteContext): FieldError[];
  /** Fields that field selectors know beside metadata.name and metadata.namespace. */
  fields?(object: KubeObject): Record<string, string>;
  /** Seconds that deletion is put off; undefined for kinds deleted at once. */
  grace?(object: KubeObject, requested: number | undefined): number;
  /** Whether changes of spec count in metadata.generation. */
  readonly generation?: boolean;
  /** `label`: DNS label, `subdomain` (the default): DNS subdomain, `path`: anything that fits in a path. */
  readonly names?: 'label' | 'label1035' | 'subdomain' | 'path';
  /** Whether PUT creates what is not there. */
  readonly upsert?: boolean;
}

export interface Column {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'date';
  readonly format?: string;
  readonly description?: string;
  /** Shown with -o wide only. */
  readonly wide?: boolean;
  readonly value: (object: KubeObject, now: Date) => unknown;
}

const VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];
const STATUS_VERBS = ['get', 'patch', 'update'];

/** A resource out of what is special about it. */
export function resource(
  given: Pick<Resource, 'version' | 'plural' | 'kind' | 'schema'> &
    Partial<Resource> & { status?: boolean; scale?: boolean },
): Resource {
  const { status, scale, subresources = [], ...rest } = given;
  const group = given.group ?? '';
  return {
    group,
    singular: given.kind.toLowerCase(),
    namespaced: true,
    shortNames: [],
    categories: [],
    verbs: VERBS,
    storage: group ? `${given.plural}.${group}` : given.plural,
    strategy: {},
    columns: [],
    ...rest,
    subresources: [
      ...(status ? [{ name: 'status', kind: given.kind, verbs: STATUS_VERBS }] : []),
      ...(scale
        ? [{ name: 'scale', kind: 'Scale', group: 'autoscaling', version: 'v1', verbs: STATUS_VERBS }]
        : []),
      ...subresources,
    ],
  };
}

export function apiVersion(type: { group: string; version: string }): string {
  return type.group ? `${type.group}/${type.version}` : type.version;
}

export function hasStatus(resource: Resource): boolean {
  return resource.subresources.some(sub => sub.name === 'status');
}
