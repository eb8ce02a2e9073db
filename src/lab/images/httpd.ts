/** The small web servers that stand for nginx, and for the demo applications' images. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { hostname } from 'node:os';
import { extname, join, normalize } from 'node:path';

export type Application = 'nginx' | 'starwars' | 'json-mock';
type Handler = (request: IncomingMessage, response: ServerResponse) => unknown;

const handlers: Record<Application, Handler> = {
  nginx: (request, response) => serveFile('/usr/share/nginx/html', request, response),
  starwars,
  'json-mock': jsonMock,
};

/** Serves until it is told to end. The port is 80, unless told by PORT. */
export function runApplication(name: string | undefined, env: NodeJS.ProcessEnv = process.env): void {
  const handle = handlers[name as Application];
  if (!handle) {
    console.error(`lab-httpd: one of ${Object.keys(handlers).join(', ')} has to be named`);
    process.exitCode = 2;
    return;
  }
  const server = createServer((request, response) => {
    response.on('finish', () => accessLog(request, response));
    void Promise.resolve(handle(request, response)).catch(() => reply(response, 500, 'error\n'));
  });
  server.on('error', error => {
    console.error(`lab-httpd: ${error.message}`);
    process.exit(1);
  });
  server.listen(Number(env['PORT'] ?? 80));
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const) process.on(signal, () => process.exit(0));
}

const types: Record<string, string> = {
  ...{ '.html': 'text/html', '.txt': 'text/plain', '.json': 'application/json', '.css': 'text/css' },
  ...{ '.js': 'application/javascript', '.svg': 'image/svg+xml', '.png': 'image/png' },
};

async function serveFile(root: string, request: IncomingMessage, response: ServerResponse): Promise<unknown> {
  response.setHeader('server', 'nginx');
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return reply(response, 405, page('405 Not Allowed'));
  const { pathname } = new URL(request.url ?? '/', 'http://localhost');
  let path: string;
  try {
    path = normalize(decodeURIComponent(pathname));
  } catch {
    return reply(response, 400, page('400 Bad Request'));
  }
  const file = join(root, path.endsWith('/') ? `${path}index.html` : path);
  const there = await stat(file).catch(() => undefined);
  if (!there?.isFile()) return reply(response, 404, page('404 Not Found'), 'text/html');
  response.writeHead(200, {
    'content-type': types[extname(file)] ?? 'application/octet-stream',
    'content-length': there.size,
  });
  return request.method === 'HEAD' ? response.end() : createReadStream(file).pipe(response);
}

/** The death star of the Star Wars demo. */
function starwars(request: IncomingMessage, response: ServerResponse): unknown {
  const route = `${request.method} ${(request.url ?? '/').replace(/\/+$/, '')}`;
  if (route === 'POST /v1/request-landing') return reply(response, 200, 'Ship landed\n');
  if (route === 'PUT /v1/exhaust-port') {
    return reply(
      response,
      503,
      'Panic: deathstar exploded\n\ngoroutine 1 [running]:\nmain.HandleGarbage()\n',
    );
  }
  if (route === 'GET /v1' || route === 'GET ') {
    const info = {
      name: 'Death Star',
      hostname: hostname(),
      model: 'DS-1 Orbital Battle Station',
      manufacturer: 'Imperial Department of Military Research, Sienar Fleet Systems',
      cost_in_credits: '1000000000000',
      length: '120000',
      crew: '342953',
      passengers: '843342',
      cargo_capacity: '1000000000000',
      hyperdrive_rating: '4.0',
      starship_class: 'Deep Space Mobile Battlestation',
      api: [
        'GET   /v1',
        'GET   /v1/healthz',
        'POST  /v1/request-landing',
        'PUT   /v1/cargobay',
        'GET   /v1/hyper-matter-reactor/status',
        'PUT   /v1/exhaust-port',
      ],
    };
    return reply(response, 200, `${JSON.stringify(info, null, 2)}\n`, 'application/json');
  }
  if (route === 'GET /v1/healthz') return reply(response, 200, 'ok\n');
  return reply(response, 404, 'Not found\n');
}

/** Answers as the demo's json-mock does: a public and a private collection. */
function jsonMock(request: IncomingMessage, response: ServerResponse): unknown {
  const collections: Record<string, unknown> = {
    '/public': [{ id: 1, body: 'public information' }],
    '/private': [{ id: 1, body: 'secret information' }],
  };
  const path = (request.url ?? '/').split('?')[0]!.replace(/\/+$/, '');
  if (path === '') return reply(response, 200, JSON.stringify({ ok: true }), 'application/json');
  const found = collections[path];
  return reply(response, found ? 200 : 404, JSON.stringify(found ?? {}, null, 2), 'application/json');
}

function reply(response: ServerResponse, code: number, text: string, type = 'text/plain'): ServerResponse {
  if (response.headersSent) return response.destroy();
  return response
    .writeHead(code, { 'content-type': type, 'content-length': Buffer.byteLength(text) })
    .end(text);
}

function page(title: string): string {
  return `<html>\n<head><title>${title}</title></head>\n<body>\n<center><h1>${title}</h1></center>\n</body>\n</html>\n`;
}

/** In the combined log format. */
function accessLog(request: IncomingMessage, response: ServerResponse): void {
  const { method, url, httpVersion, headers, socket } = request;
  const address = socket.remoteAddress?.replace(/^::ffff:/, '') ?? '-';
  const agent = headers['user-agent'] ?? '-';
  console.log(
    `${address} - - [${new Date().toISOString()}] "${method} ${url} HTTP/${httpVersion}" ${response.statusCode} ${response.getHeader('content-length') ?? '-'} "-" ${JSON.stringify(agent)}`,
  );
}
