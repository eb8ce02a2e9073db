import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { asking, Interrupted, Progress, type Terminal } from './terminal.ts';

function terminal(columns?: number): Terminal & { written: string } {
  const fake = {
    written: '',
    out: () => {},
    err: (text: string) => {
      fake.written += text;
    },
    colour: (_: string, text: string) => text,
    signal: new AbortController().signal,
    columns,
  };
  return fake;
}

function show(to: Terminal): void {
  const progress = new Progress(to);
  for (const text of ['one', 'one', 'two of many']) progress.show(text);
  progress.end();
  progress.end();
}

describe('asking', () => {
  it('ends with Ctrl-C, whatever the cluster does', async () => {
    const abort = new AbortController();
    const quiet = { ...terminal(), signal: abort.signal };
    const answer = asking(quiet, 'Asking', new Promise(() => {}));
    abort.abort(new Interrupted('interrupted'));
    await assert.rejects(answer, Interrupted);
    await assert.rejects(asking(quiet, 'Asking', new Promise(() => {})), Interrupted);
    assert.equal(await asking(terminal(), 'Asking', Promise.resolve(1)), 1);
  });
});

describe('progress', () => {
  it('is a line for each change where nobody looks', () => {
    const piped = terminal();
    show(piped);
    assert.equal(piped.written, '⌛ one\n⌛ two of many\n');
  });

  it('is one line that changes and goes, never longer than the terminal is wide', () => {
    const narrow = terminal(10);
    show(narrow);
    assert.equal(narrow.written, '\r\x1b[2K⌛ one\r\x1b[2K⌛ two o…\r\x1b[2K');
  });
});
