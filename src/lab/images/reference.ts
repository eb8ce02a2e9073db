/** Image references: `[registry/][path/]name[:tag][@digest]` (the distribution project's grammar, as far as it matters). */

export interface ImageReference {
  /** Without tag and digest, spelled out: `docker.io/library/nginx`. */
  repository: string;
  tag?: string;
  digest?: string;
}

const domain = /^(localhost|[a-z0-9-]+(\.[a-z0-9-]+)+|[a-z0-9.-]+:\d+)$/i;
const component = /^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$/;

/** Undefined when the text is no image reference. */
export function parseReference(text: string): ImageReference | undefined {
  const [rest = '', digest, ...more] = text.split('@');
  if (more.length > 0 || (digest !== undefined && !/^[a-z0-9+._-]+:[0-9a-f]{32,}$/i.test(digest))) {
    return undefined;
  }
  const colon = rest.lastIndexOf(':');
  const tagged = colon > rest.lastIndexOf('/');
  const tag = tagged ? rest.slice(colon + 1) : undefined;
  if (tag !== undefined && !/^\w[\w.-]{0,127}$/.test(tag)) return undefined;
  const parts = (tagged ? rest.slice(0, colon) : rest).split('/');
  const first = parts.length > 1 && domain.test(parts[0]!) ? parts.shift()! : 'docker.io';
  const host = first === 'index.docker.io' ? 'docker.io' : first;
  if (parts.length === 0 || !parts.every(part => component.test(part))) return undefined;
  if (host === 'docker.io' && parts.length === 1) parts.unshift('library');
  return {
    repository: [host, ...parts].join('/'),
    ...(tag !== undefined && { tag }),
    ...(digest !== undefined && { digest }),
  };
}

/** As a person writes it: `nginx`, `nicolaka/netshoot`, `quay.io/cilium/starwars`. */
export function shortName(repository: string): string {
  return repository.replace(/^docker\.io\/(library\/)?/, '');
}

/** The whole reference with its tag, as a node reports it: `docker.io/library/nginx:latest`. */
export function fullName({ repository, tag, digest }: ImageReference): string {
  return digest === undefined ? `${repository}:${tag ?? 'latest'}` : `${repository}@${digest}`;
}
