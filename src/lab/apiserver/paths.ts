/** What is not a resource: version, health, discovery, OpenAPI. */
import type { Api } from './api.ts';
import { aggregated, groupDocument, groupList, legacyVersions, resourceList } from './discovery.ts';
import type { Exchange } from './http.ts';
import { openapiDocument, openapiIndex } from './openapi.ts';
import { pathNotFound } from './status.ts';

export const VERSION = {
  major: '1',
  minor: '32',
  gitVersion: 'v1.32.13',
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '1970-01-01T00:00:00Z',
  goVersion: '',
  compiler: 'node',
  platform: 'linux/amd64',
};

export async function servePath(api: Api, exchange: Exchange, path: string): Promise<void> {
  const parts = path.split('/').filter(part => part !== '');
  const method = exchange.request.method ?? '';
  if (method !== 'GET' && method !== 'HEAD') throw pathNotFound();
  switch (parts[0]) {
    case undefined:
      return send(exchange, {
        paths: ['/api', '/apis', '/healthz', '/livez', '/openapi/v3', '/readyz', '/version'],
      });
    case 'version':
      return send(exchange, VERSION);
    case 'healthz':
    case 'livez':
    case 'readyz':
      return exchange.write(
        200,
        Buffer.from(exchange.query.has('verbose') ? `[+]ping ok\n${parts[0]} check passed\n` : 'ok'),
        'text/plain; charset=utf-8',
      );
    case 'api':
      if (parts.length === 1) return discovery(api, exchange, true);
      return send(exchange, resourceList(api.registry, '', parts[1] as string));
    case 'apis':
      if (parts.length === 1) return discovery(api, exchange, false);
      if (parts.length === 2) return send(exchange, groupDocument(api.registry, parts[1] as string));
      return send(exchange, resourceList(api.registry, parts[1] as string, parts[2] as string));
    case 'openapi':
      if (parts[1] === 'v2' && parts.length === 2) return openapiV2(exchange);
      if (parts[1] !== 'v3') throw pathNotFound();
      if (parts.length === 2) return send(exchange, openapiIndex(api.registry));
      if (parts[2] === 'api') return send(exchange, openapiDocument(api.registry, '', parts[3] ?? ''));
      return send(exchange, openapiDocument(api.registry, parts[3] ?? '', parts[4] ?? ''));
    default:
      throw pathNotFound();
  }
}

const OPENAPI_V2_PROTOBUF = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';

/**
 * An OpenAPI v2 document that describes nothing. kubectl asks for it to check a `kind: List`, and skips what it does
 * not describe; without any document it refuses the list.
 */
function openapiV2(exchange: Exchange): Promise<void> {
  const accept = exchange.request.headers.accept ?? '';
  if (!/com\.github\.proto-openapi\.spec\.v2[@.]v1\.0\+protobuf/.test(accept))
    return send(exchange, { swagger: '2.0', info: { title: 'Kubernetes' }, paths: {} });
  // Document{1 swagger: "2.0"}
  return exchange.write(200, Buffer.from([0x0a, 0x03, ...Buffer.from('2.0')]), OPENAPI_V2_PROTOBUF);
}

async function send(exchange: Exchange, document: unknown): Promise<void> {
  if (document === undefined) throw pathNotFound();
  await exchange.send(200, JSON.stringify(document));
}

async function discovery(api: Api, exchange: Exchange, core: boolean): Promise<void> {
  const accept = exchange.request.headers.accept ?? '';
  exchange.response.setHeader('Vary', 'Accept');
  const version = ['v2', 'v2beta1'].find(item => accept.includes(`g=apidiscovery.k8s.io;v=${item};`));
  if (!version)
    return send(
      exchange,
      core ? legacyVersions(exchange.request.headers.host ?? '') : groupList(api.registry),
    );
  const { json, etag } = aggregated(api.registry, core, version);
  exchange.response.setHeader('ETag', etag);
  if (exchange.request.headers['if-none-match'] === etag) {
    exchange.response.writeHead(304).end();
    return;
  }
  await exchange.send(
    200,
    json,
    'json',
    `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`,
  );
}
