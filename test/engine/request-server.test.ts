/** What clients of a request server may do: ask for much at once, in crumbs, or go half away. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { RequestBuffer } from '../../src/engine/request-buffer.ts';
import { type RequestServer, serveRequests } from '../../src/engine/request-server.ts';

class Served implements AsyncDisposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'pellicle-requests-'));
  readonly path = join(this.#folder, 'it.sock');
  readonly asked: string[] = [];
  #server: RequestServer | undefined;

  /** Answers with what `answer` makes of a request. */
  static async start(answer: (request: string) => string): Promise<Served> {
    const served = new Served();
    served.#server = await serveRequests({
      path: served.path,
      answer(request) {
        served.asked.push(request);
        return answer(request);
      },
      onRemoved: () => assert.fail('it was not removed'),
    });
    return served;
  }

  async client(options: { allowHalfOpen?: boolean } = {}): Promise<Socket> {
    const socket = connect({ path: this.path, ...options });
    await once(socket, 'connect');
    return socket;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server?.close();
    rmSync(this.#folder, { recursive: true });
  }
}

async function allOf(socket: Socket): Promise<string> {
  let answer = '';
  socket.on('data', chunk => {
    answer += chunk;
  });
  await once(socket, 'close');
  return answer;
}

describe('a client', () => {
  test('that asks a thousand times and reads nothing is given a few megabytes, and no more', async () => {
    const LARGE = `${'x'.repeat(1 << 20)}\n\n`;
    await using served = await Served.start(request => (request === 'small\n' ? 'here\n\n' : LARGE));
    const deaf = await served.client();
    deaf.pause().write('large\n\n'.repeat(1000));
    // Those that come later are answered meanwhile.
    for (let i = 0; i < 20; i++) {
      const other = await served.client();
      other.end('small\n\n');
      assert.equal(await allOf(other), 'here\n\n');
    }
    const answered = served.asked.filter(request => request === 'large\n').length;
    assert.ok(answered <= 20, `${answered} MiB`);
    deaf.destroy();
  });

  test('that reads on gets every answer, in order', async () => {
    let number = 0;
    await using served = await Served.start(
      request => `${request.trim()} ${number++} ${'x'.repeat(50_000)}\n\n`,
    );
    const socket = await served.client();
    const count = 300;
    socket.end('more\n\n'.repeat(count));
    const answers = (await allOf(socket)).split('\n\n').map(line => line.slice(0, line.indexOf(' x')));
    assert.deepEqual(
      answers.slice(0, -1),
      Array.from({ length: count }, (_, i) => `more ${i}`),
    );
  });

  test('is not held up by one that asks thousands of times', async () => {
    await using served = await Served.start(request => request);
    const many = await served.client();
    many.resume().write('many\n\n'.repeat(10_000));
    const one = await served.client();
    one.end('one\n\n');
    assert.equal(await allOf(one), 'one\n');
    assert.ok(served.asked.length < 10_000, `after ${served.asked.length} others`);
    many.destroy();
  });

  test('that says it asks no more, before its answers are there, gets them', async () => {
    await using served = await Served.start(request => `answer to ${request}\n`);
    const socket = await served.client({ allowHalfOpen: true });
    socket.end('a\n\nb\nb\n\nc\n\nhalf of a request\n');
    assert.equal(await allOf(socket), 'answer to a\n\nanswer to b\nb\n\nanswer to c\n\n');
  });
});

describe('a request in pieces', () => {
  test('of one byte takes memory for its bytes, not for its pieces', () => {
    const buffer = new RequestBuffer();
    const count = 1 << 20;
    for (let i = 0; i < count; i++) {
      buffer.push(Buffer.from('x'));
      assert.equal(buffer.take(), undefined);
    }
    assert.equal(buffer.size, count);
    assert.ok(buffer.bytes.buffer.byteLength <= 2 * count + 4096);
    buffer.push(Buffer.from('\n'));
    assert.equal(buffer.take(), undefined);
    buffer.push(Buffer.from('\n'));
    assert.equal(buffer.take()?.length, count + 1);
    assert.equal(buffer.size, 0);
  });

  test('may be longer than any piece of memory, and end where one does', () => {
    for (const length of [4094, 4095, 4096, 8191, 8192, 200_000]) {
      const buffer = new RequestBuffer();
      const text = `${'x'.repeat(length)}\n\nnext\n`;
      for (let at = 0; at < text.length; at += 1000) buffer.push(Buffer.from(text.slice(at, at + 1000)));
      assert.equal(buffer.take()?.length, length + 1);
      assert.equal(buffer.take(), undefined);
      assert.equal(buffer.size, 5);
      buffer.push(Buffer.from('\n'));
      assert.equal(buffer.take(), 'next\n');
    }
  });

  test('is the same request wherever it is cut, and nothing of it stays behind', () => {
    const text = Buffer.from('a=1\nb=2\n\nget=1\n\n\n\nlast\n');
    for (let first = 0; first <= text.length; first++) {
      for (let second = first; second <= text.length; second++) {
        const pieces = [text.subarray(0, first), text.subarray(first, second), text.subarray(second)];
        const buffer = new RequestBuffer();
        const requests: string[] = [];
        for (const piece of pieces.map(bytes => Buffer.from(bytes))) {
          buffer.push(piece);
          assert.ok(piece.every(byte => byte === 0));
          for (let next = buffer.take(); next !== undefined; next = buffer.take()) requests.push(next);
        }
        assert.deepEqual(requests, ['a=1\nb=2\n', 'get=1\n', '\n']);
        assert.equal(Buffer.from(buffer.bytes).toString(), 'last\n');
        const memory = Buffer.from(buffer.bytes.buffer);
        assert.equal(memory.indexOf('get'), -1);
      }
    }
  });
});
