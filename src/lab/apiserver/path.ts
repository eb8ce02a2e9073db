/** What a request asks for, read from its method and URL. */

export type Target =
  | { readonly kind: 'resource'; readonly request: ResourceRequest }
  | { readonly kind: 'other'; readonly path: string };

export interface ResourceRequest {
  readonly verb: Verb;
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly namespace: string;
  readonly name: string;
  /** The one name that the request is about: `name`, or that of a field selector. */
  readonly selected: string;
  readonly subresource: string;
}

export type Verb =
  | 'get'
  | 'list'
  | 'watch'
  | 'create'
  | 'update'
  | 'patch'
  | 'delete'
  | 'deletecollection'
  | '';

/** Reads the target; undefined when the path cannot be decoded. */
export function target(method: string, url: URL): Target | undefined {
  let parts: string[];
  try {
    parts = url.pathname.split('/').slice(1).map(decodeURIComponent);
  } catch {
    return undefined;
  }
  if (parts.at(-1) === '') parts.pop();
  const core = parts[0] === 'api' && parts.length > 2;
  const grouped = parts[0] === 'apis' && parts.length > 3;
  if (!core && !grouped) return { kind: 'other', path: url.pathname };
  const group = core ? '' : (parts[1] as string);
  const version = core ? (parts[1] as string) : (parts[2] as string);
  const rest = parts.slice(core ? 2 : 3);
  let namespace = '';
  let [plural = '', name = '', subresource = ''] = rest;
  let tail = rest.slice(3);
  if (
    plural === 'namespaces' &&
    rest.length > 2 &&
    !(group === '' && ['status', 'finalize'].includes(subresource))
  ) {
    namespace = name;
    [plural = '', name = '', subresource = ''] = rest.slice(2);
    tail = rest.slice(5);
  } else if (plural === 'namespaces') namespace = name;
  const request = { group, version, plural, namespace, name, subresource: [subresource, ...tail].join('/') };
  const verb = verbOf(method, url, name);
  return { kind: 'resource', request: { ...request, verb, selected: name || selectedName(url) } };
}

function selectedName(url: URL): string {
  const terms = url.searchParams.get('fieldSelector')?.split(',') ?? [];
  return (
    terms.map(term => /^metadata\.name==?([^=].*)$/.exec(term)?.[1]).find(name => name !== undefined) ?? ''
  );
}

function verbOf(method: string, url: URL, name: string): Verb {
  if (method === 'GET' || method === 'HEAD') {
    if (!name) return truthy(url.searchParams.get('watch')) ? 'watch' : 'list';
    return 'get';
  }
  if (method === 'POST') return 'create';
  if (method === 'PUT') return 'update';
  if (method === 'PATCH') return 'patch';
  if (method === 'DELETE') return name ? 'delete' : 'deletecollection';
  return '';
}

/** A boolean query parameter as the API machinery reads it. */
export function truthy(value: string | null): boolean {
  return value !== null && value !== '' && value !== 'false' && value !== '0';
}
