import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { after, test } from 'node:test';
import { formatLine, type LogOptions, writeLog } from './logs.ts';

const folder = mkdtempSync(join(tmpdir(), 'logs-'));
after(() => rmSync(folder, { recursive: true }));
const line = (text: string, second = 0, tag = 'F') =>
  `2026-01-01T00:00:${String(second).padStart(2, '0')}.000000001+00:00 stdout ${tag} ${text}\n`;
const plain: LogOptions = { follow: false, timestamps: false };

async function read(path: string, options: Partial<LogOptions>): Promise<string> {
  const out = new PassThrough();
  const chunks: Buffer[] = [];
  out.on('data', chunk => chunks.push(chunk));
  await writeLog(path, { ...plain, ...options }, out, () => false, new AbortController().signal);
  return Buffer.concat(chunks).toString();
}

test('lines lose what the runtime wrote before them; parts of a line are joined', () => {
  assert.equal(formatLine(line('hi').trimEnd(), plain), 'hi\n');
  assert.equal(formatLine(line('a  b ').slice(0, -1), plain), 'a  b \n');
  assert.equal(formatLine(line('par', 0, 'P').trimEnd(), plain), 'par');
  assert.equal(formatLine('garbage', plain), undefined);
  assert.equal(formatLine(line('hi').trimEnd(), { timestamps: true }), '2026-01-01T00:00:00.000000001Z hi\n');
  assert.equal(
    formatLine(line('old').trimEnd(), { timestamps: false, since: new Date('2026-01-01T00:00:01Z') }),
    undefined,
  );
});

test('tail, limit, since', async () => {
  const path = join(folder, 'a.log');
  writeFileSync(path, Array.from({ length: 50 }, (_, i) => line(`line ${i}`, i)).join(''));
  assert.equal((await read(path, {})).split('\n').length, 51);
  assert.equal(await read(path, { tailLines: 2 }), 'line 48\nline 49\n');
  assert.equal(await read(path, { tailLines: 0 }), '');
  assert.equal((await read(path, { tailLines: 1000 })).split('\n').length, 51);
  assert.equal(await read(path, { limitBytes: 10 }), 'line 0\nlin');
  assert.equal(await read(path, { since: new Date('2026-01-01T00:00:49Z') }), 'line 49\n');
});

test('following reads what comes, over a rotation, until the container ends', async () => {
  const path = join(folder, 'b.log');
  writeFileSync(path, line('one'));
  const out = new PassThrough();
  let text = '';
  const seen = (what: string) =>
    new Promise<void>(resolve => {
      const look = () => text.includes(what) && resolve();
      out.on('data', look);
      look();
    });
  out.on('data', chunk => {
    text += chunk;
  });
  let running = true;
  const done = writeLog(path, { ...plain, follow: true }, out, () => running, new AbortController().signal);
  await seen('one');
  appendFileSync(path, line('two'));
  await seen('two');
  writeFileSync(`${path}.tmp`, line('three'));
  renameSync(`${path}.tmp`, path);
  await seen('three');
  running = false;
  appendFileSync(path, line('four'));
  await done;
  assert.equal(text, 'one\ntwo\nthree\nfour\n');
});
