/** Which form of an answer the client asks for. */
import { StatusError } from './status.ts';

export type Form = 'object' | 'table' | 'metadata';

export interface Negotiated {
  readonly form: Form;
  readonly type: 'json' | 'yaml';
  /** The version of meta.k8s.io for tables and metadata. */
  readonly version: string;
}

const JSON_OBJECT: Negotiated = { form: 'object', type: 'json', version: 'v1' };

/** The first form of the Accept header that can be served; 406 when there is none. */
export function negotiate(accept: string | undefined): Negotiated {
  if (!accept) return JSON_OBJECT;
  for (const clause of accept.split(',')) {
    const [type = '', ...parameters] = clause.split(';').map(part => part.trim());
    const yaml = type === 'application/yaml' || type === 'application/x-yaml';
    if (!yaml && !['application/json', '*/*', 'application/*', 'text/plain'].includes(type)) continue;
    const given = new Map(parameters.map(item => item.split('=') as [string, string]));
    const as = given.get('as');
    const version = given.get('v') ?? 'v1';
    const common = { type: yaml ? ('yaml' as const) : ('json' as const), version };
    if (!as) return { ...common, form: 'object', version: 'v1' };
    if (given.get('g') !== 'meta.k8s.io' || !['v1', 'v1beta1'].includes(version)) continue;
    if (as === 'Table') return { ...common, form: 'table' };
    if (as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList')
      return { ...common, form: 'metadata' };
  }
  throw new StatusError(
    406,
    'NotAcceptable',
    'only the following media types are accepted: application/json, application/yaml, application/json;stream=watch',
  );
}
