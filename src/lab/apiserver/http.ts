/** HTTP of one request: its body read within bounds, its answer written in the form asked for. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { parse as parseYaml, stringify as yamlText } from 'yaml';
import { decodeProtobuf, PROTOBUF } from './protobuf.ts';
import { badRequest, internal, StatusError, tooLarge, unsupportedMediaType } from './status.ts';

const BODY_LIMIT = 3 << 20;
const GZIP_FROM = 128 << 10;
const ANSWER_TIMEOUT = 60_000;
const compress = promisify(gzip);

export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  readonly #warnings: string[] = [];

  constructor(request: IncomingMessage, response: ServerResponse, url: URL) {
    this.request = request;
    this.response = response;
    this.url = url;
  }

  get query(): URLSearchParams {
    return this.url.searchParams;
  }

  warn(text: string): void {
    if (this.#warnings.length < 32) this.#warnings.push(text.replace(/[\r\n\t]/g, ' ').slice(0, 256));
  }

  /** The body as text; 413 beyond the limit. */
  async bytes(): Promise<Buffer> {
    if (Number(this.request.headers['content-length'] ?? 0) > BODY_LIMIT) throw tooLarge(BODY_LIMIT);
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of this.request as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > BODY_LIMIT) throw tooLarge(BODY_LIMIT);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  }

  get mediaType(): string {
    return (this.request.headers['content-type'] ?? '').split(';')[0]?.trim() ?? '';
  }

  /** The body as a JSON value, from JSON, YAML or protobuf; undefined when it is empty. */
  async body(): Promise<unknown> {
    const bytes = await this.bytes();
    if (bytes.length === 0) return undefined;
    const type = this.mediaType;
    if (type === PROTOBUF) return decodeProtobuf(bytes);
    if (type === 'application/yaml') return readYaml(bytes.toString());
    if (type === '' || type === 'application/json' || type === 'application/cbor')
      return readJson(bytes.toString());
    throw unsupportedMediaType(
      `the body of the request was in an unknown format - accepted media types include: ` +
        `application/json, application/yaml, ${PROTOBUF}`,
    );
  }

  /** Answers with JSON text (as YAML where that was asked for). */
  async send(code: number, json: string, type: 'json' | 'yaml' = 'json', mediaType?: string): Promise<void> {
    const { response } = this;
    if (response.destroyed || response.headersSent) return;
    const text = type === 'yaml' ? yamlText(JSON.parse(json)) : `${json}\n`;
    await this.write(code, Buffer.from(text), mediaType ?? `application/${type}`);
  }

  async write(code: number, bytes: Buffer, mediaType: string): Promise<void> {
    const { request, response } = this;
    const headers: Record<string, string | number | string[]> = {
      'Content-Type': mediaType,
      'Cache-Control': 'no-cache, private',
    };
    if (this.#warnings.length)
      headers.Warning = this.#warnings.map(text => `299 - "${text.replace(/["\\]/g, '\\$&')}"`);
    let out = bytes;
    if (bytes.length >= GZIP_FROM && /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''))) {
      out = await compress(bytes, { level: 1 });
      headers['Content-Encoding'] = 'gzip';
      headers.Vary = 'Accept-Encoding';
    }
    if (response.destroyed || response.headersSent) return;
    headers['Content-Length'] = out.length;
    response.setTimeout(ANSWER_TIMEOUT, () => response.destroy());
    response.once('finish', () => response.setTimeout(0));
    response.writeHead(code, headers);
    response.end(request.method === 'HEAD' ? undefined : out);
  }

  /** Answers with what went wrong; what is not a StatusError is a bug, told as an internal error. */
  async fail(error: unknown): Promise<void> {
    const told = error instanceof StatusError ? error : internal(bugMessage(error));
    if (!(error instanceof StatusError)) console.error(error);
    if (told.details?.retryAfterSeconds && !this.response.headersSent)
      this.response.setHeader('Retry-After', String(told.details.retryAfterSeconds));
    if (!this.request.complete) this.response.setHeader('Connection', 'close');
    await this.send(told.code, JSON.stringify(told.status()));
  }
}

function bugMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw badRequest(`couldn't get version/kind; json parse error: ${(error as Error).message}`);
  }
}

export function readYaml(text: string): unknown {
  try {
    return parseYaml(text, { maxAliasCount: 100 });
  } catch (error) {
    throw badRequest(`error decoding YAML: ${(error as Error).message.split('\n')[0]}`);
  }
}
